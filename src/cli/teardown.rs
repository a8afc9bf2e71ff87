//! `sipguard teardown`: take our table, sets and rules out of the kernel, for a package that is being removed.

use argh::FromArgs;

use super::Failed;
use crate::firewall::Firewall;

/// take everything of sipguard's out of the kernel: all bans end; the guard must be stopped
#[derive(FromArgs)]
#[argh(subcommand, name = "teardown")]
pub(super) struct Teardown {}

impl Teardown {
    pub(super) fn run(self) -> Result<(), Failed> {
        let Teardown {} = self;
        Ok(Firewall::clean()?)
    }
}
