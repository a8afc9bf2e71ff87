//! What a configuration amounts to, for a person: every jail, what it reads, and what happens on a ban.

use core::fmt;

use super::{
    Block, Config, Feed, FilterName, IgnoreCache, IgnoreCommand, Jail, LogLevel, OnStop, Origins, Protocol,
    Reach, UseDns,
};
use crate::action::{Commands, Does, Letter, Role};
use crate::escape::Escaped;
use crate::filter::sshd;
use crate::guard::{Bannet, Escalation, Evidence};
use crate::limits::{IGNORECOMMAND_SECONDS, LOOKUP_EVERY_SECONDS};
use crate::time::Span;

/// The effective settings, each with the file and line it comes from; many lines, the last without newline.
#[must_use]
pub fn describe(config: &Config) -> impl fmt::Display + '_ {
    Description(config)
}

struct Description<'c>(&'c Config);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0;
        for jail in &config.jails {
            write_jail(f, jail, &config.notifyuser)?;
        }
        write!(f, "all jails")?;
        let origins = &config.origins;
        line(f, origins, "firewall", &config.firewall.name())?;
        line(f, origins, "ring", &format_args!("{} failures", config.ring))?;
        line(f, origins, "maxbans", &config.maxbans)?;
        line(f, origins, "ipv6prefix", &format_args!("/{}", config.ipv6prefix))?;
        match &config.user {
            Some(user) => line(f, origins, "user", &Escaped(user.as_bytes()))?,
            None => line(f, origins, "user", &"sipguard if there is one, else nobody")?,
        }
        line(f, origins, "readlogs", &config.readlogs.name())?;
        if let Some(level) = config.loglevel {
            let name = match level {
                LogLevel::Error => "error",
                LogLevel::Warning => "warning",
                LogLevel::Info => "info: bans and what concerns the guard",
                LogLevel::Debug => "debug: every failure",
            };
            line(f, origins, "loglevel", &name)?;
        }
        match &config.dbfile {
            Some(path) => line(f, origins, "dbfile", &Escaped(path.as_bytes()))?,
            None => line(f, origins, "dbfile", &"none: bans end with a reboot")?,
        }
        if let Some(path) = &config.dbshort {
            line(f, origins, "dbshort", &Escaped(path.as_bytes()))?;
        }
        match config.dbpurgeage {
            Some(seconds) => line(f, origins, "dbpurgeage", &Span(seconds))?,
            None => line(f, origins, "dbpurgeage", &"never")?,
        }
        match config.onstop {
            OnStop::Keep => line(f, origins, "onstop", &"keep: bans stay in force")?,
            OnStop::Remove => line(f, origins, "onstop", &"remove: all bans are lifted")?,
        }
        line(f, origins, "socket", &Escaped(config.socket.as_bytes()))
    }
}

/// How the time of a ban grows.
struct Growing<'c>(&'c Escalation);

impl fmt::Display for Growing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Escalation {
            multipliers,
            maxtime,
            rndtime,
            overalljails,
        } = self.0;
        f.write_str("times")?;
        for step in multipliers.iter().take(5) {
            write!(f, " {}", step / 1000)?;
            if step % 1000 != 0 {
                write!(f, ".{:03}", step % 1000)?;
            }
        }
        if multipliers.len() > 5 {
            f.write_str(" ...")?;
        }
        if let Some(most) = maxtime {
            write!(f, ", {} at most", Span(*most))?;
        }
        if *rndtime > 0 {
            write!(f, ", and up to {} by chance", Span(*rndtime))?;
        }
        f.write_str(if *overalljails { ", over all jails" } else { "" })
    }
}

fn write_jail(f: &mut fmt::Formatter<'_>, jail: &Jail, notifyuser: &str) -> fmt::Result {
    let origins = &jail.origins;
    write!(f, "jail {}", jail.name)?;
    line(f, origins, "filter", &jail.filter)?;
    if let Some(own) = &jail.own {
        line(
            f,
            origins,
            "failregex",
            &format_args!("{} of its own", own.fail.len()),
        )?;
        line(
            f,
            origins,
            "ignoreregex",
            &format_args!("{} of its own", own.ignore.len()),
        )?;
    }
    match &jail.feed {
        Feed::Files => {}
        Feed::Journal(terms) => {
            line(f, origins, "backend", &"systemd: the journal, by journalctl")?;
            line(f, origins, "journalmatch", &terms.join(" "))?;
        }
        Feed::Logread => line(f, origins, "backend", &"logread: logd, by logread -f")?,
    }
    for path in &jail.logpaths {
        line(f, origins, "logpath", &Escaped(path.as_bytes()))?;
    }
    line(
        f,
        origins,
        "maxretry",
        &format_args!("{} failures", jail.maxretry),
    )?;
    line(
        f,
        origins,
        "findtime",
        &format_args!("within {}", Span(jail.findtime)),
    )?;
    write_bantime(f, jail)?;
    write_evidence(f, jail)?;
    for net in &jail.ignoreip {
        line(f, origins, "ignoreip", net)?;
    }
    write_lookups(f, jail, notifyuser)?;
    let runs = jail.actions.iter().any(|action| action.role() == Role::Commands);
    if jail.blocks.is_empty() && !runs {
        line(f, origins, "action", &"blocks nothing")?;
    }
    for block in &jail.blocks {
        line(f, origins, "action", block)?;
    }
    let reach = match (jail.reach, jail.reaches_by_proof()) {
        (Reach::All, _) => "all: of forged sources, too",
        (Reach::Proof, true) => "proof: if unproven, not what answers us",
        (Reach::Proof, false) => "proof: all, no line can be forged",
    };
    line(f, origins, "reach", &reach)?;
    write_actions(f, jail, notifyuser)?;
    f.write_str("\n\n")
}

/// How long bans are.
fn write_bantime(f: &mut fmt::Formatter<'_>, jail: &Jail) -> fmt::Result {
    let origins = &jail.origins;
    match jail.bantime {
        Some(seconds) => line(f, origins, "bantime", &Span(seconds))?,
        None => line(f, origins, "bantime", &"for ever")?,
    }
    if let Some(seconds) = jail.bantime_unproven {
        let most = format_args!("{} at most, if unproven", Span(seconds));
        line(f, origins, "bantime.unproven", &most)?;
    }
    if let Some(escalation) = &jail.escalation {
        line(f, origins, "bantime.increment", &Growing(escalation))?;
    }
    Ok(())
}

/// What is asked before a ban, and of whom.
fn write_lookups(f: &mut fmt::Formatter<'_>, jail: &Jail, notifyuser: &str) -> fmt::Result {
    let origins = &jail.origins;
    for name in &jail.ignorenames {
        line(
            f,
            origins,
            "ignoreip",
            &format_args!("{name}, looked up every {}", Span(LOOKUP_EVERY_SECONDS)),
        )?;
    }
    if let Some(IgnoreCommand { script, cache }) = &jail.ignorecommand {
        let what = format_args!("asked before a ban, as {notifyuser}, at most {IGNORECOMMAND_SECONDS} s:");
        line(f, origins, "ignorecommand", &what)?;
        for command in script.lines() {
            write!(f, "\n    {command}")?;
        }
        match cache {
            Some(IgnoreCache { count, seconds }) => {
                let what = format_args!("{count} answers, for {}", Span(*seconds));
                line(f, origins, "ignorecache", &what)?;
            }
            None => line(f, origins, "ignorecache", &"no answer is kept")?,
        }
    }
    match jail.usedns {
        UseDns::No => Ok(()),
        UseDns::Warn => line(f, origins, "usedns", &"names in lines support other evidence"),
        UseDns::Yes => line(f, origins, "usedns", &"addresses of names in lines are banned"),
    }
}

/// What the jail's actions do beside the kernel.
fn write_actions(f: &mut fmt::Formatter<'_>, jail: &Jail, notifyuser: &str) -> fmt::Result {
    let origins = &jail.origins;
    for action in &jail.actions {
        match &action.does {
            Does::Mail(letter) => {
                line(f, origins, "action", &format_args!("{letter}, as {notifyuser}"))?;
                if letter.lines {
                    line(
                        f,
                        origins,
                        "maxmatches",
                        &format_args!("{} lines", jail.maxmatches),
                    )?;
                }
            }
            Does::Run(commands) => {
                let name = Escaped(action.name.as_bytes());
                line(
                    f,
                    origins,
                    "action",
                    &format_args!("runs {name} as root, each at most {} s:", commands.timeout),
                )?;
                write_commands(f, commands)?;
            }
        }
    }
    Ok(())
}

/// The commands of an action, a line each; IPv6's only where they differ.
fn write_commands(f: &mut fmt::Formatter<'_>, commands: &Commands) -> fmt::Result {
    let [four, six] = &commands.families;
    for (key, script) in four.each() {
        for command in script.lines() {
            write!(f, "\n    {key:<9} {command}")?;
        }
    }
    for (key, script) in six
        .each()
        .filter(|&of_six| !four.each().any(|of_four| of_four == of_six))
    {
        let key = format!("{key} v6");
        for command in script.lines() {
            write!(f, "\n    {key:<9} {command}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Letter {
    /// `mails root@example.org from Fail2Ban <root@localhost>, with whois and log lines`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dest = self.dest.join(" ");
        let (name, sender) = (
            Escaped(self.sendername.as_bytes()),
            Escaped(self.sender.as_bytes()),
        );
        write!(f, "mails {} from {name} <{sender}>", Escaped(dest.as_bytes()))?;
        match (self.whois, self.lines) {
            (true, true) => f.write_str(", with whois and log lines")?,
            (true, false) => f.write_str(", with whois")?,
            (false, true) => f.write_str(", with log lines")?,
            (false, false) => {}
        }
        match self.buffered {
            Some(count) => write!(f, ", {count} bans in one"),
            None => Ok(()),
        }
    }
}

/// What counts beside the number of failures. Only an Asterisk's log tells.
fn write_evidence(f: &mut fmt::Formatter<'_>, jail: &Jail) -> fmt::Result {
    if jail.filter != FilterName::Asterisk {
        return Ok(());
    }
    let (origins, evidence) = (&jail.origins, &jail.evidence);
    if *evidence == Evidence::default() {
        return line(f, origins, "counting", &"plain: as fail2ban does");
    }
    line(f, origins, "counting", &"evidence: by who it may be")?;
    for (key, threshold, what) in [
        (
            "maxretry.known",
            evidence.known,
            "failures where a password was right",
        ),
        ("maxretry.phone", evidence.phone, "failures of a phone's"),
        ("maxretry.challenge", evidence.challenge, "challenges unanswered"),
        ("maxretry.slow", evidence.slow, "accounts in findtime.slow"),
        ("floodrate", evidence.flood, "unproven bans a minute"),
    ] {
        match threshold {
            // What is built in need not be said of every jail.
            _ if origins.get(key).is_none() => {}
            None => line(f, origins, key, &"off")?,
            Some(most) => line(f, origins, key, &format_args!("{most} {what}"))?,
        }
    }
    if evidence.bannet != Bannet::Off && origins.get("bannet").or(origins.get("bannet.members")).is_some() {
        let what = if evidence.bannet == Bannet::On {
            "banned"
        } else {
            "told"
        };
        line(
            f,
            origins,
            "bannet",
            &format_args!("/24, /56, /48 {what} with {} members", evidence.members),
        )?;
    }
    if origins.get("findtime.slow").is_some() {
        line(f, origins, "findtime.slow", &Span(evidence.slow_findtime))?;
    }
    Ok(())
}

/// `  findtime    within 10m                          /etc/sipguard/jail.local:7`
fn line(f: &mut fmt::Formatter<'_>, origins: &Origins, key: &str, value: &dyn fmt::Display) -> fmt::Result {
    let value = value.to_string();
    match origins.get(key) {
        Some(origin) => write!(f, "\n  {key:<11} {value:<40} {origin}"),
        None => write!(f, "\n  {key:<11} {value:<40} built in"),
    }
}

impl fmt::Display for FilterName {
    /// `asterisk`, `sshd[mode=aggressive]`, `freeswitch: 2 expressions, blind`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterName::Recidive => f.write_str("recidive: the bans of all other jails"),
            FilterName::Asterisk | FilterName::Dropbear => f.write_str(self.name()),
            FilterName::Sshd(sshd::Mode::Normal) => f.write_str("sshd"),
            FilterName::Sshd(sshd::Mode::Ddos) => f.write_str("sshd[mode=ddos]"),
            FilterName::Sshd(sshd::Mode::Extra) => f.write_str("sshd[mode=extra]"),
            FilterName::Sshd(sshd::Mode::Aggressive) => f.write_str("sshd[mode=aggressive]"),
            FilterName::Custom(definition) => write!(
                f,
                "{}: {} expressions, {}",
                Escaped(definition.name.as_bytes()),
                definition.fail.len(),
                definition.proof.name()
            ),
        }
    }
}

impl fmt::Display for Block {
    /// `drops tcp and udp to port 5060-5061`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocol {
            Protocol::All => return f.write_str("drops everything from the source"),
            Protocol::Tcp => "drops tcp to ",
            Protocol::Udp => "drops udp to ",
            Protocol::TcpUdp => "drops tcp and udp to ",
        })?;
        if self.ports.is_empty() {
            return f.write_str("every port");
        }
        f.write_str("port ")?;
        for (number, (first, last)) in self.ports.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "," })?;
            write!(f, "{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}
