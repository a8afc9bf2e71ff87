//! dropbear, versions 2012 to 2025, behind a syslog header.
//!
//! The grammar is that of dropbear's source: 2020.81, 2022.83 and 2025.89 were read, older forms are those that
//! logs of their time show. No message holds a user name that the client made up: `pw_name` is an account of
//! the box (`svr-auth.c`, `fill_passwd`), and PAM's lines say `<invalid username>` otherwise; old versions
//! alone put the client's name into `nonexistent user '…'`. All the same the address is read from the end
//! where a name stands left of it. The address is numeric, `A:N` (`netio.c`, `getaddrstring`): IPv6 has no
//! brackets there, but is read with them too.
//!
//! | message | written in | read from |
//! |---|---|---|
//! | `Bad [PAM ]password attempt for 'U' from A:N` | `svr-authpasswd.c`, `svr-authpam.c` | the end |
//! | `Too-long password attempt for 'U' from A:N` | `svr-authpasswd.c` | the end |
//! | `Pubkey auth bad signature for 'U' with key FP from A:N` | `svr-authpubkey.c` | the end |
//! | `Login attempt for nonexistent user ['U' ]from A:N` | `svr-auth.c` | the end |
//! | `Login attempt with wrong user U from A:N` | `svr-auth.c` | the end |
//! | `Exit before auth from <A:N>: [(user 'U', n fails): ]REASON` | `svr-session.c` of 2020.81 on | the start |
//! | `Exit before auth[ (user 'U', n fails)]: REASON from A:N` | the same, earlier | the end |
//!
//! In 2020.81 and 2022.83 `Login attempt for nonexistent user` has no address; the exit that follows has. Of
//! the reasons `Max auth tries reached`, `Client trying multiple usernames` and `Attempted username with a
//! null byte` count; the others (`Exited normally`, `Timeout before auth`, a version that does not fit) do
//! not.
//!
//! Each wrong password counts once. `Max auth tries reached` is a second witness of the passwords before it,
//! and counts only where these were not logged: nonexistent users, keys.
#![forbid(unsafe_code)]

use core::net::IpAddr;

use super::cursor::Cursor;
use super::{Attempt, Class, Context, Failure, Kind, Proof, Reading, Service, Step, Suspicion, Witness};
use super::{stamp, syslog};
use crate::addr;

/// Reads the lines of dropbear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropbear;

/// What a message that counts says.
#[derive(Clone, Copy, Debug)]
struct Offence {
    addr: IpAddr,
    class: Class,
    witness: Witness,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Nothing,
    Torn,
    Counts(Offence),
}

impl Dropbear {
    /// What one line, without its newline, says.
    #[must_use]
    pub fn read(&self, line: &[u8], context: &Context) -> Reading {
        let Some(entry) = syslog::parse(line).filter(|entry| entry.program == b"dropbear") else {
            return Reading::Nothing;
        };
        let verdict = judge(entry.message);
        if !matches!(verdict, Verdict::Nothing) && entry.message.iter().any(u8::is_ascii_control) {
            return Reading::Suspicious(Suspicion::Control);
        }
        match verdict {
            Verdict::Nothing => Reading::Nothing,
            Verdict::Torn => Reading::Suspicious(Suspicion::Torn),
            Verdict::Counts(offence) if addr::is_never_remote(offence.addr) => Reading::Nothing,
            Verdict::Counts(offence) => Reading::Failure(Failure {
                addr: offence.addr,
                kind: Kind {
                    service: Service::Dropbear,
                    class: offence.class,
                },
                proof: Proof::Transport,
                attempt: Some(Attempt {
                    id: u64::from_be_bytes(*b"dbr\0\0\0\0\0") | u64::from(entry.pid.unwrap_or(0)),
                    witness: offence.witness,
                    step: Step::Closing,
                }),
                at: stamp::parse(entry.stamp, context),
                account: None,
            }),
        }
    }
}

fn judge(message: &[u8]) -> Verdict {
    const EXIT: &[u8] = b"Exit before auth";
    let heads: [(&[u8], Class); 6] = [
        (b"Bad password attempt for ", Class::Auth),
        (b"Bad PAM password attempt for ", Class::Auth),
        (b"Too-long password attempt for ", Class::Auth),
        (b"Pubkey auth bad signature for ", Class::Auth),
        (b"Login attempt for nonexistent user", Class::User),
        (b"Login attempt with wrong user ", Class::User),
    ];
    if let Some(text) = message.strip_prefix(EXIT) {
        return exit(text);
    }
    let mut known = heads
        .iter()
        .filter_map(|&(head, class)| Some((message.strip_prefix(head)?, class)));
    let Some((text, class)) = known.next() else {
        return Verdict::Nothing;
    };
    match from_at_end(text) {
        Some(addr) => Verdict::Counts(Offence {
            addr,
            class,
            witness: Witness::Notice,
        }),
        // 2020.81 to 2022.83 say nobody's address.
        None if class == Class::User && !text.contains(&b':') => Verdict::Nothing,
        None => Verdict::Torn,
    }
}

/// What follows `Exit before auth`.
fn exit(text: &[u8]) -> Verdict {
    let mut text = Cursor::new(text);
    let first = match text.literal(b" from <") {
        None => None,
        Some(()) => match text.until(b">").and_then(host_and_port) {
            Some(addr) => Some(addr),
            None => return Verdict::Torn,
        },
    };
    let Some((class, witness, rest)) = reason(text) else {
        return Verdict::Nothing;
    };
    let addr = match first {
        Some(addr) if rest.is_empty() => Some(addr),
        Some(_) => None,
        None if rest.is_empty() => return Verdict::Nothing,
        None => from_at_end(rest),
    };
    addr.map_or(Verdict::Torn, |addr| {
        Verdict::Counts(Offence { addr, class, witness })
    })
}

/// `[:][ (user 'U', n fails)]: REASON[ from A:N]`: the class of a reason that counts, and what follows it.
fn reason(mut text: Cursor<'_>) -> Option<(Class, Witness, &[u8])> {
    let _ = text.literal(b":");
    if text.literal(b" (user '").is_some() {
        // An account's name holds neither quote nor comma.
        text.until(b"', ")?;
        text.number()?;
        text.literal(b" fails):")?;
    }
    text.literal(b" ")?;
    if text.literal(b"Max auth tries reached - user '").is_some() {
        let class = if text.rest().starts_with(b"is invalid'") {
            Class::User
        } else {
            Class::Auth
        };
        text.until(b"'")?;
        return Some((class, Witness::Security, text.rest()));
    }
    let reasons: [&[u8]; 2] = [
        b"Client trying multiple usernames",
        b"Attempted username with a null byte",
    ];
    let rest = reasons
        .iter()
        .find_map(|reason| text.rest().strip_prefix(*reason))?;
    Some((Class::Proto, Witness::Security, rest))
}

/// `… from A:N` and nothing behind it.
fn from_at_end(text: &[u8]) -> Option<IpAddr> {
    let mut text = Cursor::new(text);
    text.until_last(b" from ")?;
    host_and_port(text.rest())
}

/// `192.0.2.1:50001`, `[2001:db8::1]:50001`, `2001:db8::1:50001`
fn host_and_port(text: &[u8]) -> Option<IpAddr> {
    let mut text = Cursor::new(text);
    let host = text.until_last(b":")?;
    text.token(5, |byte| byte.is_ascii_digit())?;
    text.ends()?;
    let host = match host.strip_prefix(b"[") {
        Some(host) => host.strip_suffix(b"]").filter(|host| host.contains(&b':'))?,
        None => host,
    };
    addr::parse(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `message` says: address, class and witness of a failure.
    fn check(message: &str, want: &str) {
        let line = format!("Nov 22 11:21:11 OpenWrt authpriv.warn dropbear[990]: {message}");
        let got = match Dropbear.read(line.as_bytes(), &Context::default()) {
            Reading::Nothing | Reading::Sign(_) => String::from("-"),
            Reading::Suspicious(suspicion) => format!("{suspicion:?}").to_lowercase(),
            Reading::Failure(Failure {
                addr, kind, attempt, ..
            }) => format!("{addr} {kind} {:?}", attempt.unwrap().witness).to_lowercase(),
        };
        assert_eq!(got, want, "{message}");
    }

    #[test]
    fn every_refusal_names_its_sender() {
        let auth = "192.0.2.1 dropbear.auth notice";
        check("Bad password attempt for 'root' from 192.0.2.1:5", auth);
        check(
            "Bad PAM password attempt for '<invalid username>' from 192.0.2.1:5",
            auth,
        );
        check("Too-long password attempt for 'root' from 192.0.2.1:5", auth);
        check(
            "Pubkey auth bad signature for 'root' with key SHA256:x from 192.0.2.1:5",
            auth,
        );
        check("Bad password attempt for 'root' from ::ffff:192.0.2.1:5", auth);
        check(
            "Bad password attempt for 'root' from 2001:db8::1:5",
            "2001:db8::1 dropbear.auth notice",
        );
        check(
            "Bad password attempt for 'root' from [2001:db8::1]:5",
            "2001:db8::1 dropbear.auth notice",
        );
        check(
            "Bad password attempt for 'a' from 198.51.100.7:9' from 192.0.2.1:5",
            auth,
        );
        let user = "192.0.2.1 dropbear.user notice";
        check("Login attempt for nonexistent user from 192.0.2.1:5", user);
        check(
            "Login attempt for nonexistent user 'x' from 198.51.100.7:6' from 192.0.2.1:5",
            user,
        );
        check("Login attempt with wrong user bob from 192.0.2.1:5", user);
    }

    #[test]
    fn an_exit_is_a_second_witness() {
        let auth = "192.0.2.1 dropbear.auth security";
        check(
            "Exit before auth from <192.0.2.1:5>: (user 'r', 10 fails): Max auth tries reached - user 'r'",
            auth,
        );
        check(
            "Exit before auth (user 'root', 10 fails): Max auth tries reached - user 'root' from 192.0.2.1:5",
            auth,
        );
        let user = "192.0.2.1 dropbear.user security";
        check(
            "Exit before auth from <192.0.2.1:5>: Max auth tries reached - user 'is invalid'",
            user,
        );
        check(
            "Exit before auth: Max auth tries reached - user 'is invalid' from 192.0.2.1:5",
            user,
        );
        let proto = "192.0.2.1 dropbear.proto security";
        check(
            "Exit before auth from <192.0.2.1:5>: Client trying multiple usernames",
            proto,
        );
        check(
            "Exit before auth (user 'x', 1 fails): Attempted username with a null byte from 192.0.2.1:5",
            proto,
        );
    }

    #[test]
    fn what_tells_nothing_is_nothing() {
        for message in [
            "Login attempt for nonexistent user",
            "Login attempt with wrong user bob",
            "Exit before auth from <192.0.2.1:5>: (user 'root', 1 fails): Exited normally",
            "Exit before auth from <192.0.2.1:5>: Timeout before auth",
            "Exit before auth from <192.0.2.1:5>: Incompatible remote version 'x: Max auth tries reached",
            "Exit before auth: Max auth tries reached - user 'x'",
            "Exit (root) from <192.0.2.1:5>: Disconnect received",
            "Early exit from <192.0.2.1:5>: Failed to get remote version",
            "Child connection from 192.0.2.1:5",
            "Password auth succeeded for 'root' from 192.0.2.1:5",
            "Bad password attempt for 'root' from 127.0.0.1:5",
        ] {
            check(message, "-");
        }
    }

    #[test]
    fn what_does_not_fit_is_torn() {
        for message in [
            "Bad password attempt for 'root'",
            "Bad password attempt for 'root' from 192.0.2.1",
            "Bad password attempt for 'root' from 192.0.2.1:",
            "Bad password attempt for 'root' from 192.0.2.1:5 x",
            "Bad password attempt for 'root' from [192.0.2.1]:5",
            "Bad password attempt for 'root' from host.example:5",
            "Exit before auth from <192.0.2.1>: Max auth tries reached - user 'root'",
            "Exit before auth from <192.0.2.1:5>: Max auth tries reached - user 'root' from 198.51.100.7:6",
        ] {
            check(message, "torn");
        }
        check("Bad password attempt for 'r\u{1b}' from 192.0.2.1:5", "control");
    }

    #[test]
    fn random_bytes_do_no_harm() {
        const PIECES: [&str; 10] = [
            "Exit before auth",
            " from <",
            "198.51.100.7",
            ">:",
            " (user '",
            "', 1 fails):",
            "Max auth tries reached - user '",
            "'",
            " from ",
            ":5",
        ];
        let mut state = 1u64;
        let mut below = |end: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % end
        };
        for _ in 0..20_000 {
            let mut line = b"Nov 22 11:21:11 edge dropbear[990]: ".to_vec();
            for _ in 0..below(12) {
                line.extend_from_slice(PIECES[below(PIECES.len())].as_bytes());
            }
            for _ in 0..below(4) {
                let at = below(line.len() + 1);
                line.insert(at, u8::try_from(below(256)).unwrap());
            }
            let _ = Dropbear.read(&line, &Context::default());
        }
    }
}
