//! `sipguard status`: how the running guard stands.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;

use super::{Failed, ask};

/// show how the running guard stands; with a jail, also who is banned
#[derive(FromArgs)]
#[argh(subcommand, name = "status")]
pub(super) struct Status {
    /// the jail whose bans are listed
    #[argh(positional)]
    jail: Option<String>,
    /// as one JSON object, for programs
    #[argh(switch)]
    json: bool,
    /// socket of the guard (default: what the configuration says)
    #[argh(option)]
    socket: Option<PathBuf>,
    /// configuration file that names the socket (default: /etc/sipguard/jail.local)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

impl Status {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let mut words = "status".to_owned();
        if let Some(jail) = &self.jail {
            words += &format!(" {jail}");
        }
        if self.json {
            words += " --json";
        }
        let path = ask::socket(self.socket, self.config.as_deref())?;
        ask::ask(&path, &[words])
    }
}
