//! Verdicts and unbans as the children hear of them, that mail and run commands.

use core::net::IpAddr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use ipnet::IpNet;
use log::warn;

use super::TARGET;
use super::log_names::LogNames;
use crate::action::message::Event;
use crate::action::recent::Recent;
use crate::action::{Does, Mailer, Role, needs, plan};
use crate::config::Config;
use crate::feed;
use crate::guard::{Ban, Guard, JailId, Question, Verdict};
use crate::limits::ACTIONS_STOP_SECONDS;
use crate::notify::link::{Heard, Link, Source};
use crate::notify::record::Record;
use crate::sys::{Fault, clock, poll, program};
use crate::time::{Mono, Wall};

/// What a jail's bans have to be told to, and with what.
#[derive(Clone, Copy, Default)]
struct Needs {
    mail: bool,
    commands: bool,
    /// So many lines of a source are kept; 0: none are wanted.
    lines: u32,
    maxretry: u32,
}

/// What is told, and to whom. Nothing, if no action needs a child.
#[derive(Default)]
pub(super) struct Notices {
    links: Vec<Link>,
    jails: Vec<Needs>,
    recent: Option<Recent>,
    now: Mono,
    utc: Wall,
}

impl Notices {
    /// Starts the children that this configuration needs, while we may still start something.
    pub(super) fn start(config: &Config, path: &Path, record: &Record) -> Result<Notices, Fault> {
        let mut notices = Notices::default();
        // A child stands in another directory than we.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        for role in Role::ALL {
            if !needs(config, role) {
                continue;
            }
            let link = Link::start(
                role,
                &config.notifyuser,
                path,
                record,
                (plan(config, role), config.jails.len()),
            )
            .map_err(|source| Fault::new(format!("cannot start the {} child", role.name()), source))?;
            notices.links.push(link);
        }
        notices.adopt(config);
        warn_of_absent(config);
        Ok(notices)
    }

    fn adopt(&mut self, config: &Config) {
        let jails = config.jails.iter().map(|jail| {
            let has = |role| jail.actions.iter().any(|action| action.role() == role);
            let lines = jail.actions.iter().any(crate::action::Action::wants_lines);
            Needs {
                mail: has(Role::Mail),
                commands: has(Role::Commands),
                lines: if lines { jail.maxmatches } else { 0 },
                maxretry: jail.maxretry,
            }
        });
        self.jails = jails.collect();
        // Numbers of jails may mean others now.
        let lines = self.jails.iter().any(|jail| jail.lines > 0);
        self.recent = lines.then(Recent::default);
    }

    /// Takes over another configuration.
    pub(super) fn reload(&mut self, config: &Config) {
        for role in Role::ALL {
            let has = self.links.iter().any(|link| link.role() == role);
            if needs(config, role) && !has {
                let what = match role {
                    Role::Mail => "mails are sent",
                    Role::Commands => "commands are run",
                    Role::Lookups => "names are looked up and ignorecommand is asked",
                };
                warn!(target: TARGET, "no {what} before the guard is restarted: it can start no child any more");
            }
        }
        self.adopt(config);
        for link in &mut self.links {
            link.reload(plan(config, link.role()), config.jails.len());
        }
        warn_of_absent(config);
    }

    /// The guard is in force.
    pub(super) fn begin(&mut self) {
        self.links.iter_mut().for_each(Link::begin);
    }

    /// What is readable when a child says something.
    pub(super) fn fds(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [0, 1, 2].map(|number| self.links.get(number).and_then(Link::fd))
    }

    /// Takes what the children say.
    pub(super) fn listen(&mut self) {
        self.links.iter_mut().for_each(Link::listen);
    }

    pub(super) fn begin_turn(&mut self, now: Mono, utc: Wall) {
        (self.now, self.utc) = (now, utc);
    }

    /// Keeps the line of a failure, if the jail shows lines.
    pub(super) fn line(&mut self, jail: JailId, source: IpAddr, line: &[u8]) {
        let most = self.needs(jail).lines;
        if let Some(recent) = &mut self.recent {
            recent.push(source, jail, line, most);
        }
    }

    pub(super) fn banned(&mut self, verdict: &Verdict) {
        if let Some(displaced) = &verdict.displaced {
            self.unbanned(displaced);
        }
        self.tell(&verdict.ban, verdict.why.failures);
    }

    /// A ban that a person asked for, whatever failed.
    pub(super) fn banned_by_hand(&mut self, ban: &Ban) {
        self.tell(ban, 0);
    }

    fn tell(&mut self, ban: &Ban, failures: u32) {
        let event = Event {
            failures,
            ..self.event(ban)
        };
        let Needs { mail, commands, .. } = self.needs(ban.jail);
        for link in &mut self.links {
            match link.role() {
                Role::Mail if mail => link.banned(event),
                Role::Commands if commands => link.banned(event),
                Role::Mail | Role::Commands | Role::Lookups => {}
            }
        }
    }

    pub(super) fn unbanned(&mut self, ban: &Ban) {
        if self.needs(ban.jail).commands {
            let event = self.event(ban);
            self.links.iter_mut().for_each(|link| link.unbanned(event));
        }
    }

    /// Whether a question can be sent soon. `None`: nobody will ever answer.
    pub(super) fn has_place_for_questions(&self) -> Option<bool> {
        let mut links = self.links.iter().filter(|link| link.role() == Role::Lookups);
        links.find_map(Link::has_place)
    }

    fn lookups(&mut self) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.role() == Role::Lookups)
    }

    /// Asks whether an address is ignored.
    pub(super) fn ask(&mut self, question: &Question) {
        let JailId(jail) = question.jail;
        let Wall(time) = self.utc;
        let event = Event {
            jail,
            net: IpNet::from(question.addr),
            failures: question.failures,
            bantime: None,
            time,
            restored: false,
        };
        if let Some(link) = self.lookups() {
            link.ask(event);
        }
    }

    /// Asks for the addresses of the name of this number.
    pub(super) fn resolve(&mut self, number: u16) {
        if let Some(link) = self.lookups() {
            link.resolve(number);
        }
    }

    /// The next thing that the lookups child has found out.
    pub(super) fn next_heard(&mut self) -> Option<Heard> {
        self.links.iter_mut().find_map(Link::next_heard)
    }

    /// Sends what the children have room for.
    pub(super) fn flush(&mut self, guard: &Guard, names: &LogNames) {
        let (links, source) = self.with_known(guard, names);
        for link in links {
            link.flush(&source);
        }
    }

    /// The children, and what is known when something is sent to them.
    fn with_known<'k>(&'k mut self, guard: &'k Guard, names: &'k LogNames) -> (&'k mut Vec<Link>, Known<'k>) {
        let known = Known {
            recent: self.recent.as_ref(),
            jails: &self.jails,
            guard,
            names,
            now: self.now,
            utc: self.utc,
        };
        (&mut self.links, known)
    }

    /// Has the children stop what the actions began, and waits for them: the guard does nothing else any more.
    pub(super) fn stop(&mut self, guard: &Guard, names: &LogNames) -> io::Result<()> {
        let end = clock::boottime()?.plus_seconds(ACTIONS_STOP_SECONDS);
        let (links, source) = self.with_known(guard, names);
        links.iter_mut().for_each(Link::stop);
        loop {
            links.retain_mut(|link| !link.has_stopped(&source));
            let left = end.millis_since(clock::boottime()?);
            if links.is_empty() {
                return Ok(());
            }
            if left == 0 {
                let names: Vec<&str> = links.iter().map(|link| link.role().name()).collect();
                warn!(target: TARGET, "not ended within {ACTIONS_STOP_SECONDS} s, and killed: {}", names.join(", "));
                return Ok(());
            }
            let fds: Vec<BorrowedFd<'_>> = links.iter().filter_map(Link::fd).collect();
            poll::readable_of(&fds, Some(left))?;
        }
    }

    fn needs(&self, jail: JailId) -> Needs {
        self.jails.get(usize::from(jail.0)).copied().unwrap_or_default()
    }

    fn event(&self, ban: &Ban) -> Event {
        event(ban, self.needs(ban.jail).maxretry, self.now, self.utc)
    }
}

/// A ban as the children hear of it.
fn event(ban: &Ban, failures: u32, now: Mono, utc: Wall) -> Event {
    let Wall(utc) = utc;
    let ago = i64::try_from(now.seconds_since(ban.since)).unwrap_or(0);
    Event {
        jail: ban.jail.0,
        net: ban.net,
        failures,
        bantime: ban.until.map(|until| until.seconds_since(ban.since)),
        time: utc.saturating_sub(ago),
        restored: false,
    }
}

/// What is known when something is sent.
struct Known<'a> {
    recent: Option<&'a Recent>,
    jails: &'a [Needs],
    guard: &'a Guard,
    names: &'a LogNames,
    now: Mono,
    utc: Wall,
}

impl Source for Known<'_> {
    fn lines(&self, net: IpNet, jail: JailId) -> impl Iterator<Item = &[u8]> {
        self.recent
            .into_iter()
            .flat_map(move |recent| recent.lines(net, jail))
    }

    fn name(&self, place: u16) -> &[u8] {
        self.names.name(place).unwrap_or_default().as_bytes()
    }

    fn ban_from(&self, jail: JailId, mut from: u32) -> Option<(u32, Event)> {
        // A jail without commands costs no walk over all bans.
        let needs = self
            .jails
            .get(usize::from(jail.0))
            .filter(|needs| needs.commands)?;
        loop {
            let (next, ban) = self.guard.ban_from(from)?;
            if ban.jail == jail {
                return Some((next, event(&ban, needs.maxretry, self.now, self.utc)));
            }
            from = next;
        }
    }
}

/// Says which programs the mails and feeds need and are not there.
fn warn_of_absent(config: &Config) {
    for what in absent(config) {
        warn!(target: TARGET, "{what}");
    }
}

/// What is missing on this machine for the mails and feeds of this configuration, a line each.
pub(crate) fn absent(config: &Config) -> Vec<String> {
    let letters = || {
        let actions = config.jails.iter().flat_map(|jail| &jail.actions);
        actions.filter_map(|action| match &action.does {
            Does::Mail(letter) => Some(letter),
            Does::Run(_) => None,
        })
    };
    let needed = [
        (
            "sendmail",
            letters().any(|letter| letter.by == Mailer::Sendmail),
            "no mail is sent; install exim4, postfix or msmtp-mta",
        ),
        (
            "mail",
            letters().any(|letter| letter.by == Mailer::Mail),
            "no mail is sent; install mailx, or write mta = sendmail",
        ),
        (
            "whois",
            letters().any(|letter| letter.whois),
            "mails come without its answers",
        ),
    ];
    let absent = needed
        .iter()
        .filter(|(name, needed, _)| *needed && program::find(name).is_none());
    absent
        .map(|(name, _, what)| format!("there is no program {name}: {what}"))
        .chain(feed::absent(config))
        .collect()
}
