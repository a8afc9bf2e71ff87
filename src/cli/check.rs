//! `sipguard check`: what would run, what the kernel offers, and what Asterisk's log leaves out.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use argh::FromArgs;

use super::{Failed, say};
use crate::action::{Role, needs};
use crate::advice::{self, Directory, advise};
use crate::config::Config;
use crate::firewall::{Firewall, IpsetOffer, Offer, Protection, STATELESS};
use crate::limits::{ASTERISK_CONFIG_BYTES_MAX, DIRECTORY_ENTRIES_MAX};
use crate::power::Plan;
use crate::{config, daemon, feed};

/// show what would run, where each setting comes from, what the kernel offers, and what Asterisk's log leaves
/// out
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
pub(super) struct Check {
    /// configuration file (default: /etc/sipguard/jail.local; without it, built-in defaults)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
    /// directory of Asterisk's own configuration (default: /etc/asterisk)
    #[argh(option)]
    asterisk: Option<String>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failed> {
        let (config, warnings) = daemon::load(self.config.as_deref())?;
        say(&config::describe(&config).to_string())?;
        for warning in warnings {
            say(&format!("warning: {warning}"))?;
        }
        for absent in daemon::absent(&config) {
            say(&format!("warning: {absent}"))?;
        }
        say("")?;
        for line in offer(&Firewall::probe()) {
            say(&line)?;
        }
        let file = daemon::config_file(self.config.as_deref());
        for line in Plan::new(&config, file, true).describe() {
            say(&line)?;
        }
        for line in children(&config).into_iter().chain(feed::describe(&config)) {
            say(&line)?;
        }
        let directory = self
            .asterisk
            .as_deref()
            .map_or(Directory::Usual, Directory::Named);
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let advice = advise(&config, directory, hostname.trim_end(), &mut Machine);
        if !advice.is_empty() {
            say("")?;
        }
        for line in advice {
            say(&line.to_string())?;
        }
        Ok(())
    }
}

/// This machine's files.
struct Machine;

impl advice::Files for Machine {
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        // Opening a FIFO would hang.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::new();
        let most = ASTERISK_CONFIG_BYTES_MAX as u64 + 1;
        fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn names(&mut self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.take(DIRECTORY_ENTRIES_MAX).map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).collect()
    }

    fn resolve(&mut self, directory: &str) -> String {
        let path = fs::canonicalize(directory).unwrap_or_else(|_| Path::new(directory).to_owned());
        path.to_string_lossy().into_owned()
    }

    fn size(&mut self, path: &str) -> Option<u64> {
        fs::metadata(path).ok().map(|metadata| metadata.len())
    }
}

/// The children that this configuration needs, and what power each has, a line each.
fn children(config: &Config) -> Vec<String> {
    let user = &config.notifyuser;
    let needed = Role::ALL.into_iter().filter(|role| needs(config, *role));
    let power = |role: Role| match role {
        Role::Mail => format!("{user}, no capability; mail programs may be set-user-id, whois may not"),
        Role::Commands => "root, all capabilities: the commands of actions are run by it".to_owned(),
        Role::Lookups => format!("{user}, no capability, no new privileges: names, ignorecommand"),
    };
    let line = |role: Role| format!("child: {:<10} {}", role.name(), power(role));
    let lines: Vec<String> = needed.map(line).collect();
    if lines.is_empty() {
        return vec!["children: none".to_owned()];
    }
    lines
}

/// What the kernel offers, a line each.
fn offer(offer: &Offer) -> [String; 3] {
    let nftables = match &offer.nftables {
        Ok(Protection::Kernel) => "yes, and others cannot remove our table".to_owned(),
        Ok(Protection::Watching) => "yes".to_owned(),
        Err(fault) => format!("no: {fault}"),
    };
    let ipset = match &offer.ipset {
        Ok(IpsetOffer {
            iptables: Err(fault), ..
        }) => format!("no: iptables: {fault}"),
        Ok(IpsetOffer {
            ip6tables: Err(fault),
            ..
        }) => format!("for IPv4 only: ip6tables: {fault}"),
        Ok(IpsetOffer {
            revision,
            iptables: Ok(table),
            ..
        }) => {
            format!("yes (hash:ip revision {revision}, rules in table {table})")
        }
        Err(fault) => format!("no: {fault}"),
    };
    [
        format!("kernel: nftables  {nftables}"),
        format!("kernel: ipset     {ipset}"),
        match offer.tracks {
            true => "kernel: conntrack yes".to_owned(),
            false => format!("kernel: conntrack no: {STATELESS}"),
        },
    ]
}
