//! `sipguard check`: what would run, and what the kernel offers.

use std::path::PathBuf;

use argh::FromArgs;

use super::{Failed, say};
use crate::firewall::{Firewall, IpsetOffer, Offer, Protection};
use crate::{config, daemon};

/// show what would run, where each setting comes from, and what the kernel offers
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
pub(super) struct Check {
    /// configuration file (default: /etc/sipguard/jail.local; without it, built-in defaults)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failed> {
        let (config, warnings) = daemon::load(self.config.as_deref())?;
        say(&config::describe(&config).to_string())?;
        for warning in warnings {
            say(&format!("warning: {warning}"))?;
        }
        say("")?;
        for line in offer(&Firewall::probe()) {
            say(&line)?;
        }
        Ok(())
    }
}

/// What the kernel offers, a line each.
fn offer(offer: &Offer) -> [String; 2] {
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
    ]
}
