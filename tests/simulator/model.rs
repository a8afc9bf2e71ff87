//! Who is banned, told by a model that is too simple to be wrong: lists of times, and every state that a crash may
//! bring back.
//!
//! Times are milliseconds of a clock that nobody stops or sets.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::logs::{Given, Written};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jail {
    pub(crate) name: &'static str,
    /// A bit for each path that it reads.
    pub(crate) paths: u32,
    pub(crate) maxretry: usize,
    pub(crate) findtime: i64,
    /// In seconds; `None` is for ever.
    pub(crate) bantime: Option<i64>,
}

/// Whom which jail banned, or counts.
pub(crate) type Key = (String, IpNet);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ban {
    pub(crate) since: i64,
    /// When it ends by the guard, and when it should.
    pub(crate) end: Option<i64>,
    pub(crate) truth: Option<i64>,
    /// It has to be there after any crash.
    pub(crate) durable: bool,
    /// It has to outlive a reboot.
    long: bool,
    /// Nobody can have forged what brought it.
    proven: bool,
}

/// By so much may a ban's end be off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slack {
    pub(crate) early: i64,
    /// Time may have stood still while the machine was away.
    pub(crate) stood_still: bool,
}

/// A state that a crash may bring back, until everything is on the disk after this time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Former {
    ban: Ban,
    until: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Snapshot {
    turn: u64,
    read: Vec<usize>,
    failures: BTreeMap<Key, Vec<i64>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) jails: Vec<Jail>,
    pub(crate) trusted: Vec<IpNet>,
    pub(crate) bans: BTreeMap<Key, Ban>,
    pub(crate) failures: BTreeMap<Key, Vec<i64>>,
    /// So many bans have a place.
    pub(crate) maxbans: usize,
    /// The guard's bans at the end of the turn: of bans that end together it is free to choose who makes room.
    pub(crate) chosen: BTreeMap<Key, Option<i64>>,
    /// How many lines of each path were given.
    pub(crate) read: Vec<usize>,
    pub(crate) slack: Slack,
    former: BTreeMap<Key, Vec<Former>>,
    snapshots: Vec<Snapshot>,
    /// Who was unbanned once: the file says so, and a start believes it more than the kernel.
    lifted: BTreeSet<Key>,
    /// How many failures of each were forgotten because they were older than findtime. The disk may still have them: if
    /// findtime is longer by then, a restart counts them, as it should.
    faded: BTreeMap<Key, usize>,
    /// How many failures there were of each when the wall clock was set right.
    aged: BTreeMap<Key, usize>,
    /// Jails whose findtime was made longer.
    lengthened: BTreeSet<&'static str>,
    /// There is a file for short bans and failures, and one for long bans.
    pub(crate) two_files: bool,
    /// How many failures of each have brought long bans that are lost: neither file could be written, nor did the kernel
    /// keep them. The failures may count again until they are older than findtime.
    revived: BTreeMap<Key, usize>,
    /// What brought a ban.
    reasons: BTreeMap<Key, usize>,
    /// Jails that were gone for a while.
    doubtful: BTreeSet<&'static str>,
    /// How many lines of each path were read when it was truncated.
    cuts: Vec<usize>,
    /// In which turn somebody was last banned or unbanned.
    touched: BTreeMap<Key, u64>,
    turn: u64,
}

/// What a guard holds after a start.
pub(crate) struct Started {
    pub(crate) bans: BTreeMap<Key, Option<i64>>,
    /// Bans that it knows only from the kernel.
    pub(crate) adopted: BTreeSet<Key>,
    pub(crate) failures: BTreeMap<Key, Vec<i64>>,
    /// What it has read is surely on the medium.
    pub(crate) synced: bool,
    /// How many lines of each path it takes for read, and whether it knows that.
    pub(crate) read: Vec<(usize, bool)>,
    /// What the kernel held before the start, and whether the guard could see all of it.
    pub(crate) held: BTreeMap<Key, Option<i64>>,
    pub(crate) visible: bool,
    /// It is the same boot.
    pub(crate) same_boot: bool,
    /// The files for short bans and failures are gone with the boot.
    pub(crate) short_gone: bool,
}

/// So long after a boot the guard starts, in milliseconds.
pub(crate) const BOOTING: i64 = 5_000;

/// What is written at the latest after so many milliseconds.
pub(crate) const FLUSH: i64 = 61_000;

impl Model {
    pub(crate) fn new(jails: Vec<Jail>, trusted: Vec<IpNet>, paths: usize) -> Model {
        Model {
            jails,
            trusted,
            read: vec![0; paths],
            cuts: vec![0; paths],
            ..Model::default()
        }
    }

    pub(crate) fn is_trusted(&self, net: IpNet) -> bool {
        self.trusted.iter().any(|trusted| trusted.contains(&net))
    }

    /// A line was given to the guard.
    pub(crate) fn given(&mut self, given: Given, line: &Written, net: IpNet, now: i64, wall: i64) {
        for jail in self.jails.clone() {
            let key = (jail.name.to_owned(), net);
            let old = given.backlog && wall - line.stamp > jail.findtime;
            let reads = jail.paths & (1 << line.path) != 0;
            if !reads || old || self.is_trusted(net) || self.bans.contains_key(&key) {
                continue;
            }
            let failures = self.failures.entry(key.clone()).or_default();
            let before = failures.len();
            failures.retain(|at| now <= at + jail.findtime * 1000);
            *self.faded.entry(key.clone()).or_default() += before - failures.len();
            failures.push(now);
            if failures.len() >= jail.maxretry {
                // They are spent, also if the table has no place.
                if !self.ban(key.clone(), jail.bantime, now, false) {
                    self.failures.remove(&key);
                }
            }
        }
    }

    /// Makes a ban. `false`: it has no place.
    pub(crate) fn ban(&mut self, key: Key, seconds: Option<i64>, now: i64, proven: bool) -> bool {
        let full = !self.bans.contains_key(&key) && self.bans.len() >= self.maxbans;
        if full && !self.make_room(proven, now) {
            return false;
        }
        if let Some(failures) = self.failures.remove(&key) {
            *self.reasons.entry(key.clone()).or_default() += failures.len();
        }
        self.touched.insert(key.clone(), self.turn);
        let end = seconds.map(|seconds| now + seconds * 1000);
        let ban = Ban {
            since: now,
            end,
            truth: end,
            durable: false,
            long: is_long(now, end),
            proven,
        };
        if let Some(before) = self.bans.insert(key.clone(), ban) {
            self.may_return(key, before, now + FLUSH);
        }
        true
    }

    /// The ban that ends first makes room for another, unless it is proven and the other one is not.
    fn make_room(&mut self, proven: bool, now: i64) -> bool {
        let ending = self.bans.iter().filter(|(_, ban)| ban.end.is_some());
        let first = ending.min_by_key(|(key, ban)| (ban.end, self.chosen.get(*key) == Some(&ban.end)));
        let Some((key, _)) = first.filter(|(_, first)| proven || !first.proven) else {
            return false;
        };
        self.lift(&key.clone(), now);
        true
    }

    pub(crate) fn lift(&mut self, key: &Key, now: i64) {
        if let Some(ban) = self.bans.remove(key) {
            self.touched.insert(key.clone(), self.turn);
            self.lifted.insert(key.clone());
            self.may_return(key.clone(), ban, now);
        }
    }

    fn may_return(&mut self, key: Key, ban: Ban, until: i64) {
        let former = self.former.entry(key).or_default();
        former.push(Former { ban, until });
        if former.len() > 64 {
            former.remove(0);
        }
    }

    pub(crate) fn expire(&mut self, now: i64) {
        let over: Vec<_> = self
            .bans
            .iter()
            .filter(|(_, ban)| ban.end.is_some_and(|end| end <= now))
            .collect();
        for (key, ban) in over
            .into_iter()
            .map(|(key, ban)| (key.clone(), *ban))
            .collect::<Vec<_>>()
        {
            self.bans.remove(&key);
            // With a clock that stands still it may not be over.
            self.may_return(key, ban, i64::MAX);
        }
    }

    /// The wall clock was set, and the guard corrects what it knows of before the boot.
    pub(crate) fn corrected(
        &mut self,
        bans: &BTreeMap<Key, Option<i64>>,
        failures: BTreeMap<Key, Vec<i64>>,
        now: i64,
    ) {
        for (key, ban) in self.bans.clone() {
            match bans.get(&key) {
                Some(end) => {
                    // It may be one from before, which only now can be told from it.
                    let former = self.former.get(&key).into_iter().flatten();
                    let candidates = std::iter::once(&ban).chain(former.map(|former| &former.ban));
                    let Some(found) = any_of(candidates.filter(|ban| self.fits(ban, *end, now))) else {
                        panic!("{key:?} ends {end:?} when the clock was set: {ban:?}")
                    };
                    self.bans.insert(key.clone(), Ban { end: *end, ..found });
                    if found.since != ban.since {
                        self.may_return(key, ban, i64::MAX);
                    }
                }
                None => {
                    // If it was one from before, that one is over.
                    let former = self.former.get(&key).into_iter().flatten();
                    let mut candidates = std::iter::once(&ban).chain(former.map(|former| &former.ban));
                    let over =
                        candidates.any(|ban| ban.truth.is_some_and(|truth| truth - self.slack.early <= now));
                    assert!(over, "{key:?} is over when the clock was set: {ban:?}");
                    self.bans.remove(&key);
                    // By another clock it may not be over.
                    self.may_return(key, ban, i64::MAX);
                }
            }
        }
        // Of those from before the boot the guard may not know that they are older than it thought; a restart does.
        for (key, times) in &failures {
            self.aged.insert(key.clone(), times.len());
        }
        self.failures = failures;
    }

    /// A log was truncated: what was in it is gone.
    pub(crate) fn cut(&mut self, path: usize) {
        self.cuts[path] = self.read[path];
    }

    /// Another configuration is in force.
    pub(crate) fn reload(&mut self, jails: Vec<Jail>) {
        let names = |jails: &[Jail]| jails.iter().map(|jail| jail.name).collect::<Vec<_>>();
        for gone in names(&self.jails)
            .into_iter()
            .filter(|name| !names(&jails).contains(name))
        {
            self.failures.retain(|(name, _), _| name != gone);
            // The disk may still have its failures when it comes back.
            self.doubtful.insert(gone);
        }
        let gone: Vec<Key> = self
            .bans
            .keys()
            .filter(|(name, _)| jails.iter().all(|jail| jail.name != *name))
            .cloned()
            .collect();
        for key in gone {
            // If the jail comes back before they end, a restart brings them back.
            self.lift(&key, i64::MAX);
        }
        for jail in &jails {
            let before = self.jails.iter().find(|before| before.name == jail.name);
            if before.is_some_and(|before| before.findtime < jail.findtime) {
                self.lengthened.insert(jail.name);
            }
        }
        self.jails = jails;
    }

    /// A turn is over. `healthy`: what the guard wants on the disk is there.
    pub(crate) fn end_turn(&mut self, now: i64, healthy: bool) {
        self.expire(now);
        if healthy {
            for ban in self.bans.values_mut() {
                ban.durable |= ban.long;
            }
        }
        for former in self.former.values_mut() {
            for one in former.iter_mut().filter(|_| !healthy) {
                one.until = one.until.max(now + FLUSH);
            }
            former.retain(|one| one.until >= now);
        }
        self.former.retain(|_, former| !former.is_empty());
        self.take_snapshot();
        self.turn += 1;
    }

    fn take_snapshot(&mut self) {
        self.failures.retain(|_, times| !times.is_empty());
        let last = self.snapshots.last();
        if last.is_none_or(|last| last.read != self.read || last.failures != self.failures) {
            self.snapshots.push(Snapshot {
                turn: self.turn,
                read: self.read.clone(),
                failures: self.failures.clone(),
            });
        } else if let Some(last) = self.snapshots.last_mut() {
            last.turn = self.turn;
        }
    }

    /// The guard has stopped, and everything is on the disk.
    pub(crate) fn stopped(&mut self) {
        self.bans.values_mut().for_each(|ban| ban.durable = true);
        self.former.retain(|_, former| {
            former.retain(|one| one.until == i64::MAX);
            !former.is_empty()
        });
        let last = self.snapshots.pop();
        self.snapshots = last.into_iter().collect();
    }

    /// It was killed in the middle of a turn: what that changed may be on the disk or not.
    pub(crate) fn killed(&mut self, before: &Model) {
        for (key, ban) in &mut self.bans {
            if before.bans.get(key).is_none_or(|before| before.end != ban.end) {
                ban.durable = false;
            }
        }
        for (key, ban) in &before.bans {
            let after = self.bans.get(key);
            if after.is_none_or(|after| after.end != ban.end) {
                self.may_return(key.clone(), *ban, i64::MAX);
            }
        }
        for (key, former) in &before.former {
            let known = self.former.entry(key.clone()).or_default();
            for one in former {
                if !known.contains(one) {
                    known.push(*one);
                }
            }
        }
        for (key, turn) in &mut self.touched {
            if before.touched.get(key) != Some(turn) {
                *turn = u64::MAX;
            }
        }
    }

    /// A guard has started: compares what it knows with what it has to know, and then believes it.
    pub(crate) fn started(&mut self, started: Started, now: i64) -> Result<(), String> {
        let mut bans = BTreeMap::new();
        for (key, end) in &started.bans {
            let mut ban = self.find(key, *end, &started, now)?;
            if started.adopted.contains(key) {
                if self.is_on_disk(key, &started, now) {
                    return Err(format!("known only from the kernel: {key:?} {ban:?}"));
                }
                // Nobody knows when it began: what is left of it decides whether it has to outlive a reboot. The kernel
                // says when it ends, by this boot's clock: no wall clock that is set changes that.
                ban = Ban {
                    since: now,
                    end: *end,
                    truth: *end,
                    durable: false,
                    long: is_long(now, *end),
                    proven: false,
                };
            }
            bans.insert(key.clone(), Ban { end: *end, ..ban });
        }
        for (key, ban) in &self.bans {
            let over = ban.truth.is_some_and(|end| end - self.slack.early <= now);
            let configured = self.jails.iter().any(|jail| jail.name == key.0);
            let must = self.is_on_disk(key, &started, now)
                || (started.same_boot
                    && started.visible
                    && started.held.contains_key(key)
                    && !self.lifted.contains(key));
            if must && !over && configured && !bans.contains_key(key) {
                return Err(format!("lost at a start: {key:?} {ban:?}"));
            }
        }
        self.revive_lost(&started);
        let snapshots = self.find_snapshots(&started, now)?;
        for key in started.bans.keys().chain(self.bans.keys()) {
            let found = bans.get(key).map(|ban| (ban.since, ban.end));
            if self.bans.get(key).map(|ban| (ban.since, ban.end)) != found {
                // Which of the states it was is known; the disk may still have it so that another one comes.
                if let Some(ban) = self.bans.get(key) {
                    self.former.entry(key.clone()).or_default().push(Former {
                        ban: *ban,
                        until: i64::MAX,
                    });
                }
            }
        }
        self.bans = bans;
        // What was to be on the disk when the guard ended and is not, nobody will write: the guard does not know of it. A
        // ban that was lifted, and is over by the clock of now, is in force again by a clock that stands still; one of a
        // jail that is gone, when the jail is back; one that gave way to another, when the other one is gone with its file.
        for (key, former) in &mut self.former {
            let configured = self.jails.iter().any(|jail| jail.name == key.0);
            let hidden = !configured || started.bans.contains_key(key);
            for one in former {
                if hidden || one.ban.truth.is_some_and(|end| end - self.slack.early <= now) {
                    one.until = i64::MAX;
                }
            }
        }
        let mut before = std::mem::take(&mut self.failures);
        for (key, times) in snapshots.iter().flat_map(|snapshot| &snapshot.failures) {
            let known = before.entry(key.clone()).or_default();
            if known.len() < times.len() {
                known.clone_from(times);
            }
        }
        for (key, before) in before {
            let kept = started.failures.get(&key).map_or(0, Vec::len);
            *self.faded.entry(key).or_default() += before.len().saturating_sub(kept);
        }
        self.failures = started.failures;
        self.read = started.read.iter().map(|(read, _)| *read).collect();
        // Else they are among those that are known.
        if started.synced {
            self.snapshots = snapshots;
        }
        self.take_snapshot();
        // What the first turn brings comes after this.
        self.turn += 1;
        Ok(())
    }

    /// A long ban is lost if its file cannot be written and the kernel has lost it, too, when the guard dies. The other
    /// file still has the failures that brought it, and they count again: the next one may bring it again.
    fn revive_lost(&mut self, started: &Started) {
        for (key, ban) in &self.bans {
            let lost = !ban.durable && ban.long && !started.bans.contains_key(key);
            if let Some(reasons) = self.reasons.get(key).filter(|_| self.two_files && lost) {
                self.revived.insert(key.clone(), *reasons);
            }
        }
    }

    /// Whether a start has to find this ban in a file.
    fn is_on_disk(&self, key: &Key, started: &Started, now: i64) -> bool {
        let over = |ban: &Ban| ban.truth.is_some_and(|end| end - self.slack.early <= now);
        let durable = |ban: &Ban| ban.durable && !over(ban) && (ban.long || !started.short_gone);
        self.bans.get(key).is_some_and(durable)
    }

    /// The state of which this ban is what is left.
    fn find(&self, key: &Key, end: Option<i64>, started: &Started, now: i64) -> Result<Ban, String> {
        let former = self
            .former
            .get(key)
            .into_iter()
            .flatten()
            .map(|former| &former.ban);
        let candidates = self.bans.get(key).into_iter().chain(former);
        let fitting = candidates.filter(|ban| self.fits(ban, end, now));
        if let Some(ban) = any_of(fitting) {
            return Ok(ban);
        }
        let no_file_has_it = started.adopted.contains(key) && !self.is_on_disk(key, started, now);
        if started.held.get(key) == Some(&end) && no_file_has_it {
            // Somebody put it into the kernel, or changed its end there before the guard died.
            return Ok(Ban {
                since: now,
                end,
                truth: end,
                durable: false,
                long: is_long(now, end),
                proven: false,
            });
        }
        let known = (self.bans.get(key), self.former.get(key));
        Err(format!(
            "invented, or with another end, at a start: {key:?} until {end:?}, at {now}, {:?}; known {known:?}",
            self.slack
        ))
    }

    /// Whether the end of this ban may be told so.
    pub(crate) fn fits(&self, ban: &Ban, end: Option<i64>, now: i64) -> bool {
        match (ban.truth, end) {
            (None, None) => true,
            (Some(truth), Some(end)) => {
                let late = if self.slack.stood_still {
                    now - ban.since
                } else {
                    0
                };
                (truth - self.slack.early..=truth + self.slack.early + late).contains(&end)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// All states that may be what is on the disk.
    fn find_snapshots(&self, started: &Started, now: i64) -> Result<Vec<Snapshot>, String> {
        if started.read.iter().any(|(_, known)| !known) {
            let counts = started.failures.values().map(Vec::len).sum::<usize>();
            return if counts == 0 {
                Ok(Vec::new())
            } else {
                Err("failures without a position".to_owned())
            };
        }
        let read: Vec<usize> = started.read.iter().map(|(read, _)| *read).collect();
        let mut why = format!("positions that never were: {read:?}, now {:?}", self.read);
        let is_there = |path: usize, before: usize| {
            before == read[path] || (read[path] == self.cuts[path] && before < read[path])
        };
        let fits = |snapshot: &&Snapshot| {
            snapshot
                .read
                .iter()
                .enumerate()
                .all(|(path, read)| is_there(path, *read))
        };
        let mut found = Vec::new();
        for snapshot in self.snapshots.iter().filter(fits) {
            match self.is_from(started, snapshot, now) {
                Ok(()) => found.push(snapshot.clone()),
                Err(error) => why = error,
            }
        }
        if found.is_empty() { Err(why) } else { Ok(found) }
    }

    fn is_from(&self, started: &Started, snapshot: &Snapshot, now: i64) -> Result<(), String> {
        let keys: BTreeSet<&Key> = snapshot.failures.keys().chain(started.failures.keys()).collect();
        for key in keys {
            let Some(jail) = self.jails.iter().find(|jail| jail.name == key.0) else {
                continue;
            };
            if self.doubtful.contains(jail.name) {
                continue;
            }
            let none = Vec::new();
            let kept = started.failures.get(key).unwrap_or(&none);
            let before = snapshot.failures.get(key).unwrap_or(&none);
            let counts = |slack: i64| {
                before
                    .iter()
                    .filter(|at| **at + jail.findtime * 1000 >= now + slack)
                    .count()
            };
            let aged = self.aged.get(key).copied().unwrap_or(0);
            // Those of the last seconds before a boot are told as of its beginning, if nobody knows when that was.
            let unknown = if self.slack.stood_still { BOOTING } else { 0 };
            let least = counts(self.slack.early + unknown).saturating_sub(aged);
            // As with bans, what was over by one clock may not be by one that stands still.
            let returns = self.lengthened.contains(jail.name) || self.slack.stood_still;
            let faded = self.faded.get(key).filter(|_| returns);
            let revived = self.revived.get(key);
            let most = before.len() + faded.copied().unwrap_or(0) + revived.copied().unwrap_or(0);
            let touched = self.touched.get(key).is_some_and(|turn| *turn > snapshot.turn);
            let fits = if let Some(end) = started.bans.get(key) {
                // One that was lifted is there again if that could not be written; what came after it stays, also if it
                // has brought another one, that could not be written either.
                let mut former = self.former.get(key).into_iter().flatten();
                let returned = former.any(|former| self.fits(&former.ban, *end, now));
                kept.is_empty() || ((!touched || returned) && kept.len() <= most)
            } else if touched {
                kept.len() <= most
            } else if most > before.len() {
                (least..=most).contains(&kept.len())
            } else if started.same_boot && self.slack.early == 0 {
                kept.len() == counts(0) && before.ends_with(kept)
            } else {
                (least..=before.len()).contains(&kept.len())
            };
            if !fits {
                return Err(format!(
                    "failures of {key:?} after a start at {now}: {kept:?}, before: {before:?}, touched {touched}, {:?}; ban before {:?}, now {:?}, {jail:?}",
                    self.slack,
                    self.bans.get(key),
                    started.bans.get(key)
                ));
            }
        }
        Ok(())
    }
}

/// One of which nobody knows which of these it is: it is over when the first of them is, and on the medium for sure, or
/// in the file for long bans, only if all are.
fn any_of<'b>(bans: impl Iterator<Item = &'b Ban>) -> Option<Ban> {
    bans.copied().reduce(|one, other| {
        let first = match (one.truth, other.truth) {
            (Some(truth), Some(sooner)) if sooner < truth => other,
            (None, Some(_)) => other,
            _ => one,
        };
        Ban {
            durable: one.durable && other.durable,
            long: one.long && other.long,
            ..first
        }
    })
}

fn is_long(since: i64, end: Option<i64>) -> bool {
    end.is_none_or(|end| end - since >= 3_600_000)
}
