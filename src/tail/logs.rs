//! What the loop asks of the log files: [`super::Tail`] has real ones, and a simulator its own.

use std::path::Path;

use super::{Line, Position, Tail};
use crate::time::Mono;

/// Where lines come from, and how far they were read.
pub trait Logs {
    /// As [`Tail::remember`].
    fn remember(&mut self, path: &Path, position: Position);
    /// As [`Tail::read`].
    fn read(&mut self, now: Mono, each: &mut dyn FnMut(Line<'_>)) -> bool;
    /// How far each log was read: all lines before it were given.
    fn positions(&self, each: &mut dyn FnMut(&Path, Position));
}

impl Logs for Tail {
    fn remember(&mut self, path: &Path, position: Position) {
        self.remember(path, position);
    }

    fn read(&mut self, now: Mono, each: &mut dyn FnMut(Line<'_>)) -> bool {
        self.read(now, each)
    }

    fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        for file in self.files() {
            if let Some(position) = file.position.filter(|_| !self.is_pipe(file.file)) {
                each(file.path, position);
            }
        }
    }
}
