//! `sipguard test` as a program: words in, objects and a summary out.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests run the program and may fail"
)]

mod support {
    pub(crate) mod generated;
}

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use support::generated::{Plan, write_log};
use tinyjson::JsonValue;

/// A folder of this test's own, empty.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn sipguard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sipguard"));
    command.arg("test").env("TZ", "UTC");
    command
}

/// Runs `sipguard test WORDS…` in `folder`, with these bytes on standard input.
fn run(folder: &Path, words: &[&str], input: &[u8]) -> Output {
    let mut child = sipguard()
        .current_dir(folder)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Small enough for a pipe.
    stdin.write_all(input).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The objects on standard output, each as `KEY=VALUE …` of the keys asked for.
fn objects(output: &Output, keys: &[&str]) -> Vec<String> {
    let show = |value: &JsonValue| match value {
        JsonValue::String(text) => text.clone(),
        other => other.stringify().unwrap(),
    };
    text(&output.stdout)
        .lines()
        .map(|line| {
            let value: JsonValue = line.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
            let object: &std::collections::HashMap<String, JsonValue> = value.get().unwrap();
            let pair = |key: &&str| Some(format!("{key}={}", show(object.get(*key)?)));
            keys.iter().filter_map(pair).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// Fails of one account from one address, `seconds` after 12:00:00.
fn notice(seconds: u32, host: u8) -> String {
    format!(
        "[2026-11-22 12:{:02}:{:02}] NOTICE[1893] chan_sip.c: Registration from '\"100\" <sip:100@192.0.2.10>' failed \
         for '198.51.100.{host}:5060' - Wrong password\n",
        seconds / 60,
        seconds % 60
    )
}

fn event(seconds: u32, host: u8) -> String {
    format!(
        "[2026-11-22 12:{:02}:{:02}] SECURITY[1876] res_security_log.c: SecurityEvent=\"InvalidPassword\",\
         EventTV=\"1795351367-488505\",Severity=\"Error\",Service=\"SIP\",EventVersion=\"2\",AccountID=\"100\",\
         SessionID=\"0x7f28ac00fc68\",LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",\
         RemoteAddress=\"IPV4/UDP/198.51.100.{host}/5060\",Challenge=\"2ab\",ReceivedChallenge=\"2ab\",\
         ReceivedHash=\"7d7a83a9\"\n",
        seconds / 60,
        seconds % 60
    )
}

#[test]
fn a_failure_is_one_object_with_the_names_of_the_interface() {
    let folder = folder("object");
    fs::write(folder.join("messages"), format!("nothing\n{}", notice(1, 7))).unwrap();
    let output = run(&folder, &["--json", "messages"], b"");
    assert_eq!(output.status.code(), Some(0));
    let attempt = objects(&output, &["attempt"])[0].replace("attempt=", "");
    assert!(
        attempt.len() <= 16 && attempt.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{attempt}"
    );
    assert_eq!(
        text(&output.stdout),
        format!(
            "{{\"file\":\"messages\",\"line\":2,\"time\":\"2026-11-22T12:00:01\",\"jail\":\"asterisk\",\
             \"filter\":\"asterisk\",\"addr\":\"198.51.100.7\",\"kind\":\"sip.auth\",\"proof\":\"blind\",\
             \"attempt\":\"{attempt}\",\"duplicate\":false}}\n"
        )
    );
    assert!(text(&output.stderr).contains("1 failure: 1 attempt, 0 lines of an attempt"));
}

#[test]
fn notice_and_security_lines_of_one_attempt_in_two_files_count_once() {
    let folder = folder("two-files");
    let seconds = [0, 20, 40, 41, 41, 300];
    let lines = |line: fn(u32, u8) -> String| seconds.map(|second| line(second, 7)).concat();
    fs::write(folder.join("messages"), lines(notice)).unwrap();
    fs::write(folder.join("security"), lines(event)).unwrap();
    for files in [["messages", "security"], ["security", "messages"]] {
        let output = run(&folder, &["--json", files[0], files[1]], b"");
        let summary = text(&output.stderr);
        assert!(summary.contains("12 failures: 6 attempts"), "{files:?} {summary}");
        let got = objects(&output, &["time"]);
        assert!(got.is_sorted(), "{got:?}");
    }
    let output = run(&folder, &["--json", "messages", "security"], b"");
    let got = objects(&output, &["file", "line", "proof", "duplicate"]);
    assert_eq!(
        got[..4],
        [
            "file=messages line=1 proof=blind duplicate=false",
            "file=security line=1 proof=claimed duplicate=true",
            "file=messages line=2 proof=blind duplicate=false",
            "file=security line=2 proof=claimed duplicate=true",
        ]
    );
    // The sender chose the address of such an event: alone it counts nothing, and is shown all the same.
    let output = run(&folder, &["--json", "security"], b"");
    let got = objects(&output, &["proof", "duplicate"]);
    assert_eq!(got, ["proof=claimed duplicate=false"; 6]);
    assert!(text(&output.stderr).contains("6 failures: 0 attempts"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_ban_comes_where_the_stamps_of_the_lines_say() {
    let folder = folder("bans");
    let early: String = (0..4).map(|second| notice(second * 10, 7)).collect();
    // Four within ten minutes are too few; later the fifth brings ten minutes of ban, during which more come.
    let late: String = (0..12).map(|minute| notice(700 + minute * 60, 7)).collect();
    fs::write(folder.join("messages"), early + &late).unwrap();
    let output = run(&folder, &["--json", "--bans", "messages"], b"");
    let got = objects(
        &output,
        &["event", "addr", "jail", "line", "time", "until", "failures"],
    );
    let bans: Vec<(usize, &String)> = got
        .iter()
        .enumerate()
        .filter(|(_, it)| it.starts_with("event"))
        .collect();
    assert_eq!(
        bans,
        [(
            9,
            &"event=ban addr=198.51.100.7 jail=asterisk line=9 time=2026-11-22T12:15:40 \
              until=2026-11-22T12:25:40 failures=5"
                .to_owned()
        )]
    );
    let output = run(&folder, &["--bans", "messages"], b"");
    let summary = text(&output.stdout);
    assert!(
        summary.starts_with("2026-11-22 12:15:40 would ban 198.51.100.7: 5 failures"),
        "{summary}"
    );
    assert!(
        summary.contains("jail asterisk: 1 ban (5 failures within 10m bring one for 10m)"),
        "{summary}"
    );
}

#[test]
fn the_jails_of_a_configuration_decide_each_for_itself() {
    let folder = folder("config");
    let jails = "[DEFAULT]\nignoreip = 198.51.100.9\nlogpath = /var/log/x\n\
                 [strict]\nenabled = true\nfilter = asterisk\nmaxretry = 2\nbantime = -1\n\
                 [mild]\nenabled = true\nfilter = asterisk\nmaxretry = 4\nbantime = 1h\n";
    fs::write(folder.join("jail.local"), jails).unwrap();
    let lines: String = (0..5)
        .map(|second| notice(second, 7) + &notice(second, 9))
        .collect();
    fs::write(folder.join("messages"), lines).unwrap();
    let output = run(
        &folder,
        &["-c", "jail.local", "--json", "--bans", "messages"],
        b"",
    );
    let bans: Vec<String> = objects(&output, &["event", "addr", "jail", "line", "until", "failures"])
        .into_iter()
        .filter(|it| it.starts_with("event"))
        .collect();
    assert_eq!(
        bans,
        [
            "event=ban addr=198.51.100.7 jail=strict line=3 until=null failures=2",
            "event=ban addr=198.51.100.7 jail=mild line=7 until=2026-11-22T13:00:03 failures=4",
        ]
    );
    let summary = text(&output.stderr);
    assert!(summary.contains("10 failures: 10 attempts"), "{summary}");
    assert!(
        summary.contains("10 failures of sources that are never banned"),
        "{summary}"
    );
}

#[test]
fn standard_input_and_its_order_with_files_are_read() {
    let folder = folder("stdin");
    fs::write(folder.join("messages"), notice(5, 7)).unwrap();
    let input = notice(1, 8) + &notice(9, 8);
    let output = run(&folder, &["--json", "messages", "-"], input.as_bytes());
    assert_eq!(
        objects(&output, &["file", "line"]),
        ["file=- line=1", "file=messages line=1", "file=- line=2"]
    );
    let output = run(&folder, &["-"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("no failures"));
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let folder = folder("missing");
    fs::write(folder.join("messages"), notice(5, 7)).unwrap();
    fs::write(folder.join("old.gz"), b"\x1f\x8b\x08\x00rest").unwrap();
    let output = run(&folder, &["--json", "absent", "messages", ".", "old.gz"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(objects(&output, &["file"]), ["file=messages"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("sipguard: cannot open absent: No such file or directory"),
        "{said}"
    );
    assert!(said.contains("sipguard: cannot read .: is a directory"), "{said}");
    assert!(
        said.contains("sipguard: cannot read old.gz: it is compressed (zcat FILE | sipguard test -)"),
        "{said}"
    );
}

#[test]
fn wrong_words_and_a_wrong_configuration_are_told_apart_from_finding_nothing() {
    let folder = folder("words");
    fs::write(folder.join("messages"), notice(5, 7)).unwrap();
    fs::write(
        folder.join("bad.local"),
        "[asterisk]\nenabled = true\nmaxretry = x\n",
    )
    .unwrap();
    for (words, want) in [
        (&["messages"][..], 0),
        (&[], 2),
        (&["--filter", "nosuch", "messages"], 2),
        (&["--filter", "asterisk", "--config", "bad.local", "messages"], 2),
        (&["--config", "bad.local", "messages"], 2),
        (&["--config", "absent", "messages"], 2),
        (&["--json", "--print", "missed", "messages"], 2),
        (&["--print", "all", "messages"], 2),
        (&["--nosuch", "messages"], 2),
        (&["--filter", "dropbear", "messages"], 1),
    ] {
        let output = run(&folder, words, b"");
        assert_eq!(
            output.status.code(),
            Some(want),
            "{words:?} {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_file_may_have_any_name() {
    let folder = folder("names");
    for name in [&b"a\xffb"[..], b"quote\"d \\", b"-dash", b"new\nline"] {
        let path = folder.join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, notice(5, 7)).unwrap();
        let output = sipguard().arg("--json").arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let shown = objects(&output, &["file"])[0].clone();
        let want = format!("file={}", path.to_string_lossy());
        assert_eq!(shown, want);
    }
}

#[test]
fn a_stamp_without_a_year_is_of_the_year_that_the_file_was_written_in() {
    let folder = folder("new-year");
    let line = |stamp: &str| notice(0, 7).replace("2026-11-22 12:00:00", stamp);
    let lines = [
        "Dec 31 23:59:57",
        "Dec 31 23:59:59",
        "Jan  1 00:00:01",
        "Jan  1 00:00:02",
        "Jan  1 00:00:03",
    ];
    let path = folder.join("messages");
    fs::write(&path, lines.map(line).concat()).unwrap();
    // 2021-01-01 00:10
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_609_459_800);
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(written)
        .unwrap();
    let output = run(&folder, &["--json", "--bans", "messages"], b"");
    let got = objects(&output, &["event", "time"]);
    assert_eq!(got[0], "time=2020-12-31T23:59:57");
    assert_eq!(got[2], "time=2021-01-01T00:00:01");
    assert_eq!(got[5], "event=ban time=2021-01-01T00:00:03");
    assert!(text(&output.stderr).contains("2020-12-31 23:59:57 to 2021-01-01 00:00:03 (6s)"));
}

#[test]
fn a_clock_that_was_set_back_neither_hides_nor_makes_failures() {
    let folder = folder("set-back");
    // Summer time ends: four failures, an hour back, and four more in an hour.
    let before: String = (0..4).map(|minute| notice(59 * 60 + minute, 7)).collect();
    let after: String = (0..4).map(|minute| notice(11 * 60 + minute * 660, 7)).collect();
    fs::write(folder.join("messages"), before + &after).unwrap();
    let output = run(&folder, &["--json", "--bans", "messages"], b"");
    let bans = objects(&output, &["event", "line"])
        .into_iter()
        .filter(|it| it.starts_with("event"));
    assert_eq!(bans.collect::<Vec<_>>(), ["event=ban line=5"]);
}

#[test]
fn carriage_returns_junk_and_huge_lines_do_not_disturb_the_count_of_lines() {
    let folder = folder("junk");
    let mut bytes = notice(1, 7).replace('\n', "\r\n").into_bytes();
    bytes.extend(std::iter::repeat_n(b'x', 3_000_000));
    bytes.extend(b"\n\n\0\xff\x1b[2J\n");
    bytes.extend((0..100_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()));
    bytes.extend(b"\n");
    let last = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count();
    // Behind so much junk, which could be an attacker's, the line is believed if it comes late enough.
    bytes.extend(notice(2, 8).as_bytes());
    bytes.extend(notice(3, 9).trim_end().as_bytes());
    fs::write(folder.join("messages"), &bytes).unwrap();
    let output = run(&folder, &["--json", "messages"], b"");
    let got = objects(&output, &["addr", "line"]);
    assert_eq!(got.first().unwrap(), "addr=198.51.100.7 line=1");
    let summary = text(&output.stderr);
    assert!(
        summary.contains("1 line longer than 8,190 bytes: not read"),
        "{summary}"
    );
    assert!(
        summary.contains("the last line has no newline: not a line yet"),
        "{summary}"
    );
    assert!(!text(&output.stdout).contains("198.51.100.9"));
    assert!(
        got.iter()
            .all(|it| *it == "addr=198.51.100.7 line=1" || *it == format!("addr=198.51.100.8 line={last}"))
    );
}

#[test]
fn lines_are_printed_escaped_with_their_reason() {
    let folder = folder("print");
    let missed = "[2026-11-22 12:00:02] NOTICE[1893] chan_sip.c: Failed to authenticate device <sip:\x1b[2J@192.0.2.1>\n";
    let torn = "[2026-11-22 12:00:03] NOTICE[1893] chan_sip.c: Registration from 'x' failed for '192.0.2.9\n";
    fs::write(
        folder.join("messages"),
        notice(1, 7) + missed + "ordinary\n" + torn,
    )
    .unwrap();
    let check = |which: &str, want: &str| {
        let output = run(&folder, &["--print", which, "messages"], b"");
        let shown = text(&output.stdout);
        let lines: Vec<&str> = shown
            .lines()
            .filter(|line| line.starts_with("messages:") && line.contains('['))
            .collect();
        assert!(lines.len() == 1 && lines[0].starts_with(want), "{shown}");
        assert!(!shown.contains('\x1b'));
    };
    check(
        "missed",
        "messages:2: [2026-11-22 12:00:02] NOTICE[1893] chan_sip.c: Failed to authenticate device <sip:\\x1b[2J@",
    );
    check(
        "failures",
        "messages:1: 198.51.100.7 sip.auth, proof blind, jail asterisk: [2026-11-22 12:00:01]",
    );
    check(
        "suspicious",
        "messages:4: torn: begins like a known message and goes on otherwise: [2026",
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder("pipe");
    let lines: String = (0..3000).map(|number| notice(number, 7)).collect();
    fs::write(folder.join("messages"), lines).unwrap();
    let mut child = sipguard()
        .current_dir(&folder)
        .args(["--json", "messages"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(100, child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.ends_with("}\n"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn what_was_found_is_written_before_more_is_waited_for() {
    let mut child = sipguard()
        .args(["--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for host in [7, 8] {
        stdin.write_all(notice(1, host).as_bytes()).unwrap();
        let mut object = String::new();
        stdout.read_line(&mut object).unwrap();
        assert!(object.contains(&format!("198.51.100.{host}")), "{object}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn memory_does_not_grow_with_the_log() {
    let peak_kb = |megabytes: u64| -> u64 {
        let mut child = sipguard()
            .args(["--json", "--bans", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufWriter::new(child.stdin.take().unwrap());
        let plan = Plan {
            bytes: megabytes * 1_000_000,
            attacks_per_mille: 900,
            lines_per_second: 1000,
        };
        write_log(&mut out, plan).unwrap();
        out.flush().unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        drop(out);
        assert!(child.wait().unwrap().success());
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    };
    // A ban lasts ten minutes: after 110 MB, twelve of them, there are as many as there ever will be.
    let (small, large) = (peak_kb(110), peak_kb(250));
    println!("peak: {small} kB after 110 MB, {large} kB after 250 MB");
    assert!(
        large < small + 1024 && large < 16 * 1024,
        "{small} kB, then {large} kB"
    );
}
