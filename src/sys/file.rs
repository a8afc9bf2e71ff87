//! Regular files, read at a position of our own: no shared file offset, nothing that can block on a
//! writer. Network file systems are out of scope: they stall reads, and inotify does not see other hosts.
//! And named pipes, of which what was read is kept for as long as it may be asked for again.

use std::cell::RefCell;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::tail::Inode;

/// Flags of open(2) for a directory, and no link to one.
pub const DIRECTORY_ITSELF: i32 = libc::O_DIRECTORY | libc::O_NOFOLLOW;
/// Flags of open(2) for a file and no link to one, without hanging if it is no file.
pub const FILE_ITSELF: i32 = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular(Inode),
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe (FIFO).
    Pipe(Inode),
    /// Anything else; reading it could block or act on a device. The word is for people: `a socket`.
    Other(&'static str),
}

impl Kind {
    /// Which inode it is, if it is something that holds a log.
    #[must_use]
    pub fn log(self) -> Option<Inode> {
        match self {
            Kind::Regular(inode) | Kind::Pipe(inode) => Some(inode),
            Kind::Directory | Kind::Link | Kind::Other(_) => None,
        }
    }
}

/// What this name stands for, links not followed.
///
/// # Errors
/// What lstat(2) says.
pub fn kind(path: &Path) -> io::Result<Kind> {
    std::fs::symlink_metadata(path).map(|metadata| kind_of(&metadata))
}

/// The first bytes of a regular file, links followed; and the user it belongs to. Anything else is refused, and
/// opening it has not hung.
///
/// # Errors
/// What open(2) and read(2) say, or `InvalidInput` if it is no regular file.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<(Vec<u8>, u32)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    match kind_of(&metadata) {
        Kind::Regular(_) => {}
        Kind::Directory => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Kind::Link | Kind::Pipe(_) | Kind::Other(_) => return Err(not_regular()),
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.uid()))
}

/// A regular file or a named pipe, open for reading.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    inode: Inode,
    /// Of a pipe: what came out of it.
    window: Option<RefCell<Window>>,
}

/// The last bytes that came out of a pipe.
#[derive(Debug, Default)]
struct Window {
    /// How many bytes came out before them.
    from: u64,
    bytes: Vec<u8>,
    /// At the last read nobody had it open for writing.
    deserted: bool,
}

impl LogFile {
    /// Opens a regular file or a pipe. Anything else is refused, and opening it has not hung: `O_NONBLOCK` for a
    /// pipe without a writer, `O_NOCTTY` for a terminal. The last component must not be a link.
    ///
    /// # Errors
    /// What open(2) says, or `InvalidInput` if it is neither.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(FILE_ITSELF)
            .open(path)?;
        let kind = kind_of(&file.metadata()?);
        let window = matches!(kind, Kind::Pipe(_)).then(RefCell::default);
        let inode = kind.log().ok_or_else(no_log)?;
        Ok(LogFile { file, inode, window })
    }

    /// Whether it is a pipe: what was read is gone, and there is no place to go on at after a restart.
    #[must_use]
    pub fn is_pipe(&self) -> bool {
        self.window.is_some()
    }

    /// Whether it is a pipe that nobody wrote to at the last read. poll(2) finds such a pipe ready for ever.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.window
            .as_ref()
            .is_some_and(|window| window.borrow().deserted)
    }

    /// Which file it is.
    #[must_use]
    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// Its size, in bytes.
    ///
    /// # Errors
    /// What fstat(2) says.
    pub fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    /// Whether no directory names it any more. It then lives only as long as somebody holds it open.
    #[must_use]
    pub fn is_unlinked(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether every user of the machine may write to it: then every user can have anybody banned.
    #[must_use]
    pub fn is_world_writable(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.mode() & 0o002 != 0)
    }

    /// Reads at `offset`; fewer bytes than `buffer` holds mean the end of the file.
    ///
    /// # Errors
    /// What pread(2) says, but never `Interrupted`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(window) = &self.window {
            return window.borrow_mut().read(&self.file, buffer, offset);
        }
        let mut filled = 0;
        while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.file.read_at(space, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl AsFd for LogFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Window {
    /// Reads what is there, from `offset` on, which never goes back. What a writer left without a newline is dropped
    /// when all writers are gone: the next one would complete it.
    fn read(&mut self, mut pipe: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let past = usize::try_from(offset.saturating_sub(self.from)).unwrap_or(usize::MAX);
        self.bytes.drain(..past.min(self.bytes.len()));
        self.from = offset;
        self.deserted = false;
        while self.bytes.len() < buffer.len() {
            let held = self.bytes.len();
            self.bytes.resize(buffer.len(), 0);
            let read = pipe.read(self.bytes.get_mut(held..).unwrap_or_default());
            let count = read.as_ref().map_or(0, |count| *count);
            self.bytes.truncate(held + count);
            match read {
                Ok(0) => {
                    self.deserted = true;
                    self.drop_rest();
                    break;
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let count = self.bytes.len().min(buffer.len());
        if let (Some(space), Some(bytes)) = (buffer.get_mut(..count), self.bytes.get(..count)) {
            space.copy_from_slice(bytes);
        }
        Ok(count)
    }

    /// Drops what has no newline; inside a line that is too long already, what is left of it stays.
    fn drop_rest(&mut self) {
        match self.bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(at) => self.bytes.truncate(at + 1),
            None if self.from == 0 => self.bytes.clear(),
            None => {}
        }
    }
}

fn no_log() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "neither a regular file nor a pipe")
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn kind_of(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    let inode = Inode {
        device: metadata.dev(),
        number: metadata.ino(),
    };
    if kind.is_file() {
        Kind::Regular(inode)
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_fifo() {
        Kind::Pipe(inode)
    } else if kind.is_socket() {
        Kind::Other("a socket")
    } else {
        Kind::Other("a device")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;

    #[test]
    fn reading_what_is_no_file_neither_succeeds_nor_hangs() {
        let dir = std::env::temp_dir().join(format!("sipguard-read-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let (fifo, text) = (dir.join("fifo"), dir.join("text"));
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        std::fs::write(&text, "a text").unwrap();
        let results = [&fifo, &dir, Path::new("/dev/zero"), &text].map(|path| read(path, 3));
        std::fs::remove_dir_all(&dir).unwrap();
        let said: Vec<_> = results
            .iter()
            .map(|result| {
                result
                    .as_ref()
                    .map_or_else(ToString::to_string, |(bytes, _)| format!("{bytes:?}"))
            })
            .collect();
        assert_eq!(
            said,
            [
                "not a regular file",
                "Is a directory (os error 21)",
                "not a regular file",
                "[97, 32, 116]"
            ]
        );
    }

    /// On 32-bit machines, too: see cross/test.
    #[test]
    fn offsets_beyond_4_gib_and_times_beyond_2038_are_whole() {
        let path = std::env::temp_dir().join(format!("sipguard-large-{}", std::process::id()));
        let (offset, seconds) = (u64::from(u32::MAX) + 10, 1 << 32);
        let file = File::create(&path).unwrap();
        file.write_all_at(b"late", offset).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
        let log = LogFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(log.size().unwrap(), offset + 4);
        let mut buffer = [0; 6];
        assert_eq!(log.read_at(&mut buffer, offset - 1).unwrap(), 5);
        assert_eq!(&buffer, b"\0late\0");
        assert_eq!(log.file.metadata().unwrap().modified().unwrap(), time);
        let timer = nix::sys::time::TimeSpec::from_duration(std::time::Duration::from_secs(seconds));
        assert_eq!(i128::from(timer.tv_sec()), i128::from(seconds));
    }

    #[test]
    fn opening_what_is_no_file_neither_succeeds_nor_hangs() {
        let dir = std::env::temp_dir().join(format!("sipguard-file-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let link = dir.join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let errors =
            [dir.as_path(), Path::new("/dev/null"), &link].map(|path| LogFile::open(path).unwrap_err());
        std::fs::remove_dir_all(&dir).unwrap();
        for error in &errors[..2] {
            assert_eq!(error.to_string(), "neither a regular file nor a pipe");
        }
        assert_eq!(errors[2].raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_pipe_gives_again_what_was_not_taken_and_forgets_what_a_writer_left_unfinished() {
        let path = std::env::temp_dir().join(format!("sipguard-pipe-{}", std::process::id()));
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let pipe = LogFile::open(&path).unwrap();
        let write = |writer: &mut File, text: &str| io::Write::write_all(writer, text.as_bytes()).unwrap();
        let open = || OpenOptions::new().write(true).open(&path).unwrap();
        let read = |offset, room: usize| {
            let mut buffer = vec![0; room];
            let count = pipe.read_at(&mut buffer, offset).unwrap();
            String::from_utf8(buffer[..count].to_vec()).unwrap()
        };
        assert_eq!(read(0, 10), "", "nobody writes");
        let mut writer = open();
        assert_eq!(read(0, 10), "", "somebody has opened it");
        write(&mut writer, "one\nhal");
        assert_eq!(read(0, 10), "one\nhal");
        write(&mut writer, "f\ntwo\nrest");
        assert_eq!(read(2, 10), "e\nhalf\ntwo");
        assert_eq!(read(4, 10), "half\ntwo\nr");
        assert_eq!(read(9, 10), "two\nrest");
        drop(writer);
        assert_eq!(read(9, 10), "two\n", "what has no newline is no line");
        let mut writer = open();
        write(&mut writer, "three\n");
        assert_eq!(read(12, 10), "\nthree\n");
        drop(writer);
        assert_eq!(read(12, 10), "\nthree\n");
        std::fs::remove_file(&path).unwrap();
    }
}
