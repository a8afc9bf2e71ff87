//! Looks at what is on the way to the files that are read.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::access::{End, Node, Role, Way};
use crate::config::Config;
use crate::glob;
use crate::limits::{DIRECTORY_ENTRIES_MAX, FILES_MAX, LINKS_MAX};
use crate::tail::names::is_rotation_of;

/// The ways to the logs of a configuration, and to the file with the configuration itself, which a reload reads
/// again.
pub(super) fn all(config: &Config, file: Option<&Path>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for jail in &config.jails {
        let role = if jail.logpaths_guessed {
            Role::Guess
        } else {
            Role::Log
        };
        for pattern in &jail.logpaths {
            if ways.iter().all(|way| way.path != *pattern) {
                ways.extend(logs(pattern, role));
            }
        }
    }
    let file = file.and_then(|file| std::path::absolute(file).ok());
    ways.extend(file.map(|file| way(&file, Role::Configuration)));
    ways
}

/// The files that one `logpath` stands for; itself if it stands for none.
fn logs(pattern: &str, role: Role) -> Vec<Way> {
    let path = Path::new(pattern);
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let directory = path.parent().unwrap_or(path);
    if !glob::is_glob(name) {
        return vec![way(path, role)];
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = entries
        .take(DIRECTORY_ENTRIES_MAX)
        .map(|entry| entry.file_name())
        .filter(|found| glob::glob_matches(name, found.as_encoded_bytes()))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    let mut ways = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let is_old = |base: &OsString| is_rotation_of(base.as_encoded_bytes(), name.as_encoded_bytes());
        if ways.len() < FILES_MAX && !names.iter().take(at).any(is_old) {
            ways.push(way(&directory.join(name), role));
        }
    }
    if ways.is_empty() {
        let mut none = way(directory, role);
        pattern.clone_into(&mut none.path);
        if none.end == End::File {
            none.end = End::Missing;
        }
        ways.push(none);
    }
    ways
}

/// The way to one path, links followed.
fn way(path: &Path, role: Role) -> Way {
    let mut way = Way {
        path: path.to_string_lossy().into_owned(),
        nodes: Vec::new(),
        end: End::File,
        role,
    };
    let mut rest = components(path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let mut found = fs::metadata(&at);
    loop {
        match found {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                let target = fs::read_link(&at).unwrap_or_default();
                if links > LINKS_MAX {
                    way.end = End::Unseen;
                    return way;
                }
                at.pop();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for component in components(&target).into_iter().rev() {
                    rest.push_front(component);
                }
            }
            Ok(metadata) => way.nodes.push(node(&at, &metadata)),
            Err(error) => {
                let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                way.end = if missing.contains(&error.kind()) {
                    End::Missing
                } else {
                    End::Unseen
                };
                return way;
            }
        }
        let Some(name) = rest.pop_front() else {
            return way;
        };
        at.push(name);
        found = fs::symlink_metadata(&at);
    }
}

fn node(path: &Path, metadata: &Metadata) -> Node {
    Node {
        path: path.to_string_lossy().into_owned(),
        is_directory: metadata.is_dir(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode(),
    }
}

/// The parts of a path as the kernel walks them: `..` is a directory like any other.
fn components(path: &Path) -> VecDeque<OsString> {
    let parts = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).collect()
}
