//! `sipguard run`: guard, in the foreground, until told to stop.

use std::path::PathBuf;

use argh::FromArgs;
use log::LevelFilter;
use simple_logger::SimpleLogger;

use super::Failed;
use crate::daemon::Daemon;
use crate::sys;

/// guard in the foreground: read the logs, ban in the kernel
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub(super) struct Run {
    /// configuration file (default: /etc/sipguard/jail.local; without it, built-in defaults)
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
    /// say what would be banned and ban nothing; needs no privileges
    #[argh(switch)]
    dry_run: bool,
    /// say more: every counted failure
    #[argh(switch, short = 'v')]
    verbose: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failed> {
        let level = if self.verbose {
            LevelFilter::Debug
        } else {
            LevelFilter::Info
        };
        if self.dry_run {
            // A second logger can only be a mistake of ours in one process; the first goes on.
            let _ = SimpleLogger::new().with_level(level).init();
        } else {
            // simple_logger waits for whoever reads the log, and panics when it is gone. A guard does neither.
            sys::log::start(level);
        }
        let mut daemon = Daemon::start(self.config, self.dry_run)?;
        Ok(daemon.run()?)
    }
}
