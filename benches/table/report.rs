//! The results: raw as CSV, and one table with ratios to ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::chart;

/// Columns: everybody that bans, and the floor.
const COLUMNS: [&str; 10] = [
    "sipguard nftables",
    "sipguard ipset",
    "floor nftables",
    "floor ipset",
    "fail2ban nftables",
    "fail2ban ipset",
    "fail2ban-rs nftables",
    "fail2ban-rs ipset",
    "sshguard nftables",
    "sshguard ipset",
];

/// A row: what is measured, and our budget for it.
const ROWS: [(&str, &str); 14] = [
    ("reaction, µs", "median 100, p99 1000"),
    ("one addition by netlink, µs", ""),
    ("10000 attackers at once, ms", "200"),
    ("10000 attackers at once, CPU ms", ""),
    ("90000 attackers at once, ms", ""),
    ("90000 attackers at once, CPU ms", ""),
    ("restart with 10000 bans, ms", ""),
    ("restart with 100000 bans, ms", "500"),
    ("memory idle, KiB", "512"),
    ("memory with 10000 bans, KiB", ""),
    ("memory with 100000 bans, KiB", "8192"),
    ("wake-ups a minute, idle", "0"),
    ("installed, MB", ""),
    ("installed, files", ""),
];

const SCANS: [&str; 3] = [
    "scan, 0.1 % attack lines",
    "scan, 10 % attack lines",
    "scan, 90 % attack lines",
];
const SCANNERS: [&str; 9] = [
    "sipguard, its scan",
    "sipguard test",
    "rg -c, strict",
    "rg -c, loose",
    "grep -cE, strict",
    "fail2ban-regex",
    "fail2ban-rs dry-run",
    "sshg-parser",
    "wc -l",
];

#[derive(Default)]
pub(crate) struct Report {
    values: BTreeMap<(String, String), Vec<f64>>,
    reasons: BTreeMap<(String, String), String>,
}

impl Report {
    pub(crate) fn add(&mut self, who: &str, measure: &str, value: f64) {
        let key = (who.to_owned(), measure.to_owned());
        self.values.entry(key).or_default().push(value);
    }

    pub(crate) fn cannot(&mut self, who: &str, measure: &str, why: &str) {
        eprintln!("{who}: {measure}: {why}");
        self.reasons
            .insert((who.to_owned(), measure.to_owned()), why.to_owned());
    }

    /// Takes over what an earlier run has written of those that `keeps` wants; sizes are measured each time.
    pub(crate) fn keep_what_was_measured(&mut self, keeps: impl Fn(&str) -> bool) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/results.csv");
        for line in fs::read_to_string(path).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.trim_matches('"').split("\",").collect();
            let [who, measure, value] = fields[..] else {
                continue;
            };
            let measure = measure.trim_matches('"');
            if !keeps(who) || measure.starts_with("installed") {
                continue;
            }
            match value.trim_matches('"').strip_prefix("cannot: ") {
                Some(why) => self.cannot(who, measure, why),
                None => self.add(who, measure, value.parse().unwrap()),
            }
        }
    }

    /// The values of one cell, from the least.
    fn sorted(&self, who: &str, measure: &str) -> Vec<f64> {
        let values = self.values.get(&(who.to_owned(), measure.to_owned()));
        let mut sorted = values.cloned().unwrap_or_default();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub(crate) fn median(&self, who: &str, measure: &str) -> Option<f64> {
        let sorted = self.sorted(who, measure);
        sorted.get(sorted.len() / 2).copied()
    }

    pub(crate) fn finish(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("results.csv"), self.csv()).unwrap();
        let text = format!("{}\n{}\n{}", machine(), self.table(), self.scans());
        fs::write(folder.join("table.md"), &text).unwrap();
        fs::write(folder.join("reaction.svg"), chart::reaction(self)).unwrap();
        println!("{text}\nraw data and chart: {}", folder.display());
        if std::env::var_os("PUBLISH").is_some() {
            publish(&text, &folder.join("reaction.svg"));
        }
    }

    fn csv(&self) -> String {
        let mut text = "who,measure,value\n".to_owned();
        for ((who, measure), values) in &self.values {
            for value in values {
                let _ = writeln!(text, "\"{who}\",\"{measure}\",{value}");
            }
        }
        for ((who, measure), why) in &self.reasons {
            let _ = writeln!(
                text,
                "\"{who}\",\"{measure}\",\"cannot: {}\"",
                why.replace('"', "'")
            );
        }
        text
    }

    /// Who has any result.
    fn columns(&self) -> impl Iterator<Item = &'static str> {
        COLUMNS
            .into_iter()
            .filter(|who| self.values.keys().any(|(key, _)| key == who))
    }

    fn table(&self) -> String {
        let mut text = "| what | budget |".to_owned();
        for who in self.columns() {
            let _ = write!(text, " {who} |");
        }
        text += "\n|---|---|";
        text += &"---|".repeat(self.columns().count());
        for (measure, budget) in ROWS {
            let _ = write!(text, "\n| {measure} | {budget} |");
            for who in self.columns() {
                let _ = write!(text, " {} |", self.cell(who, measure));
            }
        }
        text + "\n"
    }

    fn cell(&self, who: &str, measure: &str) -> String {
        let sorted = self.sorted(who, measure);
        let Some(median) = sorted.get(sorted.len() / 2).copied() else {
            let reason = |what: &str| self.reasons.get(&(who.to_owned(), what.to_owned()));
            return match reason(measure) {
                Some(why) => format!("cannot: {why}"),
                // What comes after something that did not come to an end is not tried.
                None if who.starts_with("floor") => String::new(),
                None => "–".to_owned(),
            };
        };
        let mut cell = number(median);
        if measure.ends_with("files") {
            cell = format!("{median:.0}");
        }
        if sorted.len() > 10 {
            let p99 = sorted[(sorted.len() - 1) * 99 / 100];
            let max = sorted[sorted.len() - 1];
            cell = format!("{cell}, p99 {}, max {}", number(p99), number(max));
        }
        let backend = who.rsplit(' ').next().unwrap_or_default();
        let ours = self.median(&format!("sipguard {backend}"), measure);
        if let Some(ours) = ours.filter(|&ours| ours > 0.0 && !who.starts_with("sipguard")) {
            let _ = write!(cell, " (×{})", number(median / ours));
        }
        cell
    }

    fn scans(&self) -> String {
        let mut text = "| million lines per CPU-second |".to_owned();
        for scan in SCANS {
            let _ = write!(text, " {} |", scan.trim_start_matches("scan, "));
        }
        text += "\n|---|---|---|---|";
        for who in SCANNERS {
            let _ = write!(text, "\n| {who} |");
            for scan in SCANS {
                let (theirs, ours) = (self.median(who, scan), self.median("sipguard test", scan));
                let cell = match (theirs, ours) {
                    (Some(theirs), _) if who.starts_with("sipguard") => number(theirs),
                    (Some(theirs), Some(ours)) => {
                        format!("{} (×{})", number(theirs), number(theirs / ours))
                    }
                    _ => "cannot".to_owned(),
                };
                let _ = write!(text, " {cell} |");
            }
        }
        text + "\n"
    }
}

/// Puts the tables into the README, between its marks, and the chart beside this program.
fn publish(text: &str, chart: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (begin, end) = ("<!-- bench -->\n", "<!-- end of bench -->");
    let (before, rest) = readme.split_once(begin).expect("README.md has the mark");
    let (_, after) = rest.split_once(end).expect("README.md has the mark");
    fs::write(
        root.join("README.md"),
        format!("{before}{begin}{text}{end}{after}"),
    )
    .unwrap();
    fs::copy(chart, root.join("benches/reaction.svg")).unwrap();
}

/// Three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0".to_owned(),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ if value >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// What was measured on, and which versions.
fn machine() -> String {
    let first = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let line = text.and_then(|text| text.lines().next().map(str::to_owned));
        line.unwrap_or_else(|| format!("no {program}"))
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let versions = [
        first("fail2ban-server", &["--version"]),
        first(
            concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin/fail2ban-rs"),
            &["--version"],
        ),
        first("dpkg-query", &["-W", "-f", "sshguard ${Version}", "sshguard"]),
        first("rg", &["--version"]),
        first("nft", &["--version"]),
        first("ipset", &["--version"]),
    ];
    format!(
        "{}: {cores} cores, {}, Linux {}; sipguard {}, {}.\n",
        first("date", &["+%F"]),
        model.unwrap_or("unknown processor"),
        first("uname", &["-r"]),
        env!("CARGO_PKG_VERSION"),
        versions.join(", ")
    )
}
