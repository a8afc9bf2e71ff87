//! OpenSSH's server, versions 5 to 10, behind a syslog header.
//!
//! The grammar is that of OpenSSH's source: portable 7.4, 8.4, 9.2 and 10.0 were read, older forms are those
//! that logs of their time show. Everything that a client sends passes `strnvis` (`log.c`, `do_log`) on its
//! way to syslog, so that no message holds a control byte; a user name is cut at 100 bytes (200 with
//! `invalid user` in `packet.c`), a whole message at 1,023. (`sshd -e` does not encode newlines; a journal of
//! its stderr can be forged by anyone.) What a client controls:
//!
//! | message | written in | client's text | read from |
//! |---|---|---|---|
//! | `Failed METHOD for [invalid user ]U from A port N ssh2` | `auth.c` | U, left | the end |
//! | … `ssh2: KEY…` (publickey, hostbased) | the same | U, left; any text, right | the only split |
//! | `Invalid user U from A[ port N]` | `auth.c` `getpwnamallow` | U, left | the end |
//! | `User U from H not allowed because REASON` | `auth.c` | U (an account), H (DNS), left | the end |
//! | `ROOT LOGIN REFUSED FROM A[ port N]` | `auth.c` `auth_root_allowed` | none | both ends |
//! | `error: maximum authentication attempts exceeded for …` | `auth.c` | U, left | the end |
//! | `error: PAM: REASON for [illegal user ]U from H` | `auth-pam.c` | U, H (DNS), left | the end |
//! | `pam_unix(sshd:auth): authentication failure; …` | Linux-PAM | U, right | not read |
//! | `refused connect from NAME (A)` | libwrap, as Debian builds it | NAME (DNS), left | the end |
//! | `Disconnecting [… user U ]A port N: Change of username …` | `auth2.c` | both sides | the only split |
//! | `Received disconnect from A[ port N]: CODE: TEXT` | `packet.c` | TEXT, right | the start |
//! | `Connection closed by [… user U ]A port N` and its like | `packet.c` | U, left | the end |
//! | `Unable to negotiate with A port N: no matching …` | the same | the offer, right | the start |
//! | `ssh_dispatch_run_fatal: Connection from A port N: …` | the same | none | the start |
//! | `banner exchange: Connection from A port N: invalid format` | the same | none | both ends |
//! | `Did not receive identification string from A[ port N]` | `sshd.c` to 7.9 | none | both ends |
//! | `Bad protocol version identification 'V' from A port N` | `sshd.c` to 7.9 | V, left | the end |
//! | `Protocol major versions differ for A port N: …` | `sshd.c` to 7.9 | version, right | the start |
//! | `Timeout before authentication for [connection from ]A…` | `sshd.c` | none | the start |
//! | `drop connection #n from [A]:N on [B]:M penalty: …` | `sshd.c` 9.8 on | none | the start |
//!
//! A name in place of an address (`UseDNS yes`, `UNKNOWN`) is never resolved: the line says nothing, and the
//! next one of the same login says the address.
//!
//! # What counts as one attempt
//!
//! A wrong password counts once, a session with three of them three times, whatever else is logged about it.
//! The lines of a session have one pid (the monitor's, which also writes for its child), and are tied by it
//! and by their place in a login:
//!
//! | part | lines | tied as |
//! |---|---|---|
//! | prelude | `error: PAM`, `Failed none`, an invalid user's key, `ROOT LOGIN REFUSED` | Notice, Opening |
//! | refusal | `Failed password`, `Failed keyboard-interactive` and their like | Notice, Closing |
//! | once for a session | `Invalid user`, `not allowed`, `maximum …`, an aborted login | Security, Closing |
//! | alone | everything before a user name was sent | none |
//!
//! PAM's own lines do not count. Where accounts come from a directory, `pam_unix` reports a failure at every
//! login that `pam_sss` or `pam_winbind` then lets in; and of each login that PAM refuses sshd says so
//! itself.
//!
//! `Failed publickey` for a user who exists does not count: a client offers all its keys, and none of them is
//! a guess. If they were too many, `maximum authentication attempts exceeded` counts.
#![forbid(unsafe_code)]

#[cfg(test)]
mod forgery;
mod login;
mod peer;
mod session;
#[cfg(test)]
mod tests;

use super::{Attempt, Class, Context, Failure, Kind, Proof, Reading, Service, Step, Suspicion, Witness};
use super::{stamp, syslog};
use crate::addr;
use peer::Peer;

/// `filter = sshd[mode=…]`: what counts beside failed logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Failed logins only.
    #[default]
    Normal,
    /// And connections that were given up or spoilt before a login: port scanners, floods.
    Ddos,
    /// And clients that no login could come of: no common algorithm, no common authentication method.
    Extra,
    /// All of it.
    Aggressive,
}

impl Mode {
    /// The mode that fail2ban calls `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Mode> {
        match name {
            "normal" => Some(Mode::Normal),
            "ddos" => Some(Mode::Ddos),
            "extra" => Some(Mode::Extra),
            "aggressive" => Some(Mode::Aggressive),
            _ => None,
        }
    }

    const fn counts_ddos(self) -> bool {
        matches!(self, Mode::Ddos | Mode::Aggressive)
    }

    const fn counts_extra(self) -> bool {
        matches!(self, Mode::Extra | Mode::Aggressive)
    }
}

/// Reads the lines of OpenSSH's server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sshd {
    /// What counts beside failed logins.
    pub mode: Mode,
}

/// What one message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing that counts.
    Nothing,
    /// The head of a message that counts, and then something else.
    Torn,
    /// Two peers could have caused it.
    Ambiguous,
    /// It counts.
    Counts(Peer, Class, Part),
}

/// The place of a line in a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A line before the refusal.
    Prelude,
    /// The refusal of one password.
    Refusal,
    /// A line that a session writes once.
    Session,
    /// A line beside all logins.
    Alone,
}

impl Part {
    /// The id of an attempt is its process; in a log without pids all lines of an address are one process's.
    fn attempt(self, pid: Option<u32>) -> Option<Attempt> {
        let (witness, step) = match self {
            Part::Prelude => (Witness::Notice, Step::Opening),
            Part::Refusal => (Witness::Notice, Step::Closing),
            Part::Session => (Witness::Security, Step::Closing),
            Part::Alone => return None,
        };
        let id = u64::from_be_bytes(*b"sshd\0\0\0\0") | u64::from(pid.unwrap_or(0));
        Some(Attempt { id, witness, step })
    }
}

impl Sshd {
    /// What one line, without its newline, says.
    #[must_use]
    pub fn read(&self, line: &[u8], context: &Context) -> Reading {
        let Some(entry) = syslog::parse(line) else {
            return Reading::Nothing;
        };
        // Since 9.8 a session, since 10.0 also its authentication, is a program of its own.
        if !syslog::is_one_of(entry.program, &["sshd", "sshd-session", "sshd-auth"]) {
            return Reading::Nothing;
        }
        let verdict = self.judge(entry.message);
        if verdict != Verdict::Nothing && entry.message.iter().any(u8::is_ascii_control) {
            return Reading::Suspicious(Suspicion::Control);
        }
        match verdict {
            Verdict::Nothing | Verdict::Counts(Peer::Name, _, _) => Reading::Nothing,
            Verdict::Torn => Reading::Suspicious(Suspicion::Torn),
            Verdict::Ambiguous => Reading::Suspicious(Suspicion::Ambiguous),
            Verdict::Counts(Peer::Address(address), _, _) if addr::is_never_remote(address) => {
                Reading::Nothing
            }
            Verdict::Counts(Peer::Address(addr), class, part) => Reading::Failure(Failure {
                addr,
                kind: Kind {
                    service: Service::Sshd,
                    class,
                },
                proof: Proof::Transport,
                attempt: part.attempt(entry.pid),
                at: stamp::parse(entry.stamp, context),
                account: None,
            }),
        }
    }

    /// `log.c` puts the level before a message, `monitor.c` writes ` [preauth]` behind one of the
    /// unprivileged child.
    fn judge(&self, message: &[u8]) -> Verdict {
        let levels: [&[u8]; 2] = [b"error: ", b"fatal: "];
        let message = levels
            .iter()
            .find_map(|level| message.strip_prefix(*level))
            .unwrap_or(message);
        let (message, preauth) = match message.strip_suffix(b" [preauth]") {
            Some(message) => (message, true),
            None => (message, false),
        };
        login::judge(message)
            .or_else(|| session::judge(message, preauth, self.mode))
            .unwrap_or(Verdict::Nothing)
    }
}
