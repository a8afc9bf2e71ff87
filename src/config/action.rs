//! `action`: a list of `name[key=value, key="value, with comma"]`, and what of it the kernel is to do.

use super::ini::Wrong;
use super::interpolate::Value;
use super::options::word;
use super::reading::{Reading, shown};
use super::{Block, Protocol, options, ports};
use crate::limits::PORTS_MAX;

/// Actions whose names begin so mean "the kernel"; we do by netlink what they do by programs.
const KERNEL: [&str; 5] = ["iptables", "nftables", "ipset", "firewallcmd", "ufw"];

/// One action of the list. The parts are slices of the value.
#[derive(Debug, PartialEq, Eq)]
struct Call<'v> {
    name: &'v str,
    options: Vec<(&'v str, &'v str)>,
}

impl<'v> Call<'v> {
    /// The value of an option; of several of the same name the last counts, as in fail2ban.
    fn option(&self, name: &str) -> Option<&'v str> {
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

/// What the actions of a jail block in the kernel, together. Others are warned of.
pub(super) fn blocks(reading: &mut Reading<'_>, section: &str) -> Vec<Block> {
    let Some(value) = reading.value(section, "action") else {
        return Vec::new();
    };
    let calls = match calls(&value) {
        Ok(calls) => calls,
        Err(wrong) => {
            reading.wrong(wrong);
            return Vec::new();
        }
    };
    let mut blocks = Vec::new();
    for call in &calls {
        if !call.is_kernel() {
            let what = format!("action {} is not yet in force", shown(call.name));
            reading.warn(Some(value.wrong(call.name, "").place), what);
        } else if let Some(block) = block(reading, section, &value, call) {
            blocks.push(block);
        }
    }
    let blocks = ports::together(&blocks);
    if let Some(block) = blocks.iter().find(|block| block.ports.len() > PORTS_MAX) {
        let what = format!("port: {} ranges; {PORTS_MAX} are the limit", block.ports.len());
        reading.wrong(value.wrong(value.text(), what));
    }
    blocks
}

fn block(reading: &mut Reading<'_>, section: &str, value: &Value, call: &Call<'_>) -> Option<Block> {
    if let Some(kind) = call
        .option("blocktype")
        .filter(|kind| !kind.eq_ignore_ascii_case("drop"))
    {
        let what = "blocktype other than DROP is not yet in force: packets are dropped".to_owned();
        reading.warn(Some(value.wrong(kind, "").place), what);
    }
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
