//! `sipguard unban`: ends bans before their time.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;

use super::{Failed, ask};

/// end bans before their time
#[derive(FromArgs)]
#[argh(subcommand, name = "unban")]
pub(super) struct Unban {
    /// addresses; of IPv6 networks, too
    #[argh(positional)]
    addresses: Vec<String>,
    /// every ban
    #[argh(switch)]
    all: bool,
    /// only the bans of this jail
    #[argh(option)]
    jail: Option<String>,
    /// socket of the guard (default: what the configuration says)
    #[argh(option)]
    socket: Option<PathBuf>,
    /// configuration file that names the socket (default: /etc/sipguard/jail.local)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

impl Unban {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.all != self.addresses.is_empty() {
            return Err(Failed::Usage("unban whom? addresses, or --all".into()));
        }
        let jail = self
            .jail
            .map_or_else(String::new, |jail| format!(" --jail {jail}"));
        let mut requests: Vec<String> = self
            .addresses
            .iter()
            .map(|address| format!("unban {address}{jail}"))
            .collect();
        if self.all {
            requests.push(format!("unban --all{jail}"));
        }
        let path = ask::socket(self.socket, self.config.as_deref())?;
        ask::ask(&path, &requests)
    }
}
