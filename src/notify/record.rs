//! The files of a configuration as they were read, so that another process reads the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::config::{self, Config, Error, Warning};
use crate::sys::program;

/// Files, each with its name; the first is the one that includes the others.
#[derive(Debug, Default)]
pub struct Record(Vec<(PathBuf, Vec<u8>)>);

impl Record {
    /// Reads a configuration through `read`, and keeps every file of it.
    ///
    /// # Errors
    /// Those of [`config::load`].
    pub fn load(
        path: &Path,
        read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<(Config, Vec<Warning>, Record), Error> {
        let mut record = Record::default();
        let (config, warnings) = config::load(path, &mut |path| {
            let bytes = read(path)?;
            if record.0.iter().all(|(known, _)| known != path) {
                record.0.push((path.to_owned(), bytes.clone()));
            }
            Ok(bytes)
        })?;
        Ok((config, warnings, record))
    }

    /// Reads the configuration again, out of what was kept.
    ///
    /// # Errors
    /// Those of [`config::load`].
    pub fn config(&self) -> Result<Config, Error> {
        let main = self.0.first().map_or(Path::new(""), |(path, _)| path);
        let loaded = config::load(main, &mut |path| {
            let known = self.0.iter().find(|(known, _)| known == path);
            known
                .map(|(_, bytes)| bytes.clone())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        });
        loaded.map(|(config, _)| config)
    }

    /// A file in memory that holds it: for each file the length of the name, the name, the length, the content.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn to_file(&self) -> io::Result<File> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut bytes = Vec::new();
        for (path, content) in &self.0 {
            for part in [path.as_os_str().as_bytes(), content] {
                bytes.extend((part.len() as u64).to_le_bytes());
                bytes.extend(part);
            }
        }
        program::memory(&bytes)
    }

    /// Reads what [`Record::to_file`] wrote, wherever the file's own position is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn from_file(file: &File) -> io::Result<Record> {
        use std::os::unix::ffi::OsStrExt as _;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        let mut rest = bytes.as_slice();
        let mut part = || -> Option<Vec<u8>> {
            let (length, behind) = rest.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (part, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(part.to_vec())
        };
        let mut files = Vec::new();
        while let (Some(path), Some(content)) = (part(), part()) {
            files.push((PathBuf::from(std::ffi::OsStr::from_bytes(&path)), content));
        }
        Ok(Record(files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_read_again() {
        let main = "[asterisk]\nenabled = true\naction = mine[name=x]\n";
        let (config, _, record) = Record::load(Path::new("/c/jail.local"), &mut |path| match path.to_str() {
            Some("/c/jail.local") => Ok(main.into()),
            Some("/c/action.d/mine.conf") => Ok(b"[Definition]\nactionban = a <ip> <name>\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
        .unwrap();
        let again = Record::from_file(&record.to_file().unwrap()).unwrap();
        assert_eq!(again.config().unwrap(), config);
        assert_eq!(config.jails[0].actions.len(), 1);
    }
}
