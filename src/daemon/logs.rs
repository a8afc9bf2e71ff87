//! All that lines are read from: files, and feeds that children read.

use std::path::Path;

use super::jails::Jails;
use crate::config::{Config, Feed};
use crate::feed::readers::Readers;
use crate::sys::Fault;
use crate::tail::{self, FileStatus, Line, Position, Start, Tail};
use crate::time::Mono;

/// Files and feeds.
pub(super) struct Logs {
    pub(super) tail: Tail,
    pub(super) readers: Readers,
}

impl Logs {
    /// Follows nothing yet; the children that read feeds are started.
    pub(super) fn start(config: &Config) -> Result<Logs, Fault> {
        let readers = Readers::start(config)?;
        Ok(Logs {
            tail: Tail::new()?,
            readers,
        })
    }

    /// Follows what these jails read; what is followed already keeps its place.
    pub(super) fn follow(&mut self, jails: &Jails, now: Mono) -> Result<(), Fault> {
        for (pattern, readers) in jails.patterns() {
            self.tail.follow(pattern, readers, Start::End, now)?;
        }
        for (feed, readers) in jails.feeds() {
            self.readers.follow(feed, readers)?;
        }
        Ok(())
    }

    /// Follows what these jails read no more, but for what the others do.
    pub(super) fn unfollow(&mut self, jails: &Jails, others: &Jails, now: Mono) {
        for (pattern, _) in jails.patterns() {
            if others.patterns().all(|(wanted, _)| wanted != pattern) {
                self.tail.unfollow(pattern, now);
            }
        }
        let wanted: Vec<&Feed> = others.feeds().map(|(feed, _)| feed).collect();
        self.readers.keep_only(&wanted);
    }

    /// All of them.
    pub(super) fn files(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.tail.files().chain(self.readers.files())
    }
}

impl tail::Logs for Logs {
    fn remember(&mut self, path: &Path, position: Position) {
        if Readers::is_theirs(path) {
            self.readers.remember(path, position);
        } else {
            self.tail.remember(path, position);
        }
    }

    fn read(&mut self, now: Mono, each: &mut dyn FnMut(Line<'_>)) -> bool {
        let more = self.tail.read(now, each);
        self.readers.read(each) | more
    }

    fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        tail::Logs::positions(&self.tail, each);
        self.readers.positions(each);
    }
}
