//! What a client asks for: one line, in the words of the command line.
//!
//! ```text
//! status [JAIL] [--json]
//! ban ADDRESS [--jail JAIL] [--for TIME] [--force]
//! unban ADDRESS|--all [--jail JAIL]
//! reload
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::fmt;

use ipnet::IpNet;

use crate::addr;
use crate::config;
use crate::escape::Escaped;
use crate::limits::{JAIL_NAME_BYTES_MAX, SPAN_SECONDS_MAX};
use crate::time::Lasting;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// How everything stands, or one jail with its banned addresses.
    Status {
        /// The one jail.
        jail: Option<JailName>,
        /// As JSON.
        json: bool,
    },
    /// A ban by hand.
    Ban {
        /// Of whom.
        net: IpNet,
        /// By which jail; `None`: by the only one there is.
        jail: Option<JailName>,
        /// For how long; `None`: as the jail has it.
        lasting: Option<Lasting>,
        /// Even if it is one that is never banned (rule R2).
        force: bool,
    },
    /// The end of bans before their time.
    Unban {
        /// Of whom; `None`: of all.
        net: Option<IpNet>,
        /// In which jail; `None`: in every one.
        jail: Option<JailName>,
    },
    /// To read the configuration again.
    Reload,
}

/// What can be a jail's name: letters, digits, dots, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailName(String);

/// Why a line is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl Request {
    /// Reads a request, without its newline.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(line: &[u8]) -> Result<Request, Wrong> {
        let text = core::str::from_utf8(line).map_err(|_| wrong("the request is not UTF-8"))?;
        let mut words = text.split_ascii_whitespace();
        let command = words.next().unwrap_or_default();
        let mut parts = Parts::default();
        while let Some(word) = words.next() {
            parts.take(word, &mut words)?;
        }
        parts.request(command)
    }

    /// Whether it changes something, which not everybody may who may look.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Request::Status { .. } => false,
            Request::Ban { .. } | Request::Unban { .. } | Request::Reload => true,
        }
    }
}

/// The words behind the command, sorted.
#[derive(Default)]
struct Parts<'t> {
    subject: Option<&'t str>,
    jail: Option<JailName>,
    lasting: Option<Lasting>,
    force: bool,
    all: bool,
    json: bool,
}

impl<'t> Parts<'t> {
    fn take(&mut self, word: &'t str, words: &mut dyn Iterator<Item = &'t str>) -> Result<(), Wrong> {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| wrong(&format!("{word} needs a value")))
        };
        match word {
            "--jail" => self.jail = Some(value()?.parse()?),
            "--for" => self.lasting = Some(lasting(value()?)?),
            "--force" => self.force = true,
            "--all" => self.all = true,
            "--json" => self.json = true,
            _ if !word.starts_with('-') && self.subject.is_none() => self.subject = Some(word),
            _ => return Err(unknown(word)),
        }
        Ok(())
    }

    fn request(self, command: &str) -> Result<Request, Wrong> {
        let Parts {
            subject,
            jail,
            lasting,
            force,
            all,
            json,
        } = self;
        match (command, subject) {
            ("status", subject) if jail.is_none() && lasting.is_none() && !force && !all => {
                let jail = subject.map(str::parse).transpose()?;
                Ok(Request::Status { jail, json })
            }
            ("ban", Some(subject)) if !all && !json => Ok(Request::Ban {
                net: net(subject)?,
                jail,
                lasting,
                force,
            }),
            ("unban", subject) if subject.is_some() != all && lasting.is_none() && !force && !json => {
                let net = subject.map(net).transpose()?;
                Ok(Request::Unban { net, jail })
            }
            ("reload", None) if jail.is_none() && lasting.is_none() && !force && !all && !json => {
                Ok(Request::Reload)
            }
            ("ban", None) => Err(wrong("ban whom?")),
            ("unban", None) if !all => Err(wrong("unban whom? --all is all")),
            ("status" | "ban" | "unban" | "reload", _) => {
                Err(wrong(&format!("{command} does not take these options")))
            }
            _ => Err(unknown(command)),
        }
    }
}

fn wrong(what: &str) -> Wrong {
    Wrong(what.to_owned())
}

fn unknown(word: &str) -> Wrong {
    wrong(&format!("not understood: \"{}\"", shown(word)))
}

/// An address, or a network with its length.
fn net(text: &str) -> Result<IpNet, Wrong> {
    let (address, length) = match text.split_once('/') {
        None => (text, None),
        Some((address, length)) => (address, Some(length)),
    };
    let address = addr::parse(address.as_bytes());
    let net = match (address, length) {
        (Some(address), None) => Some(IpNet::from(address)),
        (Some(address), Some(length)) => digits(length).and_then(|bits| IpNet::new(address, bits).ok()),
        (None, _) => None,
    };
    let net = net.ok_or_else(|| wrong(&format!("\"{}\" is not an address", shown(text))));
    net.map(|net| net.trunc())
}

fn digits(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl core::str::FromStr for JailName {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<JailName, Wrong> {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.len() <= JAIL_NAME_BYTES_MAX && text.bytes().all(sound) && !text.starts_with('-') {
            return Ok(JailName(text.to_owned()));
        }
        Err(wrong(&format!("\"{}\" cannot be a jail's name", shown(text))))
    }
}

impl JailName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `600`, `10m`, `1d12h`; `-1` is for ever.
fn lasting(text: &str) -> Result<Lasting, Wrong> {
    if text == "-1" {
        return Ok(Lasting(None));
    }
    let seconds = config::seconds(text).filter(|seconds| (1..=SPAN_SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        let (shown, units) = (shown(text), "write 600, 10m, 1h or 2d; -1 is for ever");
        wrong(&format!("\"{shown}\" is not a time ({units})"))
    });
    seconds.map(|seconds| Lasting(Some(seconds)))
}

/// The beginning of what somebody wrote.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    Escaped(start.as_bytes()).to_string()
}

impl fmt::Display for Request {
    /// The line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jail_of = |jail: &Option<JailName>| match jail {
            Some(JailName(name)) => format!(" --jail {name}"),
            None => String::new(),
        };
        match self {
            Request::Reload => f.write_str("reload"),
            Request::Status { jail, json } => {
                f.write_str("status")?;
                if let Some(JailName(name)) = jail {
                    write!(f, " {name}")?;
                }
                f.write_str(if *json { " --json" } else { "" })
            }
            Request::Ban {
                net,
                jail,
                lasting,
                force,
            } => {
                write!(f, "ban {net}{}", jail_of(jail))?;
                match lasting {
                    None => {}
                    Some(Lasting(None)) => f.write_str(" --for -1")?,
                    Some(Lasting(Some(seconds))) => write!(f, " --for {seconds}")?,
                }
                f.write_str(if *force { " --force" } else { "" })
            }
            Request::Unban { net, jail } => {
                match net {
                    Some(net) => write!(f, "unban {net}")?,
                    None => f.write_str("unban --all")?,
                }
                f.write_str(&jail_of(jail))
            }
        }
    }
}

impl Wrong {
    /// There are more bytes than any request has.
    pub(super) fn too_long() -> Wrong {
        wrong("the request is too long")
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line is a request that is written so again, or is refused with this sentence.
    #[track_caller]
    fn check(line: &str, want: Result<&str, &str>) {
        let parsed = Request::parse(line.as_bytes());
        let shown = parsed
            .as_ref()
            .map(ToString::to_string)
            .map_err(ToString::to_string);
        assert_eq!(shown, want.map(str::to_owned).map_err(str::to_owned), "{line}");
        if let Ok(request) = parsed {
            assert_eq!(Request::parse(request.to_string().as_bytes()), Ok(request));
        }
    }

    #[test]
    fn requests_are_the_words_of_the_command_line() {
        for same in [
            "status",
            "status --json",
            "status asterisk",
            "status asterisk-udp --json",
            "ban 192.0.2.1/32",
            "ban 2001:db8::/64 --jail sshd --for 600 --force",
            "ban 192.0.2.1/32 --for -1",
            "unban 192.0.2.1/32 --jail sshd",
            "unban --all",
            "unban --all --jail sshd",
            "reload",
        ] {
            check(same, Ok(same));
        }
        check("  ban  --force 192.0.2.1 ", Ok("ban 192.0.2.1/32 --force"));
        check(
            "ban ::ffff:192.0.2.1 --for 1d12h",
            Ok("ban 192.0.2.1/32 --for 129600"),
        );
        check("ban 192.0.2.99/24", Ok("ban 192.0.2.0/24"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        check("", Err("not understood: \"\""));
        check("stats", Err("not understood: \"stats\""));
        check("status a b", Err("not understood: \"b\""));
        check("status --all", Err("status does not take these options"));
        check("ban", Err("ban whom?"));
        check("ban --all", Err("ban whom?"));
        check("ban 192.0.2.1 --json", Err("ban does not take these options"));
        check("ban 192.0.2.1 192.0.2.2", Err("not understood: \"192.0.2.2\""));
        check("ban host.example", Err("\"host.example\" is not an address"));
        check("ban 192.0.2.1/33", Err("\"192.0.2.1/33\" is not an address"));
        check("ban 192.0.2.1/+8", Err("\"192.0.2.1/+8\" is not an address"));
        check("ban 192.0.2.1/", Err("\"192.0.2.1/\" is not an address"));
        check("ban 192.0.2.1 --for", Err("--for needs a value"));
        for time in ["0", "11y", "soon", "-2"] {
            check(
                &format!("ban 192.0.2.1 --for {time}"),
                Err(&format!(
                    "\"{time}\" is not a time (write 600, 10m, 1h or 2d; -1 is for ever)"
                )),
            );
        }
        check("unban", Err("unban whom? --all is all"));
        check("unban 192.0.2.1 --all", Err("unban does not take these options"));
        check("reload now", Err("reload does not take these options"));
        check("status \u{1b}[2J", Err("\"\\x1b[2J\" cannot be a jail's name"));
        check("status -x", Err("not understood: \"-x\""));
        assert!(Request::parse(b"status \xff").is_err());
    }

    #[test]
    fn only_a_look_changes_nothing() {
        for (line, want) in [
            ("status", false),
            ("ban 192.0.2.1", true),
            ("unban --all", true),
            ("reload", true),
        ] {
            assert_eq!(Request::parse(line.as_bytes()).unwrap().changes(), want, "{line}");
        }
    }
}
