//! Does the program live through a day? `sipguard run` on a real kernel, with a PBX, phones and attackers in
//! network namespaces of their own.
#![allow(clippy::disallowed_methods)]

mod support;

use std::fs;
use std::time::Duration;

use support::host::{Guard, Log, Port, wrong_password};
use support::{Namespace, isolated, run, try_run};

/// The article's file, as it is.
const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/article/jail.local");

/// An empty /var/log and /etc/sipguard, seen by this test only.
fn fresh_machine() {
    run("mount -t tmpfs tmpfs /var/log");
    fs::create_dir_all("/tmp").unwrap();
    run("mount -t tmpfs tmpfs /tmp");
}

/// A configuration with one jail on /var/log/asterisk/messages.
fn config(backend: &str, jail: &str) -> String {
    let path = "/tmp/jail.local";
    let text = format!(
        "[DEFAULT]\nfirewall = {backend}\n[asterisk]\nenabled = true\nfilter = asterisk\n\
         logpath = /var/log/asterisk/messages\n{jail}\n"
    );
    fs::write(path, text).unwrap();
    path.to_owned()
}

/// The main job: an attacker's packets stop arriving after its second failure, a phone's do not.
fn cuts_the_attacker_off(backend: &str, config: &str) {
    fresh_machine();
    let (attacker, phone) = (Namespace::new(1), Namespace::new(2));
    let mut log = Log::create("/var/log/asterisk/messages");
    let mut guard = Guard::start(&["--config", config]);
    for (v6, address) in [(false, "0.0.0.0"), (true, "::")] {
        let [bad, good] = [&attacker, &phone].map(|host| if v6 { host.v6(2) } else { host.v4(2) });
        let (sip, other) = (Port::open(address, 5060), Port::open(address, 9999));
        let to = |host: &Namespace, from: &str| (host.socket(from), if v6 { host.v6(1) } else { host.v4(1) });
        let (bad_socket, bad_to) = to(&attacker, &bad);
        let (good_socket, good_to) = to(&phone, &good);
        let hears = |port: &Port, socket, to: &str| port.hears(socket, to);
        assert!(hears(&sip, &bad_socket, &bad_to) && hears(&sip, &good_socket, &good_to));

        log.fail(&bad);
        log.fail(&good);
        assert!(hears(&sip, &bad_socket, &bad_to), "one failure is no ban");
        log.fail(&bad);
        let line = guard.wait_for("banned");
        assert!(line.contains("for ever") && line.contains("jail=asterisk"), "{line}");
        assert!(!hears(&sip, &bad_socket, &bad_to), "the attacker is cut off at the SIP port");
        assert!(!hears(&other, &bad_socket, &bad_to), "protocol=all: and at every other");
        assert!(hears(&sip, &good_socket, &good_to), "the phone is not");
    }
    assert_permanent(backend, &[&attacker.v4(2), &attacker.v6(2)]);
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert_nothing_of_ours_left();
}
