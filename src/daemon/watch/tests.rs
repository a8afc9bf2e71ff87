//! Whatever somebody does to our part of the kernel, it is healed, with every ban: on a real kernel, with a clock of
//! the test's own.

use std::path::Path;

use super::*;
use crate::config::{self, Backend};
use crate::daemon::{Jails, policies};
use crate::filter::{Class, Failure, Kind, Proof, Service};
use crate::firewall::support::{isolated, run, try_run};
use crate::guard::{Seed, Settings, Source};
use crate::limits::KERNEL_LOOK_SECONDS;
use crate::sys::own;

const BANS: u16 = 20;

/// What holds the bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Ipset,
    /// nf_tables, with a table that others can change.
    Plain,
    /// nf_tables, with a table that the kernel protects.
    Protected,
}

/// A guard with one jail that bans for an hour at the first failure.
fn watch(held: Held) -> Watch {
    let text = "[asterisk]\nenabled = true\nfilter = asterisk\nlogpath = /var/log/none\nmaxretry = 1\n\
        bantime = 1h\naction = iptables-allports[protocol=all]\n";
    let (config, _) = config::load(Path::new("/jail.local"), &mut |_| Ok(text.into())).unwrap();
    let jails = Jails::new(&config);
    let settings = Settings {
        ring: 64,
        maxbans: config.maxbans,
        ipv6prefix: 64,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([1, 2]),
    };
    let guard = Guard::new(policies(&config), settings);
    let open = |backend| Firewall::open(backend, jails.rules(), 64, config.maxbans).unwrap();
    let firewall = match held {
        Held::Ipset => open(Backend::Ipset),
        Held::Protected => open(Backend::Nftables),
        Held::Plain => Firewall::open_plain(jails.rules(), 64, config.maxbans),
    };
    let mut watch = Watch::new(
        jails,
        guard,
        Some(firewall),
        None,
        Zone::default(),
        Box::new(own::addresses),
    );
    turn(&mut watch, Mono(1_000));
    watch
}

fn fail(watch: &mut Watch, address: &str) {
    let failure = Failure {
        addr: address.parse().unwrap(),
        kind: Kind {
            service: Service::Sip,
            class: Class::Auth,
        },
        proof: Proof::Transport,
        attempt: None,
        at: None,
        account: None,
    };
    if let Outcome::Ban(verdict) = watch.guard.observe(JailId(0), Source(0), &failure, watch.now) {
        watch.convict(verdict);
    }
}

/// One turn of the loop.
fn turn(watch: &mut Watch, now: Mono) {
    watch.begin_turn(now, Wall(1_800_000_000));
    watch.look_at_kernel(watch.kernel_events().is_some());
    watch.end_turn();
}

/// Turns until nothing is left to do.
fn turns(watch: &mut Watch, now: Mono) {
    turn(watch, now);
    for _ in 0..1_000 {
        if watch.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        turn(watch, now);
    }
    panic!("it does not come to rest");
}

fn addresses() -> Vec<String> {
    (1..=BANS)
        .flat_map(|i| [format!("198.51.100.{i}"), format!("2001:db8:{i:x}::1")])
        .collect()
}

fn shown(held: Held) -> String {
    match held {
        Held::Ipset => {
            String::from_utf8_lossy(&try_run("ipset list").stdout).into_owned() + &run("iptables-legacy-save")
        }
        Held::Plain | Held::Protected => run("nft list ruleset"),
    }
}

/// All bans are in the kernel, and rules that look into their sets, and the guard knows it.
#[track_caller]
fn assert_in_force(watch: &Watch, held: Held, harm: &str) {
    let shown = shown(held);
    let count = |text: &str| shown.matches(text).count();
    let bans = usize::from(BANS);
    assert_eq!(count("198.51.100."), bans, "{held:?} after {harm}: {shown}");
    assert_eq!(count("2001:db8:"), bans, "{held:?} after {harm}: {shown}");
    let rule = match held {
        Held::Ipset => "-A sipguard -m set --match-set sipguard-asterisk4 src -j DROP",
        Held::Plain | Held::Protected => "ip saddr @asterisk4 counter",
    };
    assert_eq!(count(rule), 1, "{held:?} after {harm}: {shown}");
    assert_eq!(watch.guard.not_in_force(), 0, "{harm}");
}

/// With all bans in force does every harm, and looks whether the next look heals it; other people's objects stay.
fn heals(held: Held, harms: &[&str]) {
    for line in [
        "nft add table inet theirs",
        "nft add set inet theirs s { type ipv4_addr; }",
        "nft add element inet theirs s { 203.0.113.9 }",
        "ipset create theirs hash:ip",
        "ipset add theirs 203.0.113.9",
    ] {
        run(line);
    }
    let theirs = || run("nft list table inet theirs") + &run("ipset list theirs");
    let before = theirs();
    let mut watch = watch(held);
    for address in addresses() {
        fail(&mut watch, &address);
    }
    let mut now = Mono(2_000);
    turns(&mut watch, now);
    assert_in_force(&watch, held, "nothing");
    for harm in harms {
        for part in harm.split(" && ") {
            run(part);
        }
        now = now.plus_seconds(KERNEL_LOOK_SECONDS);
        turns(&mut watch, now);
        assert_in_force(&watch, held, harm);
        if !harm.contains("flush ruleset") {
            assert_eq!(theirs(), before, "{harm}");
        } else {
            run("nft add table inet theirs");
            run("nft add set inet theirs s { type ipv4_addr; }");
            run("nft add element inet theirs s { 203.0.113.9 }");
        }
    }
    watch.stop(OnStop::Remove).unwrap();
    assert!(!shown(held).contains("sipguard"));
    assert_eq!(theirs(), before);
}

#[test]
fn whatever_is_done_to_ipset_and_iptables_is_healed() {
    let name = "daemon::watch::tests::whatever_is_done_to_ipset_and_iptables_is_healed";
    isolated(name, || {
        heals(
            Held::Ipset,
            &[
                "iptables-legacy -t raw -F",
                "iptables-legacy -t mangle -F",
                "ip6tables-legacy -t mangle -F sipguard",
                "iptables-legacy -t raw -D PREROUTING -j sipguard",
                "ip6tables-legacy -t raw -F && ip6tables-legacy -t raw -X",
                "iptables-legacy -t raw -F && iptables-legacy -t raw -X && ipset destroy sipguard-asterisk4",
                "ipset flush sipguard-asterisk4",
                "ipset flush sipguard-asterisk6net",
                "ipset del sipguard-asterisk4 198.51.100.7",
                "ipset del sipguard-asterisk6net 2001:db8:7::",
                "ipset flush && ipset add theirs 203.0.113.9",
            ],
        );
    });
}

#[test]
fn whatever_is_done_to_a_plain_table_is_healed() {
    let name = "daemon::watch::tests::whatever_is_done_to_a_plain_table_is_healed";
    isolated(name, || {
        heals(
            Held::Plain,
            &[
                "nft flush ruleset",
                "nft delete table inet sipguard",
                "nft flush table inet sipguard",
                "nft flush chain inet sipguard prerouting",
                "nft insert rule inet sipguard prerouting accept",
                "nft flush chain inet sipguard tracked",
                "nft insert rule inet sipguard tracked accept",
                "nft flush set inet sipguard asterisk4",
                "nft flush set inet sipguard asterisk6net",
                "nft delete element inet sipguard asterisk4 { 198.51.100.7 }",
                "nft delete element inet sipguard asterisk6net { 2001:db8:7:: }",
                "nft flush ruleset && nft add table inet sipguard",
            ],
        );
    });
}

#[test]
fn nothing_can_be_done_to_a_protected_table() {
    let name = "daemon::watch::tests::nothing_can_be_done_to_a_protected_table";
    isolated(name, || {
        let held = Held::Protected;
        let mut watch = watch(held);
        if watch.kernel_events().is_some() {
            println!("this kernel has no tables with owners that outlive them");
            return;
        }
        for address in addresses() {
            fail(&mut watch, &address);
        }
        turns(&mut watch, Mono(2_000));
        run("nft flush ruleset");
        for harm in [
            "nft delete table inet sipguard",
            "nft flush table inet sipguard",
            "nft flush chain inet sipguard prerouting",
            "nft flush set inet sipguard asterisk4",
            "nft delete element inet sipguard asterisk4 { 198.51.100.7 }",
            "nft add element inet sipguard asterisk4 { 198.51.100.77 }",
        ] {
            assert!(!try_run(harm).status.success(), "{harm}");
        }
        assert_in_force(&watch, held, "all of them");
        watch.stop(OnStop::Remove).unwrap();
    });
}

/// A ban is missing while something that is none hides it in the count.
#[test]
fn an_ipset_that_has_as_many_elements_as_bans_is_still_looked_at() {
    let name = "daemon::watch::tests::an_ipset_that_has_as_many_elements_as_bans_is_still_looked_at";
    isolated(name, || {
        let held = Held::Ipset;
        let mut watch = watch(held);
        for address in addresses() {
            fail(&mut watch, &address);
        }
        let mut now = Mono(2_000);
        turns(&mut watch, now);
        // One that is heard of, hidden by a stranger's.
        run("ipset del sipguard-asterisk4 198.51.100.7");
        run("ipset add sipguard-asterisk4 203.0.113.7 timeout 10");
        now = now.plus_seconds(KERNEL_LOOK_SECONDS);
        turns(&mut watch, now);
        assert!(!shown(held).contains("198.51.100.7 "), "the count is right");
        fail(&mut watch, "198.51.100.7");
        turns(&mut watch, now);
        assert_in_force(&watch, held, "a failure of who should be cut off");
        // One that is silent: the stranger's times out at last.
        run("ipset del sipguard-asterisk4 198.51.100.8");
        run("ipset del sipguard-asterisk4 203.0.113.7");
        now = now.plus_seconds(KERNEL_LOOK_SECONDS);
        turns(&mut watch, now);
        assert_in_force(&watch, held, "a count that is too small");
        // A time that somebody made shorter shows when a stranger's element makes us look.
        run("ipset -exist add sipguard-asterisk4 198.51.100.9 timeout 60");
        run("ipset add sipguard-asterisk4 203.0.113.8");
        for _ in 0..=crate::limits::IPSET_CLOSE_LOOKS {
            now = now.plus_seconds(KERNEL_LOOK_SECONDS);
            turns(&mut watch, now);
        }
        assert!(
            !shown(held).contains("198.51.100.9 timeout 60"),
            "{}",
            shown(held)
        );
        // That there is less of what is too much may mean that it hides one of ours.
        run("ipset del sipguard-asterisk4 198.51.100.10");
        for _ in 0..=crate::limits::IPSET_CLOSE_LOOKS {
            now = now.plus_seconds(KERNEL_LOOK_SECONDS);
            turns(&mut watch, now);
        }
        run("ipset del sipguard-asterisk4 203.0.113.8");
        assert_in_force(
            &watch,
            held,
            "a shorter time, and one in whose place a stranger's counted",
        );
    });
}

/// What is heard of who should be cut off is evidence, in time.
#[test]
fn a_ban_that_does_not_keep_its_source_away_is_looked_at_at_once() {
    let name = "daemon::watch::tests::a_ban_that_does_not_keep_its_source_away_is_looked_at_at_once";
    isolated(name, || {
        let held = Held::Ipset;
        let mut watch = watch(held);
        for address in addresses() {
            fail(&mut watch, &address);
        }
        turns(&mut watch, Mono(2_000));
        run("ipset flush sipguard-asterisk4");
        let now = Mono(4_100);
        assert!(watch.look_at.unwrap() > now);
        turns(&mut watch, now);
        fail(&mut watch, "198.51.100.3");
        turns(&mut watch, now);
        assert_in_force(&watch, held, "a flush");
    });
}

/// Nobody looks at the kernel while there are no bans; the first one is looked at before it counts.
#[test]
fn without_bans_nothing_wakes_the_guard_and_the_first_one_finds_its_rules() {
    let name = "daemon::watch::tests::without_bans_nothing_wakes_the_guard_and_the_first_one_finds_its_rules";
    isolated(name, || {
        for held in [Held::Ipset, Held::Plain, Held::Protected] {
            let mut watch = watch(held);
            assert_eq!(watch.next_deadline(), None, "{held:?}");
            if held == Held::Ipset {
                run("iptables-legacy -t raw -F");
            }
            for address in addresses() {
                fail(&mut watch, &address);
            }
            turn(&mut watch, Mono(3_000));
            assert_in_force(&watch, held, "a flush while there were no bans");
            // When all bans are over, the last look is soon, and then there is none.
            let over = Mono(1_000).plus_seconds(4_000);
            turns(&mut watch, over);
            turns(&mut watch, over.plus_seconds(OWN_LOOK_SECONDS));
            assert_eq!(watch.next_deadline(), None, "{held:?}");
            watch.stop(OnStop::Remove).unwrap();
        }
    });
}

/// What was lifted, or shall be, does not come back with the rest, nor does it stay because its set was kept.
#[test]
fn a_lifted_ban_stays_lifted_when_the_others_are_healed() {
    let name = "daemon::watch::tests::a_lifted_ban_stays_lifted_when_the_others_are_healed";
    isolated(name, || {
        for held in [Held::Ipset, Held::Plain] {
            let mut watch = watch(held);
            for address in addresses() {
                fail(&mut watch, &address);
            }
            fail(&mut watch, "192.0.2.1");
            turns(&mut watch, Mono(2_000));
            assert!(shown(held).contains("192.0.2.1 "), "{}", shown(held));
            watch
                .guard
                .unban("192.0.2.1/32".parse().unwrap(), JailId(0))
                .unwrap();
            run(match held {
                Held::Ipset => "iptables-legacy -t raw -F",
                Held::Plain | Held::Protected => "nft flush chain inet sipguard prerouting",
            });
            turns(&mut watch, Mono(8_000));
            assert_in_force(&watch, held, "a flush");
            assert!(!shown(held).contains("192.0.2.1 "), "{}", shown(held));
            watch.stop(OnStop::Remove).unwrap();
        }
    });
}

/// Many bans that were lost do not keep a new one waiting: it goes first, and the rest one batch a turn.
#[test]
fn a_new_ban_goes_before_those_that_are_healed() {
    let name = "daemon::watch::tests::a_new_ban_goes_before_those_that_are_healed";
    isolated(name, || {
        let mut watch = watch(Held::Plain);
        for i in 0..5_000_u32 {
            fail(&mut watch, &format!("100.64.{}.{}", i >> 8, i & 255));
        }
        turns(&mut watch, Mono(2_000));
        assert_eq!(watch.guard.not_in_force(), 0);
        run("nft delete table inet sipguard");
        turn(&mut watch, Mono(3_000));
        let waiting = watch.guard.not_in_force();
        assert!((2_000..5_000).contains(&waiting), "{waiting} wait for their turn");
        fail(&mut watch, "192.0.2.1");
        watch.settle();
        assert!(watch.guard.not_in_force() < waiting);
        assert!(run("nft list set inet sipguard asterisk4").contains("192.0.2.1 "));
        turns(&mut watch, Mono(3_000));
        assert_eq!(watch.guard.not_in_force(), 0);
        assert_eq!(
            run("nft list set inet sipguard asterisk4")
                .matches("100.64.")
                .count(),
            5_000
        );
    });
}

/// Not a test: prints how long healing takes. Of a release build, on an idle machine:
/// `cargo test --release --lib how_long_healing_takes -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures by the real clock")]
fn how_long_healing_takes() {
    use std::time::Instant;
    // Milliseconds by the clock, and of this thread's own work.
    let worked = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
    };
    let begin = || (Instant::now(), worked());
    let since = |(time, work): (Instant, f64)| (time.elapsed().as_secs_f64() * 1e3, worked() - work);
    let shown = |times: &[(f64, f64)]| {
        let at = |part: f64, of: &dyn Fn(&(f64, f64)) -> f64| {
            let mut sorted: Vec<f64> = times.iter().map(of).collect();
            sorted.sort_by(f64::total_cmp);
            sorted[((sorted.len() - 1) as f64 * part).round() as usize]
        };
        let [best, median, p99] = [0.0, 0.5, 0.99].map(|part| at(part, &|time| time.0));
        let work = at(0.5, &|time| time.1);
        format!("best {best:8.2}, median {median:8.2}, p99 {p99:8.2}, of it work {work:8.2} ms")
    };
    let fill = |watch: &mut Watch, bans: u32| {
        for i in 0..bans {
            let address = std::net::Ipv4Addr::from((100 << 24) | (i * 7));
            let ban = Ban {
                net: IpNet::from(std::net::IpAddr::from(address)),
                jail: JailId(0),
                since: Mono(0),
                until: Some(Mono(3_600_000)),
                proof: Proof::Blind,
                by_hand: false,
            };
            assert!(watch.guard.restore_ban(ban, 1, Mono(1_000)));
        }
    };
    isolated("daemon::watch::tests::how_long_healing_takes", || {
        println!();
        for held in [Held::Ipset, Held::Plain, Held::Protected] {
            for (bans, rounds) in [(1, 40), (10_000, 30), (100_000, 20)] {
                let (mut first, mut all, mut start, mut adopt) = (vec![], vec![], vec![], vec![]);
                for _ in 0..rounds {
                    let began = begin();
                    let mut watch = watch(held);
                    fill(&mut watch, bans);
                    turns(&mut watch, Mono(2_000));
                    start.push(since(began));
                    assert_eq!(watch.guard.not_in_force(), 0);
                    match held {
                        Held::Ipset => {
                            run("iptables-legacy -t raw -F");
                            run("ip6tables-legacy -t raw -F");
                            run("ipset destroy");
                        }
                        Held::Plain => drop(run("nft delete table inet sipguard")),
                        Held::Protected => {
                            watch.firewall.as_mut().unwrap().teardown().unwrap();
                            watch.look_at = Some(Mono(2_000));
                        }
                    }
                    let began = begin();
                    turn(&mut watch, Mono(9_000));
                    first.push(since(began));
                    turns(&mut watch, Mono(9_000));
                    all.push(since(began));
                    assert_eq!(watch.guard.not_in_force(), 0);
                    let began = begin();
                    let mut count = 0;
                    let firewall = watch.firewall.as_mut().unwrap();
                    firewall.elements(&mut |_, _| count += 1).unwrap();
                    adopt.push(since(began));
                    assert_eq!(count, bans);
                    watch.stop(OnStop::Remove).unwrap();
                }
                println!("{held:?}, {bans} bans");
                println!("  rules and first bans {}", shown(&first));
                println!("  all bans back        {}", shown(&all));
                println!("  start to all         {}", shown(&start));
                println!("  kernel's sets read   {}", shown(&adopt));
            }
        }
    });
}
