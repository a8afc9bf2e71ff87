//! Are the rules of ARCHITECTURE.md kept?

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders of `src/` that touch the system. Everything else is pure.
const RIM: [&str; 12] = [
    "main.rs", "cli", "control", "daemon", "feed", "firewall", "notify", "power", "store", "sys", "tail",
    "lib.rs",
];
/// The pure files inside a folder of the rim.
const PURE_INSIDE_RIM: [&str; 24] = [
    "control/client.rs",
    "control/json.rs",
    "control/listing.rs",
    "control/request.rs",
    "control/text.rs",
    "feed/cursor.rs",
    "feed/export.rs",
    "feed/follow.rs",
    "feed/message.rs",
    "feed/ring.rs",
    "power/access.rs",
    "power/accounts.rs",
    "power/bpf.rs",
    "store/chain.rs",
    "store/crc.rs",
    "store/load.rs",
    "store/record.rs",
    "store/stamp.rs",
    "tail/cursor.rs",
    "tail/table.rs",
    "tail/settle.rs",
    "tail/read.rs",
    "tail/report.rs",
    "tail/names.rs",
];

const LINES_PER_FILE_MAX: usize = 500;
const LINES_PER_FUNCTION_MAX: usize = 70;

struct Source {
    name: String,
    text: String,
}

impl Source {
    /// The file without its tests, which stand at its end.
    fn program(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap()
    }

    fn is_pure(&self) -> bool {
        let rim = RIM
            .iter()
            .any(|rim| self.name == *rim || self.name.starts_with(&format!("{rim}/")));
        !rim || PURE_INSIDE_RIM.contains(&self.name.as_str())
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                if name.ends_with("/tests.rs") || name.contains("/tests/") {
                    continue;
                }
                found.push(Source {
                    name,
                    text: fs::read_to_string(path).unwrap(),
                });
            }
        }
    }
    assert!(found.len() > 20, "the sources are here");
    found
}

/// Fails with every place where `wrong` finds something.
fn check(rule: &str, wrong: impl Fn(&Source) -> Vec<String>) {
    let places: Vec<String> = sources()
        .iter()
        .flat_map(|source| {
            wrong(source)
                .into_iter()
                .map(|place| format!("src/{}: {place}", source.name))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(places.is_empty(), "{rule}:\n{}", places.join("\n"));
}

/// Lines of the program that name one of these words, from its beginning on (`log::`, but not `syslog::`).
fn lines_with(source: &Source, words: &[&str]) -> Vec<String> {
    let code = |line: &&str| !line.trim_start().starts_with("//");
    let hit = |line: &&str| {
        words.iter().any(|word| {
            line.match_indices(word).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|char| char.is_alphanumeric() || char == '_')
            })
        })
    };
    source
        .program()
        .lines()
        .filter(code)
        .filter(hit)
        .map(str::to_owned)
        .collect()
}

#[test]
fn files_are_short() {
    check("a file has at most 500 lines, its tests apart", |source| {
        let count = source.program().lines().count();
        if count > LINES_PER_FILE_MAX {
            vec![format!("{count} lines")]
        } else {
            vec![]
        }
    });
}

#[test]
fn functions_fit_a_screen() {
    check("a function has at most 70 lines", |source| {
        let mut long = Vec::new();
        let mut start: Option<(usize, usize, &str)> = None;
        for (number, line) in source.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if let Some((from, depth, head)) = start {
                if indent == depth && line.trim_start().starts_with('}') {
                    if number - from > LINES_PER_FUNCTION_MAX {
                        long.push(format!("{} lines: {}", number - from, head.trim()));
                    }
                    start = None;
                }
            } else if line.contains("fn ") && !line.trim_start().starts_with("//") && !line.contains('}') {
                start = Some((number, indent, line));
            }
        }
        long
    });
}

#[test]
fn the_pure_core_touches_nothing() {
    check(
        "a pure file neither opens, nor reads a clock, nor logs",
        |source| {
            if !source.is_pure() {
                return vec![];
            }
            // The kernel's constants are numbers, and have no other place than sys/; and what is pure may be used.
            let pure = ["crate::sys::uapi::", "crate::tail::cursor::"];
            let allowed = |line: &String| pure.iter().any(|path| line.contains(path));
            let found = lines_with(
                source,
                &[
                    "std::fs",
                    "std::net::Udp",
                    "std::net::Tcp",
                    "std::process",
                    "std::env",
                    "std::thread",
                    "log::",
                    "::now()",
                    "std::os::",
                    "println!",
                    "crate::sys",
                    "crate::tail",
                    "crate::firewall",
                    "crate::daemon",
                ],
            );
            found.into_iter().filter(|line| !allowed(line)).collect()
        },
    );
}

#[test]
fn the_pure_core_forbids_unsafe_code_and_indexing() {
    check("a pure module forbids unsafe code", |source| {
        let top = source.is_pure() && (!source.name.contains('/') || source.name.ends_with("/mod.rs"));
        // A submodule inherits the attributes of the top of its folder.
        let inherits = source.name.matches('/').count() > 1;
        if !top || inherits || source.text.contains("#![forbid(unsafe_code)]") {
            vec![]
        } else {
            vec!["does not".into()]
        }
    });
}

#[test]
fn only_sys_names_the_system_crates() {
    check("only src/sys names nix or libc", |source| {
        if source.name.starts_with("sys/") {
            vec![]
        } else {
            lines_with(source, &["nix::", "libc::"])
        }
    });
}

#[test]
fn comments_speak_of_the_code_and_not_of_its_history() {
    check("no comment about a change, no unfinished work", |source| {
        let words = [
            "TODO",
            "FIXME",
            "HACK",
            "todo!",
            "unimplemented!",
            "we no longer",
            "it used to ",
        ];
        source
            .text
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    });
}

#[test]
fn the_oldest_supported_compiler_can_read_the_sources() {
    check(
        "no let chains: they need Rust 1.88, and Debian 13 has 1.85",
        |source| {
            let chained = |line: &&str| line.trim_start().starts_with("&& let ") || line.contains(" && let ");
            source.text.lines().filter(chained).map(str::to_owned).collect()
        },
    );
}

/// The tests that ARCHITECTURE.md names in one of its rules: file and function.
fn tests_of_rules() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (_, rules) = text.split_once("\n## Rules\n").unwrap();
    let mut found = Vec::new();
    for rule in rules.split("\n**R").skip(1) {
        let number = rule.split(' ').next().unwrap();
        let quoted = rule.split('`').skip(1).step_by(2);
        let named = quoted.filter_map(|text| text.split_once("::"));
        found.extend(named.map(|(file, name)| (number.to_owned(), file.to_owned(), name.to_owned())));
    }
    found
}

#[test]
fn every_rule_has_tests_and_they_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = tests_of_rules();
    for rule in 1..=11 {
        let count = tests
            .iter()
            .filter(|(number, ..)| *number == rule.to_string())
            .count();
        assert!(count >= 3, "R{rule} has {count} tests");
    }
    let missing: Vec<_> = tests
        .iter()
        .filter(|(_, file, name)| {
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            let head = format!("fn {name}() {{");
            // The attribute stands right before, or one more between them.
            let before = text.split(&head).next().unwrap_or_default();
            let is_test = before.lines().rev().take(3).any(|line| line.trim() == "#[test]");
            !text.contains(&head) || !is_test
        })
        .collect();
    assert!(
        missing.is_empty(),
        "named in ARCHITECTURE.md and not there: {missing:?}"
    );
}

#[test]
fn every_key_is_in_the_table_of_what_becomes_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = fs::read_to_string(root.join("src/config/settings.rs")).unwrap();
    let table = fs::read_to_string(root.join("docs/fail2ban.md")).unwrap();
    let (_, list) = settings.split_once("SETTINGS: &[Setting] = &[").unwrap();
    let (list, _) = list.split_once("\n];").unwrap();
    let mut keys = 0;
    for maker in ["jail(", "program(", "otherwise(", "needed("] {
        let maker = format!("    {maker}");
        let calls = list.split(&maker).skip(1);
        for key in calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next()) {
            keys += 1;
            assert!(
                table.contains(&format!("`{key}`")),
                "docs/fail2ban.md says nothing of {key}"
            );
        }
    }
    assert!(keys > 80, "{keys} keys were found");
}
