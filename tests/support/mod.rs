//! What the tests that need a kernel share: a network of their own, with privileges in it, that is
//! gone when the test is.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses another part of it"
)]
#![allow(missing_docs, reason = "they are here, where they help")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests run nft, ipset, ip and unshare"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::env;
use std::process::{Command, Output};

/// Set in the process that is inside.
const INSIDE: &str = "SIPGUARD_TEST_INSIDE";

/// Runs the body of the test `name` (as `cargo test` prints it) in user, network, mount and pid
/// namespaces of its own, as root there: this program starts itself again under unshare(1) with
/// just that test. Needs no root outside. All that the body leaves behind in the kernel, all its
/// processes too, end with it. `/run` and `/var/lib` are empty and its own.
pub fn isolated(name: &str, body: impl FnOnce()) {
    isolated_in(&["--map-root-user", "--user"], name, body);
}

/// As [`isolated`], but as the machine's root, who can become anybody. Where the tests run as somebody else, the
/// body is left out, and that is said.
pub fn isolated_as_root(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() || run("id -u").trim() == "0" {
        isolated_in(&[], name, body);
    } else {
        println!("{name}: left out, it needs root");
    }
}

fn isolated_in(users: &[&str], name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        run("mount -t tmpfs tmpfs /run");
        run("mount -t tmpfs tmpfs /var/lib");
        run("ip link set lo up");
        return body();
    }
    let this = env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(users)
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .arg(this)
        .args([
            "--exact",
            name,
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(INSIDE, name)
        .output()
        .expect("unshare(1) starts");
    let text = show(&output);
    assert!(output.status.success(), "inside the namespace:\n{text}");
    assert!(text.contains("1 passed"), "no test has the name {name}:\n{text}");
    print!("{text}");
}

/// A second machine: a network namespace with one cable to the namespace of the test. Addresses by
/// the documentation: the test has .1 (::1), this one .2 (::2), of networks that only they share.
pub struct Namespace {
    name: String,
    /// The first three bytes of the IPv4 network, the first 64 bits of the IPv6 network.
    v4: String,
    v6: String,
}

impl Namespace {
    /// `number` from 1 to 200 tells machines of one test apart: networks 198.18.NUMBER.0/24 and
    /// 2001:db8:0:NUMBER::/64.
    pub fn new(number: u8) -> Namespace {
        let name = format!("peer{number}");
        let namespace = Namespace {
            v4: format!("198.18.{number}"),
            v6: format!("2001:db8:0:{number}"),
            name,
        };
        let Namespace { name, v4, v6 } = &namespace;
        run(&format!("ip netns add {name}"));
        run(&format!(
            "ip link add {name} type veth peer name eth0 netns {name}"
        ));
        run(&format!("ip addr add {v4}.1/24 dev {name}"));
        run(&format!("ip addr add {v6}::1/64 dev {name} nodad"));
        run(&format!("ip link set {name} up"));
        namespace.exec("ip link set lo up");
        namespace.exec("ip link set eth0 up");
        namespace.exec(&format!("ip route add default via {v4}.1 dev eth0 onlink"));
        namespace.exec(&format!("ip -6 route add default via {v6}::1 dev eth0 onlink"));
        namespace.address(2);
        namespace
    }

    /// Where the kernel shows it: what setns(2) takes.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Gives the machine one more address: .HOST and ::HOST of its networks.
    pub fn address(&self, host: u8) {
        self.exec(&format!("ip addr add {}/24 dev eth0", self.v4(host)));
        self.exec(&format!("ip addr add {}/64 dev eth0 nodad", self.v6(host)));
    }

    /// An IPv4 address in the network; host 1 is the test's own.
    pub fn v4(&self, host: u8) -> String {
        format!("{}.{host}", self.v4)
    }

    /// An IPv6 address in the network; host 1 is the test's own.
    pub fn v6(&self, host: u8) -> String {
        format!("{}::{host:x}", self.v6)
    }

    /// Lets that machine use one of its addresses for all that it sends to `to` from here on.
    pub fn send_from(&self, from: &str, to: &str) {
        let family = if to.contains(':') { "-6" } else { "-4" };
        self.exec(&format!("ip {family} route replace {to} dev eth0 src {from}"));
    }

    /// Runs a command line on that machine and returns what it printed; it must succeed.
    pub fn exec(&self, line: &str) -> String {
        run(&format!("ip netns exec {} {line}", self.name))
    }

    /// Starts preparing a command that runs on that machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = try_run(&format!("ip link del {}", self.name));
        let _ = try_run(&format!("ip netns del {}", self.name));
    }
}

/// Runs a command line, split at blanks; it must succeed. Returns what it printed.
pub fn run(line: &str) -> String {
    let output = try_run(line);
    assert!(output.status.success(), "{line}:\n{}", show(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command line, split at blanks.
pub fn try_run(line: &str) -> Output {
    let mut words = line.split_whitespace();
    Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn show(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}
