//! The rule that makes one attempt of many lines, as small as it can be said (see `filter::Attempt`).

use std::net::IpAddr;

use sipguard::filter::{Failure, Step, Witness};
use sipguard::time::Wall;

/// What has been reported so far. Nothing is ever forgotten: this is a model.
#[derive(Default)]
pub(crate) struct Attempts(Vec<Attempt>);

struct Attempt {
    addr: IpAddr,
    id: u64,
    at: Wall,
    reports: Vec<(Stream, Step)>,
}

type Stream = (usize, bool);

impl Attempts {
    /// Takes a line of `file` and says whether it begins an attempt.
    pub(crate) fn is_new(&mut self, at: Wall, file: usize, failure: &Failure) -> bool {
        let line = failure.attempt.expect("Asterisk's lines have one");
        let stream = (file, line.witness == Witness::Security);
        let joined = self.0.iter_mut().find(|attempt| {
            let reported = |step| {
                attempt
                    .reports
                    .iter()
                    .filter(|&&report| report == (stream, step))
                    .count()
            };
            let opened = reported(Step::Opening);
            let closed = reported(Step::Closing) + reported(Step::Whole);
            let free = match line.step {
                Step::Opening => opened < 2 && closed == 0,
                Step::Closing => closed == 0,
                Step::Whole => opened + closed == 0,
            };
            free && attempt.addr == failure.addr && attempt.id == line.id && at.0 - attempt.at.0 <= 10
        });
        match joined {
            Some(attempt) => {
                attempt.reports.push((stream, line.step));
                false
            }
            None => {
                let reports = vec![(stream, line.step)];
                self.0.push(Attempt {
                    addr: failure.addr,
                    id: line.id,
                    at,
                    reports,
                });
                true
            }
        }
    }
}
