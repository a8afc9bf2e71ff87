//! Every filter that fail2ban brings is read, or refused with a reason that helps; and what is read counts
//! the same lines as in fail2ban.
//!
//! Needs fail2ban's program and files (Debian: `apt-get install fail2ban`), which are not ours to copy.
//! Without them, the tests say so and do nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr
)]

#[path = "support/filters.rs"]
#[allow(dead_code)]
mod filters;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const FAIL2BAN: &str = "/etc/fail2ban";
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// Whether fail2ban is here.
#[allow(clippy::disallowed_methods)]
fn is_installed() -> bool {
    let runs = Command::new("fail2ban-regex").arg("--version").output().is_ok();
    let there = runs && Path::new(FAIL2BAN).join("filter.d").exists();
    if !there {
        eprintln!("SKIPPED: fail2ban is not installed; apt-get install fail2ban");
    }
    there
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(Path::new(FAIL2BAN).join("filter.d")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| file.strip_suffix(".conf").map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[test]
fn every_filter_of_fail2ban_loads_or_says_why_not() {
    if !is_installed() {
        return;
    }
    let mut refused = Vec::new();
    let names = names();
    for name in &names {
        match filters::load("/nowhere", name) {
            Ok((config, _)) => assert_eq!(config.jails.len(), 1, "{name}"),
            Err(error) => {
                for mistake in error.mistakes() {
                    let without = mistake.what.contains("has no failregex");
                    assert!(mistake.origin.is_some() || without, "{name}: {mistake}");
                    refused.push(format!("{name}: {}", mistake.to_string().lines().next().unwrap()));
                }
            }
        }
    }
    eprintln!("{}\nof {} filters", refused.join("\n"), names.len());
    let refused: Vec<&str> = refused.iter().filter_map(|line| line.split(':').next()).collect();
    let used = [
        "freeswitch",
        "nginx-http-auth",
        "nginx-limit-req",
        "nginx-botsearch",
        "postfix",
        "dovecot",
        "proftpd",
        "vsftpd",
        "pure-ftpd",
        "lighttpd-auth",
        "apache-badbots",
        "php-url-fopen",
        "squid",
        "phpmyadmin-syslog",
    ];
    for name in used {
        assert!(!refused.contains(&name), "{name}");
    }
}

/// Asks fail2ban which of the lines count, and against whom.
#[allow(clippy::disallowed_methods)]
fn ask(folder: &Path, filter: &str, lines: &[&str]) -> Child {
    let log = folder.join(format!("{}.log", filter.replace(['[', ']', '=', '"'], "_")));
    fs::write(
        &log,
        lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let mut command = Command::new("fail2ban-regex");
    command.args(["--usedns", "no", "-o", "<ip>\t<msg>", "-c"]);
    command.arg(folder).arg(&log).arg(filter).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Line and address, of every line that counts.
fn answer(child: Child) -> BTreeMap<String, String> {
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let rows = text.lines().filter_map(|line| line.split_once('\t'));
    rows.map(|(address, line)| (line.to_owned(), address.to_owned()))
        .collect()
}

/// Fails where sipguard and fail2ban differ on a sample, or if fail2ban counts hardly any.
fn compare(folder: &Path, samples: &str) {
    let samples = filters::samples(samples);
    let mut by_filter: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for [filter, _, line] in &samples {
        by_filter.entry(filter).or_default().push(line);
    }
    let asked = by_filter
        .into_iter()
        .map(|(filter, lines)| (ask(folder, filter, &lines), filter, lines));
    let asked: Vec<_> = asked.collect();
    let mut differ = Vec::new();
    let mut counted = 0;
    for (child, filter, lines) in asked {
        let reader = filters::reader(folder.to_str().unwrap(), filter);
        let theirs = answer(child);
        for line in lines {
            let their = theirs.get(line).map_or("-", String::as_str);
            let our = filters::counted(&reader, line);
            counted += usize::from(their != "-");
            if our != their {
                differ.push(format!("{filter}: {our} here, {their} in fail2ban: {line}"));
            }
        }
    }
    eprintln!("{counted} of {} samples count in fail2ban", samples.len());
    assert!(counted * 3 > samples.len() * 2, "{counted} of {}", samples.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn our_own_filters_count_what_fail2ban_counts_with_them() {
    if !is_installed() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("own-filters");
    fs::create_dir_all(folder.join("filter.d")).unwrap();
    for entry in fs::read_dir(format!("{OURS}/filter.d")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("filter.d").join(entry.file_name())).unwrap();
    }
    let common = Path::new(FAIL2BAN).join("filter.d/common.conf");
    fs::copy(common, folder.join("filter.d/common.conf")).unwrap();
    compare(&folder, &format!("{OURS}/filter.d/samples.txt"));
}

#[test]
fn fail2bans_filters_count_what_they_count_in_fail2ban() {
    if !is_installed() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("their-filters");
    fs::create_dir_all(&folder).unwrap();
    let link = folder.join("filter.d");
    if !link.exists() {
        std::os::unix::fs::symlink(Path::new(FAIL2BAN).join("filter.d"), &link).unwrap();
    }
    compare(&folder, &format!("{OURS}/fail2ban-samples.txt"));
}
