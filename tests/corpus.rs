//! `corpus/lines.jsonl`: every line that must be found is found, with its address and kind, and no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_types
)]

#[path = "support/shared.rs"]
mod shared;

use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::dropbear::Dropbear;
use sipguard::filter::sshd::Sshd;
use sipguard::filter::{Context, Failure, Filter, Reading, Trail};
use sipguard::time::Wall;
use tinyjson::JsonValue;

/// What the corpus says of a line.
struct Record {
    line: Vec<u8>,
    expect: Option<(String, String)>,
    optional: bool,
    forbid: Vec<String>,
    why: String,
}

#[test]
fn every_line_of_the_corpus_is_read_right() {
    let Some(shared) = shared::shared("corpus") else {
        return;
    };
    let text = std::fs::read_to_string(shared.join("corpus/lines.jsonl")).unwrap();
    let records: Vec<Record> = text.lines().map(record).collect();
    let (mut found, mut spared, mut wrong) = (0, 0, Vec::new());
    for record in &records {
        let failure = read(record);
        let got = failure.map(|failure| (failure.addr.to_string(), failure.kind.to_string()));
        if got == record.expect {
            match got {
                Some(_) => found += 1,
                None => spared += 1,
            }
        } else if !(record.optional && got.is_none()) {
            wrong.push(format!("{}: got {got:?}, want {:?}", record.why, record.expect));
        }
        if let Some(failure) = failure {
            assert!(
                !record.forbid.contains(&failure.addr.to_string()),
                "forbidden: {}",
                record.why
            );
        }
    }
    println!(
        "corpus: {} lines, {found} found, {spared} spared, {} wrong",
        records.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found > 50 && spared > 50, "the corpus has shrunk");
}

fn read(record: &Record) -> Option<Failure> {
    let context = Context {
        today: Wall(1_795_351_367),
        utc_offset_s: 0,
    };
    let line: &[u8] = &record.line;
    match filter_of(record).read(line, &mut Trail::default(), &context) {
        Reading::Failure(failure) => {
            assert!(failure.at.is_some(), "no date: {}", record.why);
            Some(failure)
        }
        Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => None,
    }
}

/// The filter whose jail would read such a line.
fn filter_of(record: &Record) -> Filter {
    let has = |word: &str| {
        record
            .line
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    if has(" dropbear[") {
        Filter::Dropbear(Dropbear)
    } else if has(" sshd") {
        Filter::Sshd(Sshd::default())
    } else {
        Filter::Asterisk(Asterisk)
    }
}

fn record(text: &str) -> Record {
    let value: JsonValue = text.parse().unwrap();
    let text = |value: &JsonValue, key: &str| value[key].get::<String>().cloned().unwrap_or_default();
    let object: &std::collections::HashMap<String, JsonValue> = value.get().unwrap();
    let line = match object.get("line_b64") {
        Some(encoded) => base64(encoded.get::<String>().unwrap()),
        None => text(&value, "line").into_bytes(),
    };
    let expect = object
        .get("expect")
        .filter(|expect| !expect.is_null())
        .map(|expect| (text(expect, "addr"), text(expect, "kind")));
    let forbid: Option<&Vec<JsonValue>> = object.get("forbid").and_then(JsonValue::get);
    Record {
        line,
        expect,
        optional: object
            .get("optional")
            .is_some_and(|value| value.get::<bool>() == Some(&true)),
        forbid: forbid
            .into_iter()
            .flatten()
            .filter_map(|address| address.get().cloned())
            .collect(),
        why: text(&value, "why"),
    }
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.bytes().filter(|&letter| letter != b'=') {
        bits = bits << 6 | LETTERS.iter().position(|&known| known == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
