//! `sipguard reload`: has the running guard read its configuration again.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;

use super::{Failed, ask};

/// read the configuration again: all of it, or nothing if it is wrong
#[derive(FromArgs)]
#[argh(subcommand, name = "reload")]
pub(super) struct Reload {
    /// socket of the guard (default: what the configuration says)
    #[argh(option)]
    socket: Option<PathBuf>,
    /// configuration file that names the socket (default: /etc/sipguard/jail.local)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
}

impl Reload {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let path = ask::socket(self.socket, self.config.as_deref())?;
        ask::ask(&path, &["reload".to_owned()])
    }
}
