//! When a jail's mail actions write: at its start and end, and about each ban; but of more than some mails in a
//! minute the rest comes in one.

use std::collections::VecDeque;

use ipnet::IpNet;

use super::job::{End, Ended, Lane, Now, Out, Program, Say, Told};
use super::mail::{self, About, Sheet};
use super::message::Event;
use super::{Letter, text};
use crate::escape::Escaped;
use crate::limits::{DIGEST_BANS_MAX, MAILS_PER_MINUTE, WHOIS_BYTES_MAX, WHOIS_SECONDS};
use crate::time::Mono;

/// Over what time mails are counted.
const WINDOW_SECONDS: u64 = 60;

/// One mail action.
struct Post {
    action: String,
    letter: Letter,
    /// Since when mails are counted, and how many there were.
    since: Mono,
    sent: usize,
    /// Bans that are still to be told, and how many more.
    pending: Vec<(IpNet, u32)>,
    more: u64,
}

/// One thing to do.
enum Step {
    Whois(Event),
    /// By which action, about what.
    Send(usize, Matter),
}

/// What a mail will be about.
enum Matter {
    Started,
    Stopped,
    Ban(Event),
    Pending,
}

struct Job {
    number: Option<u32>,
    what: What,
    /// The lines of a ban, as they are to be shown.
    lines: String,
}

#[derive(Clone, Copy)]
enum What {
    Start,
    Ban(Event),
    Stop,
}

/// The mail actions of one jail.
pub struct MailLane {
    jail: String,
    hostname: String,
    /// What the ids of our mails begin with: random.
    seed: u64,
    count: u64,
    posts: Vec<Post>,
    jobs: VecDeque<Job>,
    job: Option<Job>,
    todo: VecDeque<Step>,
    running: Option<Step>,
    whois: Option<String>,
}

impl MailLane {
    /// The lane of a jail.
    #[must_use]
    pub fn new(jail: &str, hostname: &str, seed: u64, letters: Vec<(String, Letter)>) -> MailLane {
        let post = |(action, letter)| Post {
            action,
            letter,
            since: Mono(0),
            sent: 0,
            pending: Vec::new(),
            more: 0,
        };
        MailLane {
            jail: jail.to_owned(),
            hostname: text::name(hostname),
            seed,
            count: 0,
            posts: letters.into_iter().map(post).collect(),
            jobs: VecDeque::new(),
            job: None,
            todo: VecDeque::new(),
            running: None,
            whois: None,
        }
    }

    fn unfold(&mut self, what: What, now: Now) {
        let mut wants_whois = false;
        for (number, post) in self.posts.iter_mut().enumerate() {
            match what {
                What::Start => self.todo.push_back(Step::Send(number, Matter::Started)),
                What::Ban(event) if post.admits(now.mono) => {
                    wants_whois |= post.letter.whois;
                    self.todo.push_back(Step::Send(number, Matter::Ban(event)));
                }
                What::Ban(event) => {
                    post.put_off(event);
                    if post.is_full() {
                        self.todo.push_back(Step::Send(number, Matter::Pending));
                    }
                }
                What::Stop => {
                    if post.has_pending() {
                        self.todo.push_back(Step::Send(number, Matter::Pending));
                    }
                    self.todo.push_back(Step::Send(number, Matter::Stopped));
                }
            }
        }
        self.whois = None;
        if let (What::Ban(event), true) = (what, wants_whois) {
            self.todo.push_front(Step::Whois(event));
        }
    }

    fn program(&mut self, step: &Step, now: Now) -> Option<Program> {
        let (post, matter) = match step {
            Step::Whois(event) => return Some(whois(*event)),
            Step::Send(number, matter) => (self.posts.get_mut(*number)?, matter),
        };
        self.count += 1;
        let id = format!("{:x}.{:x}.{:x}", now.utc.0, self.seed, self.count);
        let sheet = Sheet {
            hostname: &self.hostname,
            id: &id,
            now,
        };
        let about = match matter {
            Matter::Started => About::Started,
            Matter::Stopped => About::Stopped,
            Matter::Ban(event) => About::Ban {
                event: *event,
                whois: self.whois.as_deref().filter(|_| post.letter.whois),
                lines: self.job.as_ref().map_or("", |job| job.lines.as_str()),
            },
            Matter::Pending => {
                let bans = core::mem::take(&mut post.pending);
                let about = About::Bans(&bans, core::mem::take(&mut post.more));
                return Some(mail::send(&post.letter, &about, &sheet));
            }
        };
        Some(mail::send(&post.letter, &about, &sheet))
    }
}

/// `whois 192.0.2.1`
fn whois(event: Event) -> Program {
    Program {
        words: vec!["whois".to_owned(), event.net.addr().to_string()],
        seconds: WHOIS_SECONDS,
        keep: WHOIS_BYTES_MAX,
        confined: true,
        ..Program::default()
    }
}

impl Post {
    /// Whether a ban gets a mail of its own.
    fn admits(&mut self, now: Mono) -> bool {
        if self.letter.buffered.is_some() {
            return false;
        }
        if now >= self.window_end() && !self.has_pending() {
            (self.since, self.sent) = (now, 0);
        }
        self.sent += 1;
        self.sent <= MAILS_PER_MINUTE && !self.has_pending()
    }

    fn window_end(&self) -> Mono {
        self.since.plus_seconds(WINDOW_SECONDS)
    }

    fn put_off(&mut self, event: Event) {
        if self.pending.len() < DIGEST_BANS_MAX {
            self.pending.push((event.net, event.failures));
        } else {
            self.more += 1;
        }
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.more > 0
    }

    /// Whether a buffer of so many bans is full.
    fn is_full(&self) -> bool {
        let most = self.letter.buffered.map(usize::from);
        most.is_some_and(|most| self.pending.len() >= most)
    }

    /// When what was put off is to be told, if nothing else tells it.
    fn due(&self) -> Option<Mono> {
        (self.has_pending() && self.letter.buffered.is_none()).then(|| self.window_end())
    }
}

impl Lane for MailLane {
    fn tell(&mut self, number: Option<u32>, told: Told<'_>, out: &mut Out) {
        let (what, lines) = match told {
            Told::Start => (What::Start, String::new()),
            Told::Stop => (What::Stop, String::new()),
            Told::Ban(event, lines) => {
                let mut shown = String::new();
                text::push_lines(&mut shown, lines);
                (What::Ban(event), shown)
            }
            Told::Missed(count) => {
                for post in &mut self.posts {
                    post.more += u64::from(count);
                }
                return out.done(number);
            }
            Told::Unban(_) | Told::SyncBegin | Told::SyncEnd | Told::Ask(_) | Told::Resolve(_) => {
                return out.done(number);
            }
        };
        self.jobs.push_back(Job { number, what, lines });
    }

    fn next(&mut self, now: Now, out: &mut Out) -> Option<Program> {
        if self.running.is_some() {
            return None;
        }
        loop {
            if let Some(step) = self.todo.pop_front() {
                let program = self.program(&step, now);
                self.running = program.is_some().then_some(step);
                return program;
            }
            if let Some(job) = self.job.take() {
                out.done(job.number);
            }
            for (number, post) in self.posts.iter_mut().enumerate() {
                if post.due().is_some_and(|due| due <= now.mono) {
                    (post.since, post.sent) = (now.mono, 1);
                    self.todo.push_back(Step::Send(number, Matter::Pending));
                }
            }
            if !self.todo.is_empty() {
                continue;
            }
            let job = self.jobs.pop_front()?;
            let what = job.what;
            self.job = Some(job);
            self.unfold(what, now);
        }
    }

    fn ended(&mut self, ended: &Ended, out: &mut Out) {
        match self.running.take() {
            None => {}
            Some(Step::Whois(event)) => {
                let mut shown = String::new();
                text::push_answer(&mut shown, &ended.output);
                if ended.output.trim_ascii().is_empty() || matches!(ended.end, End::NotStarted(_)) {
                    shown = format!("  (no answer: whois: {})\n", text::name(&ended.end.to_string()));
                    out.warn(format!(
                        "jail {}: whois {}: {}",
                        self.jail,
                        event.net.addr(),
                        ended.end
                    ));
                }
                self.whois = Some(shown);
            }
            Some(Step::Send(number, _)) => {
                let action = self.posts.get(number).map_or("", |post| post.action.as_str());
                let output = ended.output.trim_ascii();
                let said = format!(
                    "jail {}: action {}: {}{}{}",
                    self.jail,
                    Escaped(action.as_bytes()),
                    ended.end,
                    if output.is_empty() { "" } else { ": " },
                    Escaped(output)
                );
                if !ended.is_success() {
                    out.warn(format!("{said}; a mail is lost"));
                } else if !output.is_empty() {
                    out.said.push(Say::Info(said));
                }
            }
        }
    }

    fn deadline(&self) -> Option<Mono> {
        self.posts.iter().filter_map(Post::due).min()
    }

    fn is_idle(&self) -> bool {
        self.running.is_none() && self.todo.is_empty() && self.jobs.is_empty() && self.job.is_none()
    }

    fn hurry(&mut self) {
        let stop = |job: &Job| matches!(job.what, What::Stop);
        self.jobs.retain(stop);
        self.todo
            .retain(|step| !matches!(step, Step::Whois(_) | Step::Send(_, Matter::Ban(_))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Mailer;
    use crate::action::message::Lines;
    use crate::time::Wall;

    fn letter(buffered: Option<u16>) -> Letter {
        Letter {
            by: Mailer::Sendmail,
            dest: vec!["root".to_owned()],
            sender: "sipguard".to_owned(),
            sendername: "Fail2Ban".to_owned(),
            name: "SIP".to_owned(),
            whois: false,
            lines: true,
            buffered,
        }
    }

    fn event(number: u32) -> Event {
        let addr = std::net::Ipv4Addr::from(0xc633_6400 + number);
        Event {
            jail: 0,
            net: IpNet::from(std::net::IpAddr::V4(addr)),
            failures: 3,
            bantime: None,
            time: 0,
            restored: false,
        }
    }

    struct World {
        lane: MailLane,
        out: Out,
        seconds: u64,
    }

    impl World {
        fn new(letter: Letter) -> World {
            World {
                lane: MailLane::new("sip", "pbx", 1, vec![("sendmail".to_owned(), letter)]),
                out: Out::default(),
                seconds: 1_000,
            }
        }

        fn ban(&mut self, number: u32) {
            self.lane.tell(
                Some(number),
                Told::Ban(event(number), Lines::default()),
                &mut self.out,
            );
        }

        /// What the mails of this moment are about.
        fn mails(&mut self) -> Vec<String> {
            let now = Now {
                mono: Mono(0).plus_seconds(self.seconds),
                utc: Wall(0),
                offset_s: 0,
            };
            let mut subjects = Vec::new();
            while let Some(program) = self.lane.next(now, &mut self.out) {
                let input = String::from_utf8(program.input).unwrap();
                let subject = input.lines().next().unwrap().to_owned();
                subjects.push(subject.replace("Subject: [Fail2Ban] SIP: ", ""));
                let ended = Ended {
                    end: End::Exit(0),
                    output: Vec::new(),
                };
                self.lane.ended(&ended, &mut self.out);
            }
            assert!(self.lane.is_idle());
            subjects
        }
    }

    #[test]
    fn a_jail_writes_of_its_start_its_bans_and_its_end() {
        let mut world = World::new(letter(None));
        world.lane.tell(Some(9), Told::Start, &mut world.out);
        world.ban(1);
        world.ban(2);
        world.lane.tell(None, Told::Unban(event(1)), &mut world.out);
        world.lane.tell(None, Told::Stop, &mut world.out);
        let want = [
            "started on pbx",
            "banned 198.51.100.1 on pbx",
            "banned 198.51.100.2 on pbx",
            "stopped on pbx",
        ];
        assert_eq!(world.mails(), want);
        assert_eq!(world.out.done, [9, 1, 2]);
    }

    #[test]
    fn a_storm_is_some_mails_and_one_more() {
        let mut world = World::new(letter(None));
        for number in 0..2_000 {
            world.ban(number);
        }
        assert_eq!(world.mails().len(), MAILS_PER_MINUTE);
        world.lane.tell(None, Told::Missed(500), &mut world.out);
        assert_eq!(world.lane.deadline(), Some(Mono(0).plus_seconds(1_060)));
        world.seconds += 59;
        assert_eq!(world.mails().len(), 0);
        world.seconds += 1;
        assert_eq!(world.mails(), ["banned 2490 sources on pbx"]);
        assert_eq!(world.lane.deadline(), None);
        assert_eq!(world.out.done.len(), 2_000);
        // A storm that goes on gets no more mails than that.
        let mut mails = 0;
        for second in 0..600 {
            world.seconds += 1;
            world.ban(second);
            mails += world.mails().len();
        }
        assert!(mails <= 11 * 11, "{mails}");
        world.lane.tell(None, Told::Stop, &mut world.out);
        let last = world.mails();
        assert_eq!(last.last().map(String::as_str), Some("stopped on pbx"));
    }

    #[test]
    fn a_buffer_is_sent_when_it_is_full_and_at_the_end() {
        let mut world = World::new(letter(Some(3)));
        for number in 0..7 {
            world.ban(number);
        }
        assert_eq!(world.mails(), ["banned 3 sources on pbx"; 2]);
        assert_eq!(world.lane.deadline(), None);
        world.lane.tell(None, Told::Stop, &mut world.out);
        assert_eq!(world.mails(), ["banned 1 sources on pbx", "stopped on pbx"]);
    }

    #[test]
    fn whois_is_asked_once_and_a_mail_goes_without_its_answer() {
        let mut whois = letter(None);
        whois.whois = true;
        let letters = vec![("a".to_owned(), whois.clone()), ("b".to_owned(), whois)];
        let mut lane = MailLane::new("sip", "pbx", 1, letters);
        let mut out = Out::default();
        lane.tell(Some(1), Told::Ban(event(1), Lines::default()), &mut out);
        let program = lane.next(Now::default(), &mut out).unwrap();
        assert_eq!(program.words, ["whois", "198.51.100.1"]);
        assert!(program.confined);
        let ended = Ended {
            end: End::TooLong,
            output: Vec::new(),
        };
        lane.ended(&ended, &mut out);
        for _ in 0..2 {
            let program = lane.next(Now::default(), &mut out).unwrap();
            let mail = String::from_utf8(program.input).unwrap();
            assert!(
                mail.contains("  (no answer: whois: took too long and was killed)\n"),
                "{mail}"
            );
            lane.ended(
                &Ended {
                    end: End::Exit(0),
                    output: Vec::new(),
                },
                &mut out,
            );
        }
        assert!(lane.next(Now::default(), &mut out).is_none());
        assert_eq!(out.done, [1]);
    }

    #[test]
    fn a_mail_that_is_lost_is_said() {
        let mut world = World::new(letter(None));
        world.ban(1);
        assert!(world.lane.next(Now::default(), &mut world.out).is_some());
        let ended = Ended {
            end: End::Exit(75),
            output: b"no\x1b\n".to_vec(),
        };
        world.lane.ended(&ended, &mut world.out);
        let want = "jail sip: action sendmail: exit code 75: no\\x1b; a mail is lost";
        assert_eq!(world.out.said, [Say::Warn(want.to_owned())]);
    }
}
