//! `action`: a list of `name[key=value, key="value, with comma"]`, and what of it the kernel is to do.

use super::ini::Wrong;
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::{Block, Protocol, ports};
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
            rest = options(value, rest, inside, &mut call.options)?;
        }
        calls.push(call);
        rest = rest.trim_start();
    }
    Ok(calls)
}

/// Reads the options of the list that begins at `open`, whose inside is `rest`; returns what follows it.
fn options<'v>(
    value: &Value,
    open: &'v str,
    mut rest: &'v str,
    options: &mut Vec<(&'v str, &'v str)>,
) -> Result<&'v str, Wrong> {
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if let Some(after) = rest.strip_prefix(']') {
            return Ok(after);
        }
        let (key, after) = word(rest, "._-?");
        let Some(after) = after.trim_start().strip_prefix('=').filter(|_| !key.is_empty()) else {
            let what = "action: options are [key=value, key=\"value, with comma\"], closed by ]";
            return Err(value.wrong(
                if rest.is_empty() {
                    open.trim()
                } else {
                    first_line(rest)
                },
                what,
            ));
        };
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| ['"', '\''].contains(quote));
        let (text, after) = match quote {
            Some(quote) => {
                let inside = after.get(1..).unwrap_or_default();
                let what = format!("action: the value of {} is not closed by {quote}", shown(key));
                inside
                    .split_once(quote)
                    .ok_or_else(|| value.wrong(first_line(after), what))?
            }
            None => {
                let end = after.find([',', ']']).unwrap_or(after.len());
                let (text, after) = after.split_at_checked(end).unwrap_or((after, ""));
                (text.trim_end(), after)
            }
        };
        if !after.trim_start().starts_with([',', ']']) {
            let what = format!("action: after the value of {} comes a comma or ]", shown(key));
            return Err(value.wrong(first_line(text), what));
        }
        options.push((key, text));
        rest = after;
    }
}

/// The word of letters, digits and `also` that `text` begins with, and the rest.
fn word<'t>(text: &'t str, also: &str) -> (&'t str, &'t str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !also.contains(c));
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or(text)
}
