//! `sipguard check`: what would run, and what the kernel offers.

use std::path::PathBuf;

use argh::FromArgs;

use super::{Failed, say};
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
        Ok(())
    }
}
