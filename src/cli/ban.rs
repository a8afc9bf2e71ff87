//! `sipguard ban`: bans by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;

use super::{Failed, ask};

/// ban addresses, by the running guard
#[derive(FromArgs)]
#[argh(subcommand, name = "ban")]
pub(super) struct Ban {
    /// addresses; of IPv6 networks, too, of the length of ipv6prefix
    #[argh(positional)]
    addresses: Vec<String>,
    /// the jail that bans; needed only if there are several
    #[argh(option)]
    jail: Option<String>,
    /// for how long: 600, 10m, 2h, 7d, or -1 for ever (default: the jail's bantime)
    #[argh(option, long = "for")]
    lasting: Option<String>,
    /// even what is never banned: ignoreip, our own addresses, gateways and resolvers
    #[argh(switch)]
    force: bool,
    /// socket of the guard (default: what the configuration says)
    #[argh(option)]
    socket: Option<PathBuf>,
    /// configuration file that names the socket (default: /etc/sipguard/jail.local)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

impl Ban {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.addresses.is_empty() {
            return Err(Failed::Usage("ban whom?".into()));
        }
        let mut options = String::new();
        if let Some(jail) = &self.jail {
            options += &format!(" --jail {jail}");
        }
        if let Some(lasting) = &self.lasting {
            // The blanks of `1h 30m` mean nothing.
            options += &format!(" --for {}", lasting.replace(' ', ""));
        }
        if self.force {
            options += " --force";
        }
        let requests = self
            .addresses
            .iter()
            .map(|address| format!("ban {address}{options}"));
        let requests: Vec<String> = requests.collect();
        let path = ask::socket(self.socket, self.config.as_deref())?;
        ask::ask(&path, &requests)
    }
}
