//! What `sipguard check` says of whole configurations of Asterisk: `tests/advice/`, one directory each.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use sipguard::advice::{Directory, Files, advise};
use sipguard::config::Config;

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/advice")
        .join(name)
}

/// The directory as `/etc/asterisk` of a machine; its `logrotate` is the only rule that rotates.
struct Machine(PathBuf);

impl Machine {
    fn path(&self, path: &str) -> Option<PathBuf> {
        match path.strip_prefix("/etc/asterisk/") {
            Some(name) => Some(self.0.join(name)),
            None => (path == "/etc/logrotate.d/asterisk").then(|| self.0.join("logrotate")),
        }
    }
}

impl Files for Machine {
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        self.path(path)
            .map_or(Err(io::ErrorKind::NotFound.into()), fs::read)
    }

    fn names(&mut self, directory: &str) -> Vec<String> {
        match directory {
            "/etc/logrotate.d" => vec!["asterisk".to_owned()],
            _ => Vec::new(),
        }
    }

    fn resolve(&mut self, directory: &str) -> String {
        directory.to_owned()
    }

    fn size(&mut self, _: &str) -> Option<u64> {
        None
    }
}

/// The lines are those of the file `expected`.
fn check(name: &str, config: &Config) {
    let directory = directory(name);
    let expected = fs::read_to_string(directory.join("expected")).unwrap();
    let advice = advise(config, Directory::Usual, "pbx", &mut Machine(directory));
    let got: String = advice.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(got, expected, "{name}:\n{got}");
}

#[test]
fn debians_defaults_lack_security_and_authdebug() {
    check("debian", &Config::built_in());
}

#[test]
fn freepbx_is_followed_into_its_generated_files() {
    check("freepbx", &Config::built_in());
}

#[test]
fn openwrts_defaults_lack_security_and_rotation() {
    check("openwrt", &Config::built_in());
}

#[test]
fn the_command_reads_the_directory_it_is_given() {
    let output = Command::new(env!("CARGO_BIN_EXE_sipguard"))
        .args(["check", "--config"])
        .arg(directory("jail.local"))
        .arg("--asterisk")
        .arg(directory("debian"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    // What rotates is of this machine, not of the directory.
    let lines = text
        .lines()
        .filter(|line| line.starts_with("asterisk: ") && !line.contains("rotates"));
    let expected = fs::read_to_string(directory("debian/expected")).unwrap();
    assert_eq!(
        lines.collect::<Vec<_>>(),
        expected.lines().collect::<Vec<_>>(),
        "{text}"
    );

    let output = Command::new(env!("CARGO_BIN_EXE_sipguard"))
        .args(["check", "--asterisk", "/nonexistent", "--config"])
        .arg(directory("jail.local"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("asterisk: /nonexistent: no configuration of Asterisk here"),
        "{text}"
    );
}
