//! A real directory with the files of one journal.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use crate::store::disk::{Disk, Name};

/// Who may read the state: it names who called, and who was banned.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// The files `PATH`, `PATH.new` and `PATH.damaged`. Links are not followed: whoever may write to the directory must
/// not have us write elsewhere.
#[derive(Debug)]
pub struct Directory {
    paths: [PathBuf; 3],
    files: [Option<File>; 3],
    /// Why the journal can only be read (an errno), if it is so.
    read_only: Option<i32>,
}

impl Directory {
    /// The journal with this name. Nothing is opened yet.
    #[must_use]
    pub fn new(path: &Path) -> Directory {
        let with = |suffix: &str| {
            let mut name = OsString::from(path);
            name.push(suffix);
            PathBuf::from(name)
        };
        Directory {
            paths: [with(""), with(".new"), with(".damaged")],
            files: [None, None, None],
            read_only: None,
        }
    }

    fn path_of(&self, name: Name) -> &Path {
        self.paths
            .get(name as usize)
            .map_or(Path::new(""), PathBuf::as_path)
    }

    fn directory(&self) -> &Path {
        self.path_of(Name::Live).parent().unwrap_or(Path::new("/"))
    }

    /// The file, opened if it is not yet.
    fn file(&mut self, name: Name) -> io::Result<&mut File> {
        if !self.files.get(name as usize).is_some_and(Option::is_some) {
            let path = self.path_of(name);
            let file = match open(path, OpenOptions::new().append(true)) {
                Err(error) if is_read_only(&error) => {
                    let file = open(path, &mut OpenOptions::new())?;
                    self.read_only = error.raw_os_error();
                    file
                }
                other => other?,
            };
            self.hold(name, Some(file));
        }
        let file = self.files.get_mut(name as usize).and_then(Option::as_mut);
        file.ok_or(io::ErrorKind::NotFound.into())
    }

    /// The same, to be changed.
    fn writable(&mut self, name: Name) -> io::Result<&mut File> {
        self.file(name)?;
        match self.read_only.filter(|_| name == Name::Live) {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => self.file(name),
        }
    }

    fn hold(&mut self, name: Name, file: Option<File>) {
        if let Some(place) = self.files.get_mut(name as usize) {
            *place = file;
        }
    }
}

/// Whether a file may still be read that cannot be opened for writing.
fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// Opens a regular file for reading, and for what the options say. Anything else is refused, and opening it has not
/// hung.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options
        .read(true)
        .mode(FILE_MODE)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Makes a directory for state files; its parents are not made. `false`: it was there.
///
/// # Errors
/// What mkdir(2) says.
pub fn make_directory(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory for state files, and those on the way to it, which everybody may pass. `false`: it was there.
///
/// # Errors
/// What mkdir(2) says.
pub fn make_directories(path: &Path) -> io::Result<bool> {
    if let Some(parent) = path.parent() {
        make_parents(parent)?;
    }
    make_directory(path)
}

fn make_parents(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_parents(parent)?;
    }
    fs::create_dir(path)?;
    // The umask may have taken from it, and whom we become has to pass.
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

impl Disk for Directory {
    fn read(&mut self, name: Name, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name)?;
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn size(&mut self, name: Name) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn create(&mut self, name: Name) -> io::Result<()> {
        self.hold(name, None);
        make_directory(self.directory())?;
        let path = self.path_of(name);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = open(path, OpenOptions::new().append(true).create_new(true))?;
        self.hold(name, Some(file));
        if name == Name::Live {
            self.read_only = None;
        }
        Ok(())
    }

    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let file = self.writable(name)?;
        // Somebody removed it: what is written into it now is gone when it is closed.
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "somebody removed it"));
        }
        file.write_all(bytes)
    }

    fn truncate(&mut self, name: Name, size: u64) -> io::Result<()> {
        self.writable(name)?.set_len(size)
    }

    fn sync(&mut self, name: Name) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn replace(&mut self) -> io::Result<()> {
        fs::rename(self.path_of(Name::New), self.path_of(Name::Live))?;
        let [live, new, _] = &mut self.files;
        *live = new.take();
        self.read_only = None;
        Ok(())
    }

    fn remove(&mut self, name: Name) -> io::Result<()> {
        self.hold(name, None);
        match fs::remove_file(self.path_of(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(self.directory())?.sync_all()
    }

    fn path(&self) -> String {
        self.path_of(Name::Live).to_string_lossy().into_owned()
    }
}
