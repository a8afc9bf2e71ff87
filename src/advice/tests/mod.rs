//! What is said of whole configurations.

use std::collections::BTreeMap;
use std::io;

mod channels;
mod files;
mod logger;
mod random;

use super::{Directory, Files, advise};
use crate::config::Config;

/// A machine of a few files.
#[derive(Default)]
struct Tree {
    files: BTreeMap<String, Vec<u8>>,
    sizes: BTreeMap<String, u64>,
    links: BTreeMap<String, String>,
    locked: Vec<String>,
}

impl Tree {
    fn with(mut self, path: &str, text: &str) -> Tree {
        self.files.insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }
}

impl Files for Tree {
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        if self.locked.iter().any(|locked| locked == path) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.files
            .get(path)
            .cloned()
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn names(&mut self, directory: &str) -> Vec<String> {
        let inside = |path: &String| {
            let name = path.strip_prefix(directory)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        self.files.keys().filter_map(inside).collect()
    }

    fn resolve(&mut self, directory: &str) -> String {
        self.links.get(directory).cloned().unwrap_or(directory.to_owned())
    }

    fn size(&mut self, path: &str) -> Option<u64> {
        self.sizes.get(path).copied()
    }
}

/// Asterisk's sections `[logfiles]` and `[general]` as they should be, and a rule that rotates.
const GOOD: &str = "[logfiles]\nmessages.log => notice,warning,error\nsecurity.log => security\n";

fn good() -> Tree {
    Tree::default()
        .with("/etc/asterisk/logger.conf", GOOD)
        .with("/etc/logrotate.d/asterisk", "/var/log/asterisk/*.log {\n}\n")
        .with("/etc/asterisk/modules.conf", "[modules]\nautoload=yes\n")
}

fn following(logpaths: &[&str]) -> Config {
    let mut config = Config::built_in();
    config.jails[0].logpaths = logpaths.iter().map(|&path| path.to_owned()).collect();
    config.jails[0].logpaths_guessed = false;
    config
}

/// `want`: what each line begins with and one thing it says, `…` between them.
fn check_with(config: &Config, mut tree: Tree, want: &[&str]) {
    let got = advise(config, Directory::Usual, "pbx", &mut tree);
    let got: Vec<String> = got.iter().map(ToString::to_string).collect();
    let fits = |line: &String, want: &str| {
        let (start, inside) = want.split_once('…').unwrap_or((want, ""));
        line.strip_prefix("asterisk: ")
            .and_then(|line| line.strip_prefix(start))
            .is_some_and(|rest| rest.contains(inside))
    };
    let all_fit = got.iter().zip(want).all(|(line, want)| fits(line, want));
    assert!(all_fit && got.len() == want.len(), "{got:#?}\n{want:#?}");
}

fn check(tree: Tree, want: &[&str]) {
    check_with(&Config::built_in(), tree, want);
}

/// A tree that is good but for one file of Asterisk's.
fn check_file(name: &str, text: &str, want: &[&str]) {
    check(good().with(&format!("/etc/asterisk/{name}"), text), want);
}
