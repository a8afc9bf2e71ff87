//! inotify(7): which files and directories changed.
//!
//! Events are read into one buffer and cut here: nix's own reader allocates for every event.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::Fault;

/// One inotify instance.
#[derive(Debug)]
pub struct Watcher {
    inotify: Inotify,
    buffer: Box<[u8; BUFFER_BYTES]>,
}

/// One watched inode. Two paths to the same inode have the same watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch(WatchDescriptor);

/// The number by which an event names its [`Watch`]; the kernel does not use a number again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchId(i32);

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file was written or truncated, or somebody opened a pipe or closed it after writing.
    Written(WatchId),
    /// An entry of a directory appeared, went away, or its permissions changed.
    Entry(WatchId, &'a [u8]),
    /// A watched directory or link was moved, removed, unmounted, or its permissions changed.
    Itself(WatchId),
    /// The queue was full and events are lost: everything has to be looked at.
    Overflow,
}

impl Watch {
    /// The number by which events name it.
    #[must_use]
    pub fn id(self) -> WatchId {
        WatchId(self.0.as_raw())
    }
}

impl Watcher {
    /// A new instance, non-blocking and closed on exec.
    ///
    /// # Errors
    /// If the kernel has no inotify, or the user has no instance left.
    pub fn new() -> Result<Watcher, Fault> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(|errno| {
            Fault::new("cannot watch files with inotify", errno.into())
                .hint("fs.inotify.max_user_instances may be too small")
        })?;
        Ok(Watcher {
            inotify,
            buffer: Box::new([0; BUFFER_BYTES]),
        })
    }

    /// Watches what is written to a file.
    ///
    /// # Errors
    /// What inotify_add_watch(2) says; `StorageFull` if the user has no watch left.
    pub fn file(&self, path: &Path) -> io::Result<Watch> {
        self.add(path, AddWatchFlags::IN_MODIFY)
    }

    /// Watches that somebody opens a named pipe, and that a writer closes it; what is written to it shows poll(2), also
    /// when a write is longer than a pipe holds, of which inotify tells only when it is over.
    ///
    /// # Errors
    /// As [`Watcher::file`].
    pub fn pipe(&self, path: &Path) -> io::Result<Watch> {
        self.add(path, AddWatchFlags::IN_OPEN | AddWatchFlags::IN_CLOSE_WRITE)
    }

    /// Watches which entries a directory has.
    ///
    /// # Errors
    /// As [`Watcher::file`].
    pub fn entries(&self, directory: &Path) -> io::Result<Watch> {
        let entry = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ATTRIB;
        self.add(directory, entry | itself_mask())
    }

    /// Watches whether a directory or link is still the one that it was.
    ///
    /// # Errors
    /// As [`Watcher::file`].
    pub fn itself(&self, path: &Path) -> io::Result<Watch> {
        self.add(path, itself_mask())
    }

    /// Watches it no more.
    pub fn remove(&self, watch: Watch) {
        // It fails when the kernel has removed the watch already, together with its inode.
        let _ = self.inotify.rm_watch(watch.0);
    }

    /// Takes what is in the queue, a bounded part at a time; what is left keeps the descriptor readable.
    pub fn drain(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        for _ in 0..READS_PER_DRAIN {
            let Ok(count) = nix::unistd::read(&self.inotify, &mut self.buffer[..]) else {
                return; // EAGAIN: empty. EINTR: the descriptor is still readable.
            };
            cut(self.buffer.get(..count).unwrap_or_default(), each);
            if count + EVENT_BYTES_MAX <= BUFFER_BYTES {
                return; // Another event had found room.
            }
        }
    }

    /// Adds to what the inode is watched for already.
    fn add(&self, path: &Path, mask: AddWatchFlags) -> io::Result<Watch> {
        let add = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let mask = mask | AddWatchFlags::IN_DONT_FOLLOW | add;
        Ok(Watch(self.inotify.add_watch(path, mask)?))
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn itself_mask() -> AddWatchFlags {
    AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF
}

/// Cuts a buffer into its `struct inotify_event`: wd, mask, cookie, length of the name, name padded with NUL.
fn cut(mut buffer: &[u8], each: &mut dyn FnMut(Event<'_>)) {
    while let Some((head, rest)) = buffer.split_first_chunk::<HEAD_BYTES>() {
        let word = |index: usize| {
            let bytes = head.get(index * 4..).and_then(<[u8]>::first_chunk);
            u32::from_ne_bytes(bytes.copied().unwrap_or_default())
        };
        let Some((name, next)) = rest.split_at_checked(word(3) as usize) else {
            return;
        };
        buffer = next;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        event(
            WatchId(i32::from_ne_bytes(word(0).to_ne_bytes())),
            word(1),
            name,
            each,
        );
    }
}

fn event(watch: WatchId, mask: u32, name: &[u8], each: &mut dyn FnMut(Event<'_>)) {
    if mask & libc::IN_Q_OVERFLOW != 0 {
        return each(Event::Overflow);
    }
    if !name.is_empty() {
        return each(Event::Entry(watch, name));
    }
    each(
        match mask & (libc::IN_MODIFY | libc::IN_OPEN | libc::IN_CLOSE_WRITE) {
            0 => Event::Itself(watch),
            _ => Event::Written(watch),
        },
    );
}

const HEAD_BYTES: usize = 16;
/// A head and a name of `NAME_MAX` bytes with its NUL.
const EVENT_BYTES_MAX: usize = HEAD_BYTES + 256;
const BUFFER_BYTES: usize = 4096;
const READS_PER_DRAIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(events: &[(i32, u32, &[u8])], expect: &[Event<'_>]) {
        let mut buffer = Vec::new();
        for &(watch, mask, name) in events {
            buffer.extend(watch.to_ne_bytes());
            buffer.extend(mask.to_ne_bytes());
            buffer.extend(7_u32.to_ne_bytes());
            buffer.extend((name.len() as u32).to_ne_bytes());
            buffer.extend(name);
        }
        let mut got = 0;
        cut(&buffer, &mut |event| {
            assert_eq!(Some(&event), expect.get(got));
            got += 1;
        });
        assert_eq!(got, expect.len());
        for length in 0..buffer.len() {
            cut(&buffer[..length], &mut |_| ());
        }
    }

    #[test]
    fn the_kernels_events_are_told_apart() {
        check(
            &[
                (1, libc::IN_MODIFY, b""),
                (2, libc::IN_CREATE, b"messages\0\0\0\0\0\0\0\0"),
                (2, libc::IN_MOVED_FROM | libc::IN_ISDIR, b"a\0\0\0"),
                (3, libc::IN_CLOSE_WRITE, b""),
                (2, libc::IN_DELETE_SELF, b""),
                (2, libc::IN_IGNORED, b""),
                (-1, libc::IN_Q_OVERFLOW, b""),
            ],
            &[
                Event::Written(WatchId(1)),
                Event::Entry(WatchId(2), b"messages"),
                Event::Entry(WatchId(2), b"a"),
                Event::Written(WatchId(3)),
                Event::Itself(WatchId(2)),
                Event::Itself(WatchId(2)),
                Event::Overflow,
            ],
        );
    }
}
