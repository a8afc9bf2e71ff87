//! `sipguard run`: guard, in the foreground, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use log::{LevelFilter, error};
use simple_logger::SimpleLogger;

use super::Failed;
use crate::daemon::Daemon;
use crate::sys::log::{self as own_log, Destination};

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
    /// log to the system's log (/dev/log), where standard error is read by nobody
    #[argh(switch)]
    syslog: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let level = if self.verbose {
            LevelFilter::Debug
        } else {
            LevelFilter::Info
        };
        let is_kept = if self.dry_run {
            // A second logger can only be a mistake of ours in one process; the first goes on.
            let _ = SimpleLogger::new().with_level(level).init();
            false
        } else {
            // simple_logger waits for whoever reads the log, and panics when it is gone. A guard does neither.
            let destination = if self.syslog {
                Destination::Syslog
            } else {
                Destination::Stderr
            };
            own_log::start(level, destination)
        };
        let done = Daemon::start(self.config, self.dry_run)
            .and_then(|mut daemon| daemon.run().map_err(Failed::from));
        match done {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(failed) if is_kept => {
                let (text, code) = (failed.to_string(), failed.code());
                error!(target: "sipguard", "{}", text.trim_end());
                Ok(ExitCode::from(code))
            }
            Err(failed) => Err(failed),
        }
    }
}
