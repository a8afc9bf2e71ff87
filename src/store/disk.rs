//! What a journal needs of a file system: [`crate::sys::disk::Directory`] is a real one, [`super::memory::Memory`]
//! one that fails and crashes as it is told.

use std::io;

/// The files of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The journal: `bans`.
    Live,
    /// What will take its place: `bans.new`.
    New,
    /// Lines of it that could not be read: `bans.damaged`.
    Damaged,
}

/// A directory with the files of one journal.
///
/// # Errors
/// What the system says. After an error of `append` any part of the bytes may have been written, after one of `sync`
/// nothing is known of what was written since the last one.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Disk {
    /// Reads at this offset; fewer bytes than the buffer holds mean the end.
    fn read(&mut self, name: Name, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// How long the file is; `NotFound` if there is none.
    fn size(&mut self, name: Name) -> io::Result<u64>;
    /// Makes an empty file, also in the place of one that is there, and its directory if that is missing.
    fn create(&mut self, name: Name) -> io::Result<()>;
    /// Writes all of these bytes at the end of the file.
    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the end of the file off.
    fn truncate(&mut self, name: Name, size: u64) -> io::Result<()>;
    /// Waits until what was written is on the medium.
    fn sync(&mut self, name: Name) -> io::Result<()>;
    /// Gives [`Name::New`] the name of [`Name::Live`].
    fn replace(&mut self) -> io::Result<()>;
    /// Removes a file; if there is none, that is fine.
    fn remove(&mut self, name: Name) -> io::Result<()>;
    /// Waits until the names of files are on the medium.
    fn sync_names(&mut self) -> io::Result<()>;
    /// The journal's name, for people.
    fn path(&self) -> String;
}
