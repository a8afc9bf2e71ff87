//! Regular files, read at a position of our own: no shared file offset, nothing that can block on a
//! writer. Network file systems are out of scope: they stall reads, and inotify does not see other hosts.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
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
    /// Anything else; reading it could block or act on a device. The word is for people: `a FIFO`.
    Other(&'static str),
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
        Kind::Link | Kind::Other(_) => return Err(not_regular()),
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok((bytes, metadata.uid()))
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    inode: Inode,
}

impl LogFile {
    /// Opens a regular file. Anything else is refused, and opening it has not hung: `O_NONBLOCK` for a FIFO
    /// without a writer, `O_NOCTTY` for a terminal. The last component must not be a link.
    ///
    /// # Errors
    /// What open(2) says, or `InvalidInput` if it is no regular file.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(FILE_ITSELF)
            .open(path)?;
        match kind_of(&file.metadata()?) {
            Kind::Regular(inode) => Ok(LogFile { file, inode }),
            Kind::Directory | Kind::Link | Kind::Other(_) => Err(not_regular()),
        }
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

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn kind_of(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Kind::Regular(Inode {
            device: metadata.dev(),
            number: metadata.ino(),
        });
    }
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_fifo() {
        Kind::Other("a FIFO")
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
        let fifo = dir.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let link = dir.join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let errors = [fifo.as_path(), &dir, Path::new("/dev/null"), &link]
            .map(|path| LogFile::open(path).unwrap_err());
        std::fs::remove_dir_all(&dir).unwrap();
        for error in &errors[..3] {
            assert_eq!(error.to_string(), "not a regular file");
        }
        assert_eq!(errors[3].raw_os_error(), Some(libc::ELOOP));
    }
}
