//! One state file that only grows, until it is written anew.
//!
//! It is written anew in slices of [`STORE_SLICE_BYTES`], each synced, beside the old one, and then takes its name;
//! what is appended meanwhile goes into both. A journal that cannot be written is failing: it keeps no queue, for
//! the truth is in memory, and is written anew from it as soon as that can be done.

use std::collections::VecDeque;
use std::io;

use super::disk::{Disk, Name};
use super::notice::{Notice, What};
use super::record::{Record, VERSION};
use crate::limits::{NOTICES_MAX, STORE_BACKLOG_BYTES_MAX, STORE_RETRY_SECONDS, STORE_SLICE_BYTES};
use crate::time::Mono;

#[derive(Debug)]
pub(super) struct Journal<D> {
    disk: D,
    /// `None`: there is no file.
    size: Option<u64>,
    /// A crash may forget the file's name.
    is_new: bool,
    /// It cannot be written.
    failing: bool,
    /// When it was last begun to write it anew because of that.
    tried: Option<Mono>,
    rewrite: Option<Rewrite>,
    /// The file that is there is not written anew before this.
    rests_until: Mono,
    /// It was told that the file that is there cannot be written anew.
    told_growing: bool,
    notices: VecDeque<Notice>,
}

/// The file that will take the journal's place.
#[derive(Debug)]
struct Rewrite {
    backlog: Vec<u8>,
    written: u64,
    /// Everything that is kept is in it.
    whole: bool,
}

impl<D: Disk> Journal<D> {
    /// Looks for the file, and removes what a crash left of another.
    pub(super) fn open(mut disk: D) -> Journal<D> {
        let size = disk.size(Name::Live);
        let _ = disk.remove(Name::New);
        let mut journal = Journal {
            disk,
            size: None,
            is_new: true,
            failing: false,
            tried: None,
            rewrite: None,
            rests_until: Mono(0),
            told_growing: false,
            notices: VecDeque::new(),
        };
        match size {
            Ok(size) => journal.size = Some(size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => journal.unreadable(error),
        }
        journal
    }

    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.size {
            Some(_) => self.disk.read(Name::Live, offset, buffer),
            None => Ok(0),
        }
    }

    /// The file is there and cannot be read. What is known of it is written anew.
    pub(super) fn unreadable(&mut self, error: io::Error) {
        self.tell(What::Unreadable(error));
        self.failing = true;
    }

    /// Cuts off a line that was not finished, so that the next one stands for itself.
    pub(super) fn cut(&mut self, bytes: u64) {
        let Some(size) = self.size.map(|size| size.saturating_sub(bytes)) else {
            return;
        };
        match self.disk.truncate(Name::Live, size) {
            Ok(()) => self.size = Some(size),
            Err(error) => self.fail(error),
        }
    }

    /// Puts lines that could not be read where a person can look at them.
    pub(super) fn set_aside(&mut self, lines: &[u8]) {
        let done = self.disk.create(Name::Damaged);
        // Whoever cannot write this cannot write the journal either, and that is told.
        let _ = done.and_then(|()| self.disk.append(Name::Damaged, lines));
    }

    /// The length of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size.unwrap_or(0)
    }

    /// Whether what is appended goes nowhere.
    pub(super) fn is_lost(&self) -> bool {
        self.failing && self.rewrite.is_none()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    pub(super) fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    /// When a failing journal is to be written anew.
    pub(super) fn retry_at(&self) -> Option<Mono> {
        let at = |tried: Mono| tried.plus_seconds(STORE_RETRY_SECONDS);
        self.failing.then(|| self.tried.map_or(Mono(0), at))
    }

    /// Whether the file that is there may be written anew.
    pub(super) fn may_rewrite(&self, now: Mono) -> bool {
        self.size.is_some() && self.rests_until <= now
    }

    /// Appends whole lines. `false`: they are in no file.
    pub(super) fn append(&mut self, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.take(lines);
        }
        if self.failing {
            return self.rewrite.is_some();
        }
        if let Err(error) = self.append_live(lines) {
            self.fail(error);
            return false;
        }
        true
    }

    fn append_live(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.size.is_none() {
            self.disk.create(Name::Live)?;
            (self.size, self.is_new) = (Some(0), true);
        }
        if self.size == Some(0) {
            let head = head();
            self.disk.append(Name::Live, &head)?;
            self.size = Some(head.len() as u64);
        }
        self.disk.append(Name::Live, lines)?;
        self.size = self.size.map(|size| size + lines.len() as u64);
        Ok(())
    }

    /// Waits until what was appended is on the medium.
    pub(super) fn sync(&mut self) {
        if self.failing || self.size.is_none() {
            return;
        }
        let mut synced = self.disk.sync(Name::Live);
        if self.is_new {
            synced = synced.and_then(|()| self.disk.sync_names());
        }
        match synced {
            Ok(()) => self.is_new = false,
            Err(error) => self.fail(error),
        }
    }

    /// Begins to write the file anew. `clock` is the clock record in force.
    pub(super) fn begin_rewrite(&mut self, clock: &[u8], now: Mono) {
        if self.failing {
            self.tried = Some(now);
        }
        match self.disk.create(Name::New) {
            Ok(()) => {
                let mut backlog = head();
                backlog.extend_from_slice(clock);
                self.rewrite = Some(Rewrite {
                    backlog,
                    written: 0,
                    whole: false,
                });
            }
            Err(error) => self.abandon(error, now),
        }
    }

    /// Where to put what is kept.
    pub(super) fn backlog(&mut self) -> Option<&mut Vec<u8>> {
        self.rewrite.as_mut().map(|rewrite| &mut rewrite.backlog)
    }

    /// Everything that is kept is in the backlog, and from here on everything that is appended.
    pub(super) fn is_whole(&mut self) {
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.whole = true;
        }
    }

    /// Writes and syncs one slice. `true`: the new file has taken the old one's place.
    pub(super) fn step(&mut self, now: Mono) -> bool {
        let Some(rewrite) = &mut self.rewrite else {
            return false;
        };
        let slice = rewrite.backlog.len().min(STORE_SLICE_BYTES);
        let bytes = rewrite.backlog.get(..slice).unwrap_or_default();
        let mut done = if rewrite.backlog.len() > STORE_BACKLOG_BYTES_MAX {
            Err(io::Error::other("more comes in than can be written"))
        } else if bytes.is_empty() {
            Ok(())
        } else {
            let append = self.disk.append(Name::New, bytes);
            append.and_then(|()| self.disk.sync(Name::New))
        };
        rewrite.backlog.drain(..slice);
        rewrite.written += slice as u64;
        let (ready, written) = (rewrite.whole && rewrite.backlog.is_empty(), rewrite.written);
        if ready {
            done = done.and_then(|()| self.disk.replace());
        }
        match done {
            Err(error) => self.abandon(error, now),
            Ok(()) if ready => return self.finish(written),
            Ok(()) => {}
        }
        false
    }

    fn finish(&mut self, size: u64) -> bool {
        self.rewrite = None;
        (self.size, self.is_new) = (Some(size), false);
        if let Err(error) = self.disk.sync_names() {
            self.fail(error);
            return false;
        }
        self.told_growing = false;
        if core::mem::take(&mut self.failing) {
            self.tell(What::Recovered);
        }
        true
    }

    /// Gives up a new file. The old one goes on, if it can be written.
    fn abandon(&mut self, error: io::Error, now: Mono) {
        self.end_rewrite();
        self.rests_until = now.plus_seconds(STORE_RETRY_SECONDS);
        if !self.failing && !core::mem::replace(&mut self.told_growing, true) {
            self.tell(What::Growing(error));
        }
    }

    /// Leaves the old file as it is.
    pub(super) fn end_rewrite(&mut self) {
        if self.rewrite.take().is_some() {
            let _ = self.disk.remove(Name::New);
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.end_rewrite();
        if !core::mem::replace(&mut self.failing, true) {
            self.tell(What::Failing(error));
        }
    }

    pub(super) fn tell(&mut self, what: What) {
        if self.notices.len() < NOTICES_MAX {
            let path = self.disk.path();
            self.notices.push_back(Notice { path, what });
        }
    }

    pub(super) fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }
}

impl Rewrite {
    /// Takes lines that are appended to the journal. Until everything that is kept is in the backlog, those that need
    /// a commit are left out: what they say is in memory by then, and comes from there.
    fn take(&mut self, lines: &[u8]) {
        if self.whole {
            self.backlog.extend_from_slice(lines);
            return;
        }
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let commits = [&b"failure "[..], b"read ", b"commit "];
            if !commits.iter().any(|word| line.starts_with(word)) {
                self.backlog.extend_from_slice(line);
            }
        }
    }
}

fn head() -> Vec<u8> {
    let mut head = Vec::new();
    Record::Head(VERSION).write(&mut head);
    head
}
