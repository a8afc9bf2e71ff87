//! What the child without privileges finds out for the guard: the addresses of names, and what `ignorecommand` says.
//!
//! A name is looked up by a process of its own, this program again, since the C library's resolver cannot be
//! interrupted; what it prints are addresses, a line each. Names of `ignoreip` are looked up again and again, and the
//! guard hears of an answer only if it is another one than before.

use core::net::IpAddr;
use std::collections::VecDeque;

use super::job::{End, Ended, Lane, Now, Out, Program, Say, Told};
use super::message::{Event, Found};
use super::script::{Script, Values};
use super::text;
use crate::addr;
use crate::escape::Escaped;
use crate::guard::Answer;
use crate::limits::{
    COMMAND_OUTPUT_BYTES_MAX, IGNORECOMMAND_SECONDS, LOOKUP_EVERY_SECONDS, LOOKUP_RETRY_SECONDS,
    LOOKUP_SECONDS, NAME_ADDRESSES_MAX,
};
use crate::time::Mono;

/// This program, whatever became of the file it was started from; and the words that make it look a name up.
const LOOK_UP: [&str; 3] = ["/proc/self/exe", "notify-child", "resolve"];

/// Longest line that is printed for an address, with its newline.
const ADDRESS_BYTES: usize = 48;

/// A name that is looked up again and again.
struct Kept {
    name: String,
    due: Mono,
    failed: u32,
    /// What the guard knows: the addresses, or that there are none.
    told: Option<Option<Vec<IpAddr>>>,
}

/// What is being looked up.
enum Current {
    /// The name of this number.
    Kept(usize),
    /// A name of a log, and the number of the message.
    Asked(u32, String),
}

/// Looks names up, one after the other.
pub struct NamesLane {
    kept: Vec<Kept>,
    asked: VecDeque<(u32, String)>,
    current: Option<Current>,
    /// Whether the guard is in force, and has not stopped.
    works: bool,
    now: Mono,
}

impl NamesLane {
    /// A lane for these names, and for what it is asked.
    #[must_use]
    pub fn new(names: impl Iterator<Item = String>) -> NamesLane {
        let kept = names.map(|name| Kept {
            name,
            due: Mono(0),
            failed: 0,
            told: None,
        });
        NamesLane {
            kept: kept.collect(),
            asked: VecDeque::new(),
            current: None,
            works: false,
            now: Mono(0),
        }
    }

    fn found(&mut self, number: usize, found: Result<Vec<IpAddr>, String>, out: &mut Out) {
        let Some(kept) = self.kept.get_mut(number) else {
            return;
        };
        let addresses = match found {
            Ok(addresses) => {
                kept.failed = 0;
                kept.due = self.now.plus_seconds(LOOKUP_EVERY_SECONDS);
                Some(addresses)
            }
            Err(why) => {
                if kept.failed == 0 {
                    out.warn(format!(
                        "the addresses of {} (ignoreip) cannot be found, the last known ones hold: {why}",
                        kept.name
                    ));
                }
                let pause = LOOKUP_RETRY_SECONDS << kept.failed.min(10);
                kept.failed = kept.failed.saturating_add(1);
                kept.due = self.now.plus_seconds(pause.min(LOOKUP_EVERY_SECONDS));
                None
            }
        };
        if kept.told.as_ref() != Some(&addresses) {
            kept.told = Some(addresses.clone());
            out.found.push(Found {
                name: kept.name.clone(),
                addresses,
            });
        }
    }
}

impl Lane for NamesLane {
    fn tell(&mut self, number: Option<u32>, told: Told<'_>, out: &mut Out) {
        match (told, number) {
            (Told::Start, _) => {
                self.works = true;
                // The guard may be another one, or it asks for fresh answers.
                for kept in &mut self.kept {
                    (kept.due, kept.failed) = (Mono(0), 0);
                }
            }
            (Told::Stop, _) => {
                self.works = false;
                self.asked.clear();
            }
            (Told::Resolve(mut lines), Some(number)) => {
                let name = lines.next().and_then(|name| core::str::from_utf8(name).ok());
                let name = name.filter(|name| addr::is_name(name)).map(str::to_owned);
                match name {
                    Some(name) => return self.asked.push_back((number, name)),
                    None => out.done.push(number),
                }
            }
            _ => {}
        }
        out.done(number);
        out.done.dedup();
    }

    fn next(&mut self, now: Now, _: &mut Out) -> Option<Program> {
        if self.current.is_some() || !self.works {
            return None;
        }
        self.now = now.mono;
        let (name, current) = match self.asked.pop_front() {
            Some((number, name)) => (name.clone(), Current::Asked(number, name)),
            None => {
                let due = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.due);
                let (number, kept) = due.filter(|(_, kept)| kept.due <= now.mono)?;
                (kept.name.clone(), Current::Kept(number))
            }
        };
        self.current = Some(current);
        Some(Program {
            words: LOOK_UP.map(str::to_owned).into_iter().chain([name]).collect(),
            seconds: LOOKUP_SECONDS,
            keep: NAME_ADDRESSES_MAX * ADDRESS_BYTES,
            confined: true,
            ..Program::default()
        })
    }

    fn ended(&mut self, ended: &Ended, out: &mut Out) {
        let Some(current) = self.current.take() else {
            return;
        };
        if !self.works {
            return;
        }
        let found = addresses(ended);
        match current {
            Current::Kept(number) => self.found(number, found, out),
            Current::Asked(number, name) => {
                out.found.push(Found {
                    name,
                    addresses: found.ok(),
                });
                out.done.push(number);
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        let dues = self.kept.iter().map(|kept| kept.due);
        dues.min().filter(|_| self.works)
    }

    fn is_idle(&self) -> bool {
        self.current.is_none()
    }

    fn hurry(&mut self) {}
}

/// The addresses that a lookup printed, sorted.
fn addresses(ended: &Ended) -> Result<Vec<IpAddr>, String> {
    if ended.end != End::Exit(0) {
        let said = ended.output.trim_ascii();
        return Err(match (&ended.end, said.is_empty()) {
            (End::Exit(_), false) => Escaped(said).to_string(),
            (end, _) => end.to_string(),
        });
    }
    let lines = ended.output.split_inclusive(|&byte| byte == b'\n');
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    let mut found: Vec<IpAddr> = whole.filter_map(addr::parse).take(NAME_ADDRESSES_MAX).collect();
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return Err("it has none".to_owned());
    }
    Ok(found)
}

/// Asks a jail's `ignorecommand`, one question after the other.
pub struct QuestionsLane {
    jail: String,
    hostname: String,
    script: Script,
    asked: VecDeque<(u32, Event)>,
    current: Option<(u32, Event)>,
    stopped: bool,
}

impl QuestionsLane {
    /// The lane of a jail.
    #[must_use]
    pub fn new(jail: &str, hostname: &str, script: Script) -> QuestionsLane {
        QuestionsLane {
            jail: jail.to_owned(),
            hostname: text::name(hostname),
            script,
            asked: VecDeque::new(),
            current: None,
            stopped: false,
        }
    }
}

impl Lane for QuestionsLane {
    fn tell(&mut self, number: Option<u32>, told: Told<'_>, out: &mut Out) {
        match (told, number) {
            (Told::Ask(event), Some(number)) => self.asked.push_back((number, event)),
            (Told::Stop, _) => {
                self.stopped = true;
                self.asked.clear();
                out.done(number);
            }
            _ => out.done(number),
        }
    }

    fn next(&mut self, _: Now, out: &mut Out) -> Option<Program> {
        if self.current.is_some() {
            return None;
        }
        loop {
            let (number, event) = self.asked.pop_front()?;
            let values = Values {
                net: Some(event.net),
                failures: event.failures,
                bantime: event.bantime,
                time: event.time,
                matches: "",
                restored: false,
                hostname: &self.hostname,
            };
            let Some((words, variables)) = self.script.run(0, &values) else {
                out.answers.push((number, Answer::None));
                continue;
            };
            self.current = Some((number, event));
            return Some(Program {
                words,
                variables,
                seconds: IGNORECOMMAND_SECONDS,
                keep: COMMAND_OUTPUT_BYTES_MAX,
                confined: true,
                ..Program::default()
            });
        }
    }

    fn ended(&mut self, ended: &Ended, out: &mut Out) {
        let Some((number, event)) = self.current.take() else {
            return;
        };
        if self.stopped {
            return;
        }
        let answer = match ended.end {
            End::Exit(0) => Answer::Ignored,
            End::Exit(1) => Answer::NotIgnored,
            End::Exit(_) | End::Signal(_) | End::TooLong | End::NotStarted(_) => {
                let said = ended.output.trim_ascii();
                let address = event.net.addr();
                out.said.push(Say::Warn(format!(
                    "ignorecommand says neither 0 nor 1 about {address}, which is not ignored then: {}: {} jail={}",
                    ended.end,
                    Escaped(said),
                    self.jail
                )));
                Answer::None
            }
        };
        out.answers.push((number, answer));
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn is_idle(&self) -> bool {
        self.current.is_none() && self.asked.is_empty()
    }

    fn hurry(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::super::message::Lines;
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(seconds * 1_000),
            ..Now::default()
        }
    }

    fn names(names: &[&str]) -> NamesLane {
        let mut lane = NamesLane::new(names.iter().map(|name| (*name).to_owned()));
        lane.tell(None, Told::Start, &mut Out::default());
        lane
    }

    fn said(text: &str) -> Ended {
        Ended {
            end: End::Exit(0),
            output: text.as_bytes().to_vec(),
        }
    }

    fn failed() -> Ended {
        Ended {
            end: End::Exit(1),
            output: b"no \x1b[2J answer\n".to_vec(),
        }
    }

    /// The name that is looked up next, at that time.
    fn next(lane: &mut NamesLane, seconds: u64) -> Option<String> {
        let program = lane.next(at(seconds), &mut Out::default())?;
        assert_eq!(program.words[..3], LOOK_UP);
        assert!(program.confined && program.variables.is_empty());
        program.words.last().cloned()
    }

    fn end(lane: &mut NamesLane, ended: &Ended) -> Out {
        let mut out = Out::default();
        lane.ended(ended, &mut out);
        out
    }

    fn found(name: &str, addresses: &[&str]) -> Found {
        let parsed = addresses.iter().map(|address| address.parse().unwrap());
        Found {
            name: name.to_owned(),
            addresses: (!addresses.is_empty()).then(|| parsed.collect()),
        }
    }

    #[test]
    fn a_name_is_looked_up_again_and_told_when_it_changes() {
        let mut lane = names(&["a.example"]);
        let mut check = |seconds, text: &str, want: &[Found]| {
            assert_eq!(next(&mut lane, seconds).as_deref(), Some("a.example"));
            assert_eq!(
                next(&mut lane, seconds + 9_999),
                None,
                "one after the other, and not while it runs"
            );
            assert_eq!(end(&mut lane, &said(text)).found, want);
            assert_eq!(
                lane.deadline(),
                Some(Mono((seconds + LOOKUP_EVERY_SECONDS) * 1_000))
            );
        };
        let first = found("a.example", &["192.0.2.1", "2001:db8::1"]);
        check(1, "2001:db8::1\n192.0.2.1\n192.0.2.1\n", &[first]);
        check(301, "192.0.2.1\n2001:db8::1\n", &[]);
        check(601, "192.0.2.7\n192.0.2.1", &[found("a.example", &["192.0.2.7"])]);
    }

    #[test]
    fn a_lookup_that_fails_is_tried_again_soon_and_then_less_often() {
        let mut lane = names(&["a.example"]);
        let mut now = 0;
        for (number, pause) in [10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
            assert!(next(&mut lane, now).is_some());
            let out = end(&mut lane, &failed());
            assert_eq!(out.said.len(), usize::from(number == 0), "it is said once");
            if let [Say::Warn(text)] = &out.said[..] {
                assert!(text.ends_with("hold: no \\x1b[2J answer"), "{text}");
            }
            assert_eq!(out.found.len(), usize::from(number == 0));
            assert_eq!(lane.deadline(), Some(Mono((now + pause) * 1_000)));
            now += pause;
        }
        let empty = Ended {
            end: End::Exit(0),
            output: b"x\n".to_vec(),
        };
        next(&mut lane, now);
        assert_eq!(end(&mut lane, &empty).found, [], "that is a failure, too");
        lane.tell(None, Told::Start, &mut Out::default());
        assert!(next(&mut lane, now).is_some(), "after a reload at once");
    }

    #[test]
    fn what_is_no_address_is_none_and_their_number_is_bounded() {
        let many: String = (0..200).map(|host| format!("192.0.2.{host}\n")).collect();
        let mut lane = names(&["a.example"]);
        next(&mut lane, 0);
        let out = end(&mut lane, &said(&format!("$(reboot)\n\x1b\n{many}")));
        let addresses = out.found[0].addresses.clone().unwrap();
        assert_eq!(addresses.len(), NAME_ADDRESSES_MAX);
    }

    #[test]
    fn names_of_logs_come_first_and_are_answered() {
        let mut lane = names(&["a.example"]);
        let mut out = Out::default();
        for (number, name) in [
            (1, &b"b.example"[..]),
            (2, b"-x"),
            (3, b"a b"),
            (4, b""),
            (5, b"1.2.3"),
        ] {
            let length = u16::try_from(name.len()).unwrap().to_le_bytes();
            let bytes = [&length[..], name].concat();
            lane.tell(Some(number), Told::Resolve(Lines::copied(&bytes)), &mut out);
        }
        assert_eq!(out.done, [2, 3, 4, 5]);
        assert_eq!(next(&mut lane, 0).as_deref(), Some("b.example"));
        let out = end(&mut lane, &failed());
        assert_eq!((out.done, out.found), (vec![1], vec![found("b.example", &[])]));
        assert_eq!(next(&mut lane, 0).as_deref(), Some("a.example"));
    }

    #[test]
    fn a_question_is_answered_by_the_exit_code() {
        let script = Script::new("/bin/friend <ip> <failures>").unwrap();
        let mut lane = QuestionsLane::new("j", "h", script);
        let mut out = Out::default();
        let event = Event {
            jail: 0,
            net: "192.0.2.1/32".parse().unwrap(),
            failures: 5,
            bantime: None,
            time: 0,
            restored: false,
        };
        let ends = [
            (End::Exit(0), Answer::Ignored),
            (End::Exit(1), Answer::NotIgnored),
            (End::Exit(2), Answer::None),
            (End::TooLong, Answer::None),
            (End::NotStarted("x".to_owned()), Answer::None),
        ];
        for number in 0..5 {
            lane.tell(Some(number), Told::Ask(event), &mut out);
        }
        for (number, (end, want)) in (0..).zip(ends) {
            let program = lane.next(at(0), &mut out).unwrap();
            assert_eq!(program.words, ["/bin/friend", "192.0.2.1", "5"]);
            assert!(program.confined);
            assert_eq!(lane.next(at(0), &mut out), None);
            let output = b"a\nb\x1b".to_vec();
            lane.ended(&Ended { end, output }, &mut out);
            assert_eq!(out.answers.last(), Some(&(number, want)));
        }
        assert_eq!(out.said.len(), 3);
        let Say::Warn(text) = &out.said[0] else { panic!() };
        assert!(text.ends_with("exit code 2: a\\nb\\x1b jail=j"), "{text}");
        assert!(lane.is_idle());
    }
}
