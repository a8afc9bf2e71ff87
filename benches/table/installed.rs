//! What has to be installed: the package with all that it needs beyond a minimal Debian, or our binary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::report::Report;
use crate::subjects::sipguard;

struct Package {
    kib: f64,
    needs: Vec<String>,
    /// Every Debian has it.
    minimal: bool,
}

pub(crate) fn measure(report: &mut Report) {
    let ours = fs::metadata(sipguard()).unwrap().len();
    report.add("sipguard nftables", "installed, MB", ours as f64 / 1e6);
    report.add("sipguard nftables", "installed, files", 1.0);
    let peer = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin/fail2ban-rs");
    let packages = packages();
    let tool = with_needs(&packages, "nftables");
    if let Ok(file) = fs::metadata(peer) {
        let size = file.len() as f64 / 1e6 + tool.0;
        report.add("fail2ban-rs nftables", "installed, MB", size);
        report.add("fail2ban-rs nftables", "installed, files", 1.0 + tool.1);
    }
    for (who, package) in [
        ("fail2ban nftables", "fail2ban"),
        ("sshguard nftables", "sshguard"),
    ] {
        if packages.contains_key(package) {
            let (size, files) = with_needs(&packages, package);
            report.add(who, "installed, MB", size + tool.0);
            report.add(who, "installed, files", files + tool.1);
        }
    }
}

fn packages() -> BTreeMap<String, Package> {
    let format = "${Package}\t${Essential}\t${Priority}\t${Installed-Size}\t${Pre-Depends}, ${Depends}\n";
    let Ok(output) = Command::new("dpkg-query").args(["-W", "-f", format]).output() else {
        return BTreeMap::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let package = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, essential, priority, kib, needs] = fields.try_into().ok()?;
        let first = |need: &str| {
            let name = need.split('|').next().unwrap_or_default();
            let end = name.trim().find([' ', ':']).unwrap_or(name.trim().len());
            name.trim()[..end].to_owned()
        };
        let package = Package {
            kib: kib.parse().ok()?,
            needs: needs.split(',').map(first).collect(),
            minimal: essential == "yes" || matches!(priority, "required" | "important"),
        };
        Some((name.to_owned(), package))
    };
    text.lines().filter_map(package).collect()
}

/// MB and files of a package and all it needs.
fn with_needs(packages: &BTreeMap<String, Package>, name: &str) -> (f64, f64) {
    let mut seen = BTreeSet::from([name.to_owned()]);
    let mut waiting = vec![name.to_owned()];
    let (mut kib, mut files) = (0.0, 0);
    while let Some(name) = waiting.pop() {
        let Some(package) = packages.get(&name).filter(|package| !package.minimal) else {
            continue;
        };
        kib += package.kib;
        let list = Command::new("dpkg").args(["-L", &name]).output().unwrap();
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        files += list
            .lines()
            .filter(|path| fs::symlink_metadata(path).is_ok_and(|file| !file.is_dir()))
            .count();
        let new = package.needs.iter().filter(|need| seen.insert((*need).clone()));
        waiting.extend(new.cloned());
    }
    (kib / 1000.0, files as f64)
}
