//! `action`: a list of `name[key=value, key="value, with comma"]`: what of it the kernel is to do, and what else is.

use super::ini::Wrong;
use super::interpolate::Value;
use super::options::word;
use super::reading::{Reading, shown};
use super::{Block, Protocol, command, letter, options, ports};
use crate::action::Action;
use crate::limits::{ACTIONS_MAX, PORTS_MAX};

/// Actions whose names begin so mean "the kernel": we do by netlink what they do by programs; unless a user wrote
/// one of a name of his own.
const KERNEL: [&str; 5] = ["iptables", "nftables", "ipset", "firewallcmd", "ufw"];

/// What of these fail2ban brings; a file of such a name is not looked at.
const BROUGHT: [&str; 21] = [
    "iptables",
    "iptables-allports",
    "iptables-ipset",
    "iptables-ipset-proto4",
    "iptables-ipset-proto6",
    "iptables-ipset-proto6-allports",
    "iptables-multiport",
    "iptables-multiport-log",
    "iptables-new",
    "iptables-xt_recent-echo",
    "nftables",
    "nftables-allports",
    "nftables-multiport",
    "firewallcmd-allports",
    "firewallcmd-ipset",
    "firewallcmd-multiport",
    "firewallcmd-new",
    "firewallcmd-rich-logging",
    "firewallcmd-rich-rules",
    "ufw",
    "ipset",
];

/// What the actions of a jail do.
#[derive(Default)]
pub(super) struct Actions {
    /// In the kernel, together.
    pub(super) blocks: Vec<Block>,
    /// Beside it.
    pub(super) others: Vec<Action>,
}

/// One action of the list. The parts are slices of the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'v> {
    pub(super) name: &'v str,
    pub(super) options: Vec<(&'v str, &'v str)>,
}

impl<'v> Call<'v> {
    /// The value of an option; of several of the same name the last counts, as in fail2ban.
    pub(super) fn option(&self, name: &str) -> Option<&'v str> {
        let mut options = self.options.iter().rev();
        options.find_map(|&(key, value)| (key == name).then_some(value))
    }

    fn is_kernel(&self) -> bool {
        KERNEL.iter().any(|family| self.name.starts_with(family))
    }

    /// Whether it blocks every port, whatever ports the jail has.
    fn is_all_ports(&self) -> bool {
        self.name.ends_with("allports") || self.option("type") == Some("allports")
    }
}

/// What the actions of a jail do; `bantime` is the jail's.
pub(super) fn actions(reading: &mut Reading<'_>, section: &str, bantime: Option<u64>) -> Actions {
    let Some(value) = reading.value(section, "action") else {
        return Actions::default();
    };
    let calls = match calls(&value) {
        Ok(calls) => calls,
        Err(wrong) => {
            reading.wrong(wrong);
            return Actions::default();
        }
    };
    let mut actions = Actions::default();
    for call in &calls {
        if letter::is_mail(call.name) {
            command::warn_of_file(reading, &value, call.name);
            actions
                .others
                .extend(letter::letter(reading, section, &value, call));
            continue;
        }
        let brought = call.is_kernel() && BROUGHT.contains(&call.name);
        if brought {
            command::warn_of_file(reading, &value, call.name);
        }
        let action = if brought {
            None
        } else {
            command::file(reading, section, &value, call)
        };
        match action {
            Some(action) => actions.others.extend(action),
            None if call.is_kernel() => {
                warn_of_options(reading, &value, call, bantime);
                actions.blocks.extend(block(reading, section, &value, call));
            }
            None => command::warn_of_absent(reading, &value, call.name),
        }
    }
    let blocks = ports::together(&actions.blocks);
    if let Some(block) = blocks.iter().find(|block| block.ports.len() > PORTS_MAX) {
        let what = format!("port: {} ranges; {PORTS_MAX} are the limit", block.ports.len());
        reading.wrong(value.wrong(value.text(), what));
    }
    if actions.others.len() > ACTIONS_MAX {
        let what = format!(
            "action: {} actions; {ACTIONS_MAX} are the limit",
            actions.others.len()
        );
        reading.wrong(value.wrong(value.text(), what));
    }
    Actions { blocks, ..actions }
}

/// Says which options of a firewall action do not do what they do in fail2ban.
fn warn_of_options(reading: &mut Reading<'_>, value: &Value, call: &Call<'_>, bantime: Option<u64>) {
    let mut warn = |option: &str, what: String| {
        reading.warn(Some(value.wrong(option, "").place), what);
    };
    if let Some(kind) = call
        .option("blocktype")
        .filter(|kind| !kind.eq_ignore_ascii_case("drop"))
    {
        let what = "packets are dropped and not answered: the answer to a forged one would hit somebody else";
        warn(kind, format!("blocktype {}: {what}", shown(kind)));
    }
    // They all come behind prerouting, where our rules stand.
    let covered = ["INPUT", "FORWARD", "DOCKER-USER", "<known/chain>"];
    if let Some(chain) = call.option("chain").filter(|chain| !covered.contains(chain)) {
        let what = "what is banned is dropped before every chain, also before this one";
        warn(chain, format!("chain {}: {what}", shown(chain)));
    }
    if let Some(text) = call.option("bantime") {
        let same = match bantime {
            None => ["-1", "0"].contains(&text),
            Some(seconds) => super::value::seconds(text) == Some(seconds),
        };
        if !same {
            let what = "a ban lasts in the kernel as long as the jail's bantime says";
            warn(text, format!("option bantime {}: {what}", shown(text)));
        }
    }
}

fn block(reading: &mut Reading<'_>, section: &str, value: &Value, call: &Call<'_>) -> Option<Block> {
    let protocol = match call.option("protocol") {
        // ufw's rule has no protocol, whatever it is told.
        _ if call.name == "ufw" => Ok(Protocol::All),
        Some(text) => protocols(value, text),
        None => {
            let value = reading.value(section, "protocol")?;
            protocols(&value, value.text())
        }
    };
    let protocol = reading.right(protocol)?;
    if protocol == Protocol::All || call.is_all_ports() {
        let ports = Vec::new();
        return Some(Block { protocol, ports });
    }
    let ports = match call.option("port") {
        Some(text) => port_ranges(value, text),
        None => {
            let value = reading.value(section, "port")?;
            port_ranges(&value, value.text())
        }
    };
    let ports = reading.right(ports)?;
    Some(Block { protocol, ports })
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn protocols(value: &Value, text: &str) -> Result<Protocol, Wrong> {
    let what = "use tcp, udp, tcp,udp or all";
    let mut sum: Option<Protocol> = None;
    for word in list(text) {
        let protocol = ports::protocol(word).ok_or_else(|| {
            value.wrong(
                word,
                format!("protocol: \"{}\" is not known; {what}", shown(word)),
            )
        })?;
        sum = Some(sum.map_or(protocol, |sum| sum.or(protocol)));
    }
    sum.ok_or_else(|| value.wrong(text, format!("protocol: nothing is named; {what}")))
}

fn port_ranges(value: &Value, text: &str) -> Result<Vec<(u16, u16)>, Wrong> {
    let mut ranges = Vec::new();
    for word in list(text) {
        ranges.push(match word {
            "all" | "any" => (0, u16::MAX),
            _ => ports::range(word).ok_or_else(|| {
                let what = "is not a port; use numbers, 5060:5080, or names such as sip and ssh";
                value.wrong(word, format!("port: \"{}\" {what}", shown(word)))
            })?,
        });
    }
    if ranges.is_empty() {
        let what = "port: nothing is named; write 5060,5061, or 0:65535 for every port";
        return Err(value.wrong(text, what));
    }
    Ok(ports::merged(ranges))
}

/// The actions in the list: separated by blanks or lines, their options by commas.
fn calls(value: &Value) -> Result<Vec<Call<'_>>, Wrong> {
    let mut calls = Vec::new();
    let mut rest = value.text().trim_start();
    while !rest.is_empty() {
        let (name, after) = word(rest, "._-");
        if name.is_empty() {
            let what = "action: use name or name[key=value, …], one action a line";
            return Err(value.wrong(rest.get(..1).unwrap_or(rest), what));
        }
        let mut call = Call {
            name,
            options: Vec::new(),
        };
        rest = after;
        // fail2ban takes several lists of options: %(action_)s[name=other].
        while let Some(inside) = rest.trim_start_matches([' ', '\t']).strip_prefix('[') {
            rest = options::list("action", value, rest, inside, &mut call.options)?;
        }
        calls.push(call);
        rest = rest.trim_start();
    }
    Ok(calls)
}
