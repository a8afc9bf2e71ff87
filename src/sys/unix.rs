//! Unix stream sockets: the guard's own, and how to reach it.
#![allow(
    unsafe_code,
    reason = "getsockopt with a list of any length, which nix does not know"
)]

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, getsockopt, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Connections that wait to be accepted; more wait in their own connect(2).
const BACKLOG: i32 = 64;

/// Supplementary groups of a client that are looked at; who has more counts by his first group alone.
const GROUPS_MAX: usize = 256;

/// A listening socket. Its file is removed when this is dropped, if it is still the one that was made.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub uid: u32,
    /// Its groups.
    pub groups: Vec<u32>,
}

impl Listener {
    /// Makes the socket, for its owner and group (mode 0660), and its directory (0755) if that is missing. What a
    /// dead process left is replaced.
    ///
    /// # Errors
    /// `AddrInUse` if somebody answers there; else what the system says.
    pub fn open(path: &Path) -> io::Result<Listener> {
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        remove_stale(path)?;
        let fd = new_socket(SockFlag::SOCK_NONBLOCK)?;
        socket::bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let listener = Listener {
            file: identity(&fs::symlink_metadata(path)?),
            listener: UnixListener::from(fd),
            path: path.to_owned(),
        };
        // Nobody can connect before listen(2), whatever the umask made of the mode.
        fs::set_permissions(path, Permissions::from_mode(0o660))?;
        socket::listen(&listener.listener, Backlog::new(BACKLOG)?)?;
        Ok(listener)
    }

    /// The next connection, which does not block; `None` if none is waiting.
    ///
    /// # Errors
    /// That descriptors or memory are lacking: there may be some later.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => stream.set_nonblocking(true).map(|()| Some(stream)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The user and the group that the socket's file belongs to; `None` if it is not there any more.
    #[must_use]
    pub fn owner(&self) -> Option<(u32, u32)> {
        let metadata = fs::symlink_metadata(&self.path).ok()?;
        (identity(&metadata) == self.file).then(|| (metadata.uid(), metadata.gid()))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.owner().is_some() {
            // Who may not, leaves it for the next start to replace.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects, and lets no call on the connection wait longer than that.
///
/// # Errors
/// What the system says; `WouldBlock` if nobody accepted for so long.
pub fn connect(path: &Path, seconds: u32) -> io::Result<UnixStream> {
    let fd = new_socket(SockFlag::empty())?;
    let limit = TimeVal::seconds(i64::from(seconds));
    setsockopt(&fd, sockopt::SendTimeout, &limit)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &limit)?;
    socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(fd))
}

/// Whether the call that said so may be made again: nothing is wrong.
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

/// Who is at the other end: the process that connected, as it was then.
///
/// # Errors
/// What getsockopt(2) says.
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
    let mut groups = supplementary_groups(stream).unwrap_or_default();
    groups.push(credentials.gid());
    Ok(Peer {
        uid: credentials.uid(),
        groups,
    })
}

/// `SO_PEERGROUPS`: Linux 4.13 and later.
fn supplementary_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; GROUPS_MAX];
    let mut bytes = (GROUPS_MAX * size_of::<u32>()) as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes, which `groups` has, and says in `bytes` how many it wrote.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(bytes as usize / size_of::<u32>());
    Ok(groups)
}

fn new_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    Ok(socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        flags,
        None,
    )?)
}

fn make_directory(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    // The umask may have taken from it, and users of the socket's group have to pass.
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let what = "there is something else, which is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    let fd = new_socket(SockFlag::SOCK_NONBLOCK)?;
    let tried = socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?).map_err(io::Error::from);
    match tried.map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused, _)) => fs::remove_file(path),
        // Somebody whose clients wait to be accepted.
        Ok(()) | Err((io::ErrorKind::WouldBlock, _)) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "sipguard is running already",
        )),
        Err((_, error)) => Err(error),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// A folder of its own, gone when the test is.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("sipguard-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_socket_is_made_with_its_directory_and_removed_at_the_end() {
        let folder = Folder::new("listen");
        let path = folder.0.join("a/b/s.sock");
        let listener = Listener::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777,
            0o755
        );
        assert!(listener.accept().unwrap().is_none());
        let mut client = connect(&path, 1).unwrap();
        let mut server = listener.accept().unwrap().unwrap();
        client.write_all(b"hello").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(server.read(&mut bytes).unwrap(), 5);
        let error = server.read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let peer = peer(&server).unwrap();
        let (uid, gid) = listener.owner().unwrap();
        assert!(peer.uid == uid && peer.groups.contains(&gid), "{peer:?}");
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_socket_is_left_alone_and_a_dead_one_replaced() {
        let folder = Folder::new("stale");
        let path = folder.0.join("s.sock");
        // As a process leaves it that was killed.
        drop(UnixListener::bind(&path).unwrap());
        let first = Listener::open(&path).unwrap();
        let error = Listener::open(&path).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::AddrInUse, "sipguard is running already")
        );
        fs::remove_file(&path).unwrap();
        let second = Listener::open(&path).unwrap();
        drop(first);
        assert!(path.exists(), "it is another one's");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = Folder::new("file");
        let path = folder.0.join("notes");
        fs::write(&path, "text").unwrap();
        let error = Listener::open(&path).unwrap_err();
        assert_eq!(error.to_string(), "there is something else, which is left alone");
        assert_eq!(fs::read(&path).unwrap(), b"text");
    }
}
