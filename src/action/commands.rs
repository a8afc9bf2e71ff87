//! The order in which the commands of a jail's actions run, as fail2ban has it:
//!
//! * `actionstart` when the jail starts, or with the first ban;
//! * `actioncheck` before each ban and unban; if it fails, `actionrepair`, or `actionstop` and `actionstart`, and
//!   then the bans that are in force again;
//! * `actionban` and `actionunban`;
//! * at the end `actionflush`, or `actionunban` for each ban, and `actionstop`.
//!
//! If a line of a start fails, as it does where a killed guard left something, `actionstop` clears up and the start is
//! tried once more. Otherwise all lines of a command run; the last one decides, as in a script.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use ipnet::IpNet;

use super::Commands;
use super::job::{End, Ended, Lane, Now, Out, Program, Say, Told};
use super::script::{Script, Values};
use super::steps::{Action, Job, Move, Op, Running, What, family_of, over};
use super::text;
use crate::escape::Escaped;
use crate::limits::COMMAND_OUTPUT_BYTES_MAX;
use crate::time::Mono;

/// The `action.d` actions of one jail.
pub struct CommandLane {
    number: u16,
    jail: String,
    hostname: String,
    actions: Vec<Action>,
    jobs: VecDeque<Job>,
    job: Option<Job>,
    todo: VecDeque<Move>,
    running: Option<Running>,
    /// The next line of the step whose last line has ended.
    next_line: Option<Running>,
    /// Who is banned as far as the actions know; marked if told since the last sync began.
    held: BTreeMap<IpNet, bool>,
}

impl CommandLane {
    /// The lane of a jail. Nothing is started, whatever an earlier one left.
    #[must_use]
    pub fn new(
        (number, jail): (u16, &str),
        hostname: &str,
        actions: Vec<(String, Rc<Commands>)>,
    ) -> CommandLane {
        let action = |(name, commands)| Action {
            name,
            commands,
            started: [false; 2],
        };
        CommandLane {
            number,
            jail: jail.to_owned(),
            hostname: text::name(hostname),
            actions: actions.into_iter().map(action).collect(),
            jobs: VecDeque::new(),
            job: None,
            todo: VecDeque::new(),
            running: None,
            next_line: None,
            held: BTreeMap::new(),
        }
    }

    fn push(&mut self, number: Option<u32>, what: What, matches: String) {
        self.jobs.push_back(Job {
            number,
            what,
            matches,
        });
    }

    /// The steps of a job.
    fn unfold(&mut self, what: What) {
        for (number, action) in self.actions.iter().enumerate() {
            let commands = &action.commands;
            let families: &[usize] = if commands.by_family { &[0, 1] } else { &[0] };
            let step = |family: usize, op, event| Move {
                action: number,
                family,
                op,
                again: false,
                quiet: false,
                event,
            };
            match what {
                What::Start if commands.on_demand => {}
                What::Start => self
                    .todo
                    .extend(families.iter().map(|&family| step(family, Op::Ensure, None))),
                What::Ban(event) if event.restored && commands.norestored => {}
                What::Ban(event) => {
                    let family = family_of(event.net);
                    let ops = [Op::Ensure, Op::Check, Op::Ban];
                    self.todo.extend(ops.map(|op| step(family, op, Some(event))));
                }
                What::Unban(event) => {
                    let family = family_of(event.net);
                    if action.is_started(family) {
                        let ops = [Op::Check, Op::Unban];
                        self.todo.extend(ops.map(|op| step(family, op, Some(event))));
                    }
                }
                What::Stop => {
                    for &family in families.iter().filter(|&&family| action.is_started(family)) {
                        let scripts = commands.families.get(family);
                        let flushes = scripts.is_some_and(|scripts| !scripts.flush.is_empty());
                        let clear = if flushes { Op::Flush } else { Op::UnbanAll(None) };
                        self.todo
                            .extend([clear, Op::Stop].map(|op| step(family, op, None)));
                    }
                }
            }
        }
    }

    fn script(&self, step: &Move) -> Option<&Script> {
        let action = self.actions.get(step.action)?;
        let scripts = action.commands.families.get(step.family)?;
        Some(match step.op {
            Op::Ensure | Op::Start => &scripts.start,
            Op::Check => &scripts.check,
            Op::Repair => &scripts.repair,
            Op::Ban => &scripts.ban,
            Op::Unban | Op::UnbanAll(_) => &scripts.unban,
            Op::Flush => &scripts.flush,
            Op::Stop => &scripts.stop,
        })
    }

    /// The program of the line that is to run.
    fn program(&self, running: &Running) -> Option<Program> {
        let event = running.step.event;
        let matches = self.job.as_ref().map_or("", |job| job.matches.as_str());
        let values = Values {
            net: event.map(|event| event.net),
            failures: event.map_or(0, |event| event.failures),
            bantime: event.and_then(|event| event.bantime),
            time: event.map_or(0, |event| event.time),
            matches,
            restored: event.is_some_and(|event| event.restored),
            hostname: &self.hostname,
        };
        let (words, variables) = self.script(&running.step)?.run(running.line, &values)?;
        let action = self.actions.get(running.step.action)?;
        Some(Program {
            words,
            variables,
            seconds: action.commands.timeout,
            keep: COMMAND_OUTPUT_BYTES_MAX,
            ..Program::default()
        })
    }

    /// Turns a step that stands for others into these; `None` if it is one to run.
    fn replaced(&mut self, step: Move) -> Option<()> {
        let started = self
            .actions
            .get(step.action)
            .is_some_and(|action| action.is_started(step.family));
        match step.op {
            Op::Ensure if started => Some(()),
            Op::Ensure => {
                self.todo.push_front(Move {
                    op: Op::Start,
                    ..step
                });
                Some(())
            }
            Op::UnbanAll(behind) => {
                let next = self.held.keys().copied().find(|&net| {
                    behind.is_none_or(|behind| net > behind)
                        && self.is_of_family(step.action, net, step.family)
                });
                if let Some(net) = next {
                    let op = Op::UnbanAll(Some(net));
                    self.todo.push_front(Move { op, ..step });
                    self.todo.push_front(Move {
                        op: Op::Unban,
                        family: family_of(net),
                        event: Some(over(0, net)),
                        ..step
                    });
                }
                Some(())
            }
            Op::Start | Op::Check | Op::Repair | Op::Ban | Op::Unban | Op::Flush | Op::Stop => None,
        }
    }

    fn is_of_family(&self, action: usize, net: IpNet, family: usize) -> bool {
        let by_family = self
            .actions
            .get(action)
            .is_some_and(|action| action.commands.by_family);
        !by_family || family_of(net) == family
    }

    /// What follows from how a step ended. `failed`: some line failed; `bad`: the last one did.
    fn conclude(&mut self, step: Move, failed: bool, bad: bool, out: &mut Out) {
        let again = |op| Move {
            op,
            again: true,
            ..step
        };
        let quiet = Move {
            op: Op::Stop,
            quiet: true,
            ..step
        };
        match step.op {
            Op::Start if failed && !step.again => {
                self.todo.push_front(again(Op::Start));
                self.todo.push_front(quiet);
            }
            Op::Start | Op::Repair if bad => self.give_up(step, out),
            Op::Start | Op::Repair => self.set_started(step, true),
            Op::Check if bad && step.again => self.give_up(step, out),
            Op::Check if bad => {
                let name = self.name(step.action);
                out.warn(format!(
                    "{name}: actioncheck failed: somebody took away what the action needs; starting it again"
                ));
                self.set_started(step, false);
                self.todo.push_front(again(Op::Check));
                let repair = again(Op::Repair);
                if self.script(&repair).is_some_and(|script| !script.is_empty()) {
                    self.todo.push_front(repair);
                } else {
                    self.todo.push_front(again(Op::Start));
                    self.todo.push_front(quiet);
                }
            }
            Op::Check if step.again => {
                // What it held went with what was taken away; what is under way comes by itself.
                let jobs = self.jobs.iter().chain(&self.job);
                let coming = jobs.filter_map(|job| match job.what {
                    What::Ban(event) => Some((event.net, true)),
                    What::Start | What::Unban(_) | What::Stop => None,
                });
                self.held = coming.collect();
                out.again.push(self.number);
            }
            Op::Stop if !step.quiet => self.set_started(step, false),
            Op::Check | Op::Ensure | Op::Ban | Op::Unban | Op::UnbanAll(_) | Op::Flush | Op::Stop => {}
        }
    }

    /// Leaves out what the job still has for this action.
    fn give_up(&mut self, step: Move, out: &mut Out) {
        self.todo.retain(|other| other.action != step.action);
        let net = step.event.map_or(String::new(), |event| {
            format!(", not done for {}", super::script::shown(event.net))
        });
        out.warn(format!("{}: it cannot be started{net}", self.name(step.action)));
    }

    fn set_started(&mut self, step: Move, started: bool) {
        if let Some(action) = self.actions.get_mut(step.action) {
            let family = if action.commands.by_family { step.family } else { 0 };
            if let Some(place) = action.started.get_mut(family) {
                *place = started;
            }
        }
    }

    /// Which command failed, how, and what it said.
    fn failure(&self, step: Move, command: &str, ended: &Ended) -> String {
        let output = ended.output.trim_ascii();
        let colon = if output.is_empty() { "" } else { ": " };
        format!(
            "{}: {}: {command}: {}{colon}{}",
            self.name(step.action),
            step.op.key(),
            ended.end,
            Escaped(output)
        )
    }

    /// `jail asterisk: action iptables-sip`
    fn name(&self, action: usize) -> String {
        let name = self.actions.get(action).map_or("", |action| action.name.as_str());
        format!("jail {}: action {}", self.jail, Escaped(name.as_bytes()))
    }
}

impl Lane for CommandLane {
    fn tell(&mut self, number: Option<u32>, told: Told<'_>, out: &mut Out) {
        match told {
            Told::Start => return self.push(number, What::Start, String::new()),
            Told::Stop => return self.push(number, What::Stop, String::new()),
            Told::Ban(event, lines) => {
                if self.held.insert(event.net, true).is_none() {
                    let lines: Vec<String> = lines.map(|line| Escaped(line).to_string()).collect();
                    return self.push(number, What::Ban(event), lines.join("\n"));
                }
            }
            Told::Unban(event) => {
                if self.held.remove(&event.net).is_some() {
                    return self.push(number, What::Unban(event), String::new());
                }
            }
            Told::SyncBegin => self.held.values_mut().for_each(|told| *told = false),
            Told::SyncEnd => {
                let over: Vec<IpNet> = self
                    .held
                    .iter()
                    .filter(|(_, told)| !**told)
                    .map(|(net, _)| *net)
                    .collect();
                for net in over {
                    self.held.remove(&net);
                    self.push(None, What::Unban(super::steps::over(0, net)), String::new());
                }
            }
            // The guard tells all bans again.
            Told::Missed(_) | Told::Ask(_) | Told::Resolve(_) => {}
        }
        out.done(number);
    }

    fn next(&mut self, _now: Now, out: &mut Out) -> Option<Program> {
        if self.running.is_some() {
            return None;
        }
        if let Some(running) = self.next_line.take() {
            let program = self.program(&running);
            self.running = program.is_some().then_some(running);
            return program;
        }
        loop {
            while let Some(step) = self.todo.pop_front() {
                if self.replaced(step).is_some() {
                    continue;
                }
                let running = Running {
                    step,
                    line: 0,
                    failed: false,
                };
                if let Some(program) = self.program(&running) {
                    self.running = Some(running);
                    return Some(program);
                }
                self.conclude(step, false, false, out);
            }
            if let Some(job) = self.job.take() {
                out.done(job.number);
            }
            let job = self.jobs.pop_front()?;
            let what = job.what;
            self.job = Some(job);
            self.unfold(what);
        }
    }

    fn ended(&mut self, ended: &Ended, out: &mut Out) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let bad = !ended.is_success();
        let step = running.step;
        let script = self.script(&step);
        if bad && !step.quiet && step.op != Op::Check {
            let command = script.and_then(|script| script.lines().nth(running.line));
            out.warn(self.failure(step, &command.unwrap_or_default(), ended));
        } else if !ended.output.is_empty() && step.op != Op::Check && !step.quiet {
            let (name, key) = (self.name(step.action), step.op.key());
            let output = Escaped(ended.output.trim_ascii()).to_string();
            out.said.push(Say::Info(format!("{name}: {key} says: {output}")));
        }
        let lines = script.map_or(0, Script::len);
        running.failed |= bad;
        running.line += 1;
        // What takes too long once would do so again, line by line. And a first start that fails has found something
        // that is to be cleared up, and not to be added to.
        let over = ended.end == End::TooLong || (bad && step.op == Op::Start && !step.again);
        if running.line < lines && !over {
            self.next_line = Some(running);
            return;
        }
        self.conclude(step, running.failed, bad, out);
    }

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn is_idle(&self) -> bool {
        self.running.is_none()
            && self.next_line.is_none()
            && self.todo.is_empty()
            && self.jobs.is_empty()
            && self.job.is_none()
    }

    fn hurry(&mut self) {
        self.todo.retain(|step| !matches!(step.op, Op::UnbanAll(_)));
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Scripts;
    use crate::action::message::{Event, Lines};

    fn scripts(text: &str) -> Scripts {
        let find = |key: &str| {
            let line = text.split(';').find_map(|part| part.trim().strip_prefix(key));
            Script::new(&line.unwrap_or_default().replace(',', "\n")).unwrap()
        };
        Scripts {
            start: find("start="),
            stop: find("stop="),
            check: find("check="),
            ban: find("ban="),
            unban: find("unban="),
            flush: find("flush="),
            repair: find("repair="),
        }
    }

    fn commands(text: &str) -> Commands {
        Commands {
            families: [scripts(text), scripts(text)],
            by_family: false,
            on_demand: false,
            norestored: false,
            timeout: 30,
        }
    }

    fn event(net: &str) -> Event {
        Event {
            failures: 5,
            ..over(0, net.parse().unwrap())
        }
    }

    struct World {
        lane: CommandLane,
        out: Out,
        /// Commands that fail, each so many times.
        failing: Vec<(&'static str, usize)>,
    }

    impl World {
        fn new(commands: Commands, failing: &[(&'static str, usize)]) -> World {
            let actions = vec![("act".to_owned(), Rc::new(commands))];
            World {
                lane: CommandLane::new((4, "sip"), "pbx", actions),
                out: Out::default(),
                failing: failing.to_vec(),
            }
        }

        fn tell(&mut self, told: Told<'_>) -> &mut World {
            self.lane.tell(Some(7), told, &mut self.out);
            self
        }

        fn ban(&mut self, net: &str) -> &mut World {
            self.tell(Told::Ban(event(net), Lines::default()))
        }

        /// Runs what there is to run; the commands, with a ! if they failed.
        #[track_caller]
        fn check(&mut self, want: &str) {
            let mut ran = Vec::new();
            while let Some(program) = self.lane.next(Now::default(), &mut self.out) {
                let words = program.words.join(" ");
                let failing = self
                    .failing
                    .iter_mut()
                    .find(|(name, left)| *name == words && *left > 0);
                let code = failing.map_or(0, |(_, left)| {
                    *left -= 1;
                    1
                });
                let ended = Ended {
                    end: End::Exit(code),
                    output: Vec::new(),
                };
                self.lane.ended(&ended, &mut self.out);
                ran.push(format!("{words}{}", if code == 0 { "" } else { "!" }));
            }
            assert_eq!(ran.join(", "), want);
            assert!(self.lane.is_idle());
        }
    }

    const ALL: &str = "start=N,A;stop=X;check=C;ban=ban <ip>;unban=un <ip>";

    #[test]
    fn the_life_of_an_action() {
        let mut world = World::new(commands(ALL), &[]);
        world.tell(Told::Start).check("N, A");
        world.ban("192.0.2.1/32").check("C, ban 192.0.2.1");
        world.ban("192.0.2.1/32").check("");
        world.ban("2001:db8::/64").check("C, ban 2001:db8::/64");
        world
            .tell(Told::Unban(event("192.0.2.1/32")))
            .check("C, un 192.0.2.1");
        world.tell(Told::Unban(event("192.0.2.1/32"))).check("");
        world.tell(Told::Stop).check("un 2001:db8::/64, X");
        assert_eq!(world.out.done, [7; 7]);
        assert_eq!(world.out.said, []);
    }

    #[test]
    fn a_flush_stands_for_every_unban() {
        let mut world = World::new(commands("start=N;stop=X;flush=F;ban=ban <ip>;unban=un <ip>"), &[]);
        world
            .tell(Told::Start)
            .ban("192.0.2.1/32")
            .check("N, ban 192.0.2.1");
        world.tell(Told::Stop).check("F, X");
    }

    #[test]
    fn who_is_in_a_hurry_does_not_unban_one_by_one() {
        let mut world = World::new(commands("stop=X;ban=ban <ip>;unban=un <ip>"), &[]);
        world.tell(Told::Start).ban("192.0.2.1/32").ban("192.0.2.2/32");
        world.check("ban 192.0.2.1, ban 192.0.2.2");
        world.tell(Told::Stop);
        let first = world.lane.next(Now::default(), &mut world.out).unwrap();
        assert_eq!(first.words, ["un", "192.0.2.1"]);
        world.lane.hurry();
        world.lane.ended(
            &Ended {
                end: End::Exit(0),
                output: Vec::new(),
            },
            &mut world.out,
        );
        world.check("X");
    }

    #[test]
    fn an_action_on_demand_starts_with_its_first_ban_each_family_by_itself() {
        let on_demand = Commands {
            on_demand: true,
            by_family: true,
            ..commands(ALL)
        };
        let mut world = World::new(on_demand, &[]);
        world.tell(Told::Start).check("");
        world.ban("192.0.2.1/32").check("N, A, C, ban 192.0.2.1");
        world.ban("192.0.2.2/32").check("C, ban 192.0.2.2");
        world.ban("2001:db8::1/128").check("N, A, C, ban 2001:db8::1");
        world
            .tell(Told::Stop)
            .check("un 192.0.2.1, un 192.0.2.2, X, un 2001:db8::1, X");
    }

    #[test]
    fn a_start_that_fails_is_tried_again_after_a_stop() {
        let mut world = World::new(commands(ALL), &[("N", 1)]);
        world.tell(Told::Start).check("N!, X, N, A");
        assert_eq!(world.out.said.len(), 1);
        world.ban("192.0.2.1/32").check("C, ban 192.0.2.1");
        // What always fails before the last line does not keep it from starting.
        let mut world = World::new(commands(ALL), &[("N", 9)]);
        world.tell(Told::Start).check("N!, X, N!, A");
        world.ban("192.0.2.1/32").check("C, ban 192.0.2.1");
    }

    #[test]
    fn an_action_that_does_not_start_does_nothing_and_says_so() {
        let mut world = World::new(commands(ALL), &[("A", 4)]);
        world.tell(Told::Start).check("N, A!, X, N, A!");
        world.ban("192.0.2.1/32").check("N, A!, X, N, A!");
        let said = format!("{:?}", world.out.said);
        assert!(
            said.contains("jail sip: action act: it cannot be started, not done for 192.0.2.1"),
            "{said}"
        );
        world.ban("192.0.2.2/32").check("N, A, C, ban 192.0.2.2");
    }

    #[test]
    fn what_somebody_took_away_is_made_again_and_the_bans_asked_for() {
        let mut world = World::new(commands(ALL), &[("C", 1)]);
        world.tell(Told::Start).check("N, A");
        world.ban("192.0.2.1/32").check("C!, X, N, A, C, ban 192.0.2.1");
        assert_eq!(world.out.again, [4]);
        world.tell(Told::SyncBegin);
        world.ban("192.0.2.1/32").ban("192.0.2.9/32").tell(Told::SyncEnd);
        world.check("C, ban 192.0.2.9");
        let mut world = World::new(commands(&format!("{ALL};repair=R")), &[("C", 1)]);
        world
            .tell(Told::Start)
            .ban("192.0.2.1/32")
            .check("N, A, C!, R, C, ban 192.0.2.1");
        let mut world = World::new(commands(ALL), &[("C", 2)]);
        world
            .tell(Told::Start)
            .ban("192.0.2.1/32")
            .check("N, A, C!, X, N, A, C!");
    }

    #[test]
    fn a_sync_ends_what_is_over_and_repeats_nothing() {
        let mut world = World::new(commands("ban=ban <ip>;unban=un <ip>"), &[]);
        world.tell(Told::Start).ban("192.0.2.1/32").ban("192.0.2.2/32");
        world.check("ban 192.0.2.1, ban 192.0.2.2");
        world
            .tell(Told::SyncBegin)
            .ban("192.0.2.2/32")
            .ban("192.0.2.3/32")
            .tell(Told::SyncEnd);
        world.check("ban 192.0.2.3, un 192.0.2.1");
    }

    #[test]
    fn bans_of_before_a_restart_are_told_unless_the_action_wants_none() {
        let restored = Event {
            restored: true,
            ..event("192.0.2.1/32")
        };
        for (norestored, want) in [(true, ""), (false, "ban 192.0.2.1 1")] {
            let commands = Commands {
                norestored,
                ..commands("ban=ban <ip> <restored>")
            };
            let mut world = World::new(commands, &[]);
            world
                .tell(Told::Start)
                .tell(Told::Ban(restored, Lines::default()))
                .check(want);
        }
    }

    #[test]
    fn what_takes_too_long_is_given_up_with_the_lines_behind_it() {
        let mut world = World::new(commands("ban=a <ip>,b"), &[]);
        world.tell(Told::Start).ban("192.0.2.1/32");
        assert!(world.lane.next(Now::default(), &mut world.out).is_some());
        world.lane.ended(
            &Ended {
                end: End::TooLong,
                output: b"x\x1b[2J\n".to_vec(),
            },
            &mut world.out,
        );
        world.check("");
        let want = "jail sip: action act: actionban: a <ip>: took too long and was killed: x\\x1b[2J";
        assert_eq!(world.out.said, [Say::Warn(want.to_owned())]);
    }
}
