//! One value: times, numbers, words, addresses. Text in, value or `None` out; the sentences are elsewhere.

use core::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::addr;

/// A span of time in seconds, as fail2ban reads it: terms of a number and a unit that add up, `1d12h`,
/// `1h 30m`, `1.5h`; without a unit, seconds. Months and years are the Julian year and a twelfth of it.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0u64;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.')?;
        let (unit, after) = match split(after.trim_start(), |c| c.is_ascii_alphabetic()) {
            Some((unit, after)) => (unit_seconds(&unit.to_ascii_lowercase())?, after),
            None => (1, after),
        };
        sum = sum.checked_add(times(number, unit)?)?;
        rest = after.trim_start();
    }
    Some(sum)
}

/// The longest beginning of `text` that consists of such characters, and the rest; `None` if it is empty.
fn split(text: &str, such: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !such(c)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(head, _)| !head.is_empty())
}

fn unit_seconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "s" | "ss" | "sec" | "second" | "seconds" => 1,
        "m" | "mm" | "mi" | "min" | "minute" | "minutes" => 60,
        "h" | "hh" | "hou" | "hour" | "hours" => 3_600,
        "d" | "dd" | "da" | "day" | "days" => 86_400,
        "w" | "ww" | "we" | "week" | "weeks" => 604_800,
        "mo" | "mon" | "month" | "months" => 2_629_800,
        "y" | "yy" | "ye" | "yea" | "year" | "years" => 31_557_600,
        _ => return None,
    })
}

/// `number`, which may have a fraction, times `unit`, in whole seconds.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // Nine digits are a nanosecond's share, and fit.
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    let part = self::number(fraction)?.checked_mul(unit)? / 10u64.checked_pow(digits)?;
    self::number(whole)?.checked_mul(unit)?.checked_add(part)
}

/// A number that may have a fraction, in thousandths.
pub(super) fn thousandths(text: &str) -> Option<u64> {
    times(text, 1000)
}

/// A whole number of ASCII digits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// What fail2ban takes for true and for false; it takes everything else for false, too.
pub(super) fn yes_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" | "" => Some(false),
        _ => None,
    }
}

/// One entry of `ignoreip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored<'t> {
    /// An address or a network.
    Net(IpNet),
    /// A name of the DNS.
    Named,
    /// `file:/PATH`: a list in a file (fail2ban 1.1.1).
    File(&'t str),
}

/// An address, a network (`/24` or `/255.255.255.0`; bits of the host part do not matter) or a name.
pub(super) fn ignored(text: &str) -> Option<Ignored<'_>> {
    let (address, length) = match text.split_once('/') {
        None => (text, None),
        Some((address, length)) => (address, Some(length)),
    };
    if let Some(address) = addr::parse(address.as_bytes()) {
        return network(address, length).map(Ignored::Net);
    }
    if let Some(path) = text.strip_prefix("file:").filter(|path| path.starts_with('/')) {
        return Some(Ignored::File(path));
    }
    let named = length.is_none() && addr::is_name(text);
    named.then_some(Ignored::Named)
}

fn network(address: IpAddr, length: Option<&str>) -> Option<IpNet> {
    let bits = match (length, address) {
        (None, IpAddr::V4(_)) => 32,
        (None, IpAddr::V6(_)) => 128,
        (Some(mask), IpAddr::V4(_)) if mask.contains('.') => mask_bits(mask.parse().ok()?)?,
        (Some(length), _) => u8::try_from(number(length)?).ok()?,
    };
    IpNet::new(address, bits).ok().map(|net| net.trunc())
}

/// The length of a netmask, if its bits are in one piece.
fn mask_bits(mask: Ipv4Addr) -> Option<u8> {
    let mask = u32::from(mask);
    let bits = mask.leading_ones();
    (mask.count_ones() == bits)
        .then(|| u8::try_from(bits).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_fail2ban_takes_them_for() {
        for (text, want) in [
            ("600", 600),
            ("10m", 600),
            ("2h", 7_200),
            ("7d", 604_800),
            ("1w", 604_800),
            ("1d12h", 129_600),
            ("1d 12h", 129_600),
            ("1 week 2 days", 777_600),
            ("10 minutes", 600),
            ("10M", 600),
            ("1h30", 3_630),
            ("1.5h", 5_400),
            ("1mo", 2_629_800),
            ("1y", 31_557_600),
            ("60 60", 120),
            (" 0 ", 0),
        ] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            " ",
            "1x",
            "10 minuts",
            "10 mins",
            "abc",
            "1hr",
            "1e3",
            "-5",
            "--1",
            ".",
            "1.",
            ".5",
            "1..5h",
            "1.0000000000h",
            "99999999999999999999",
            "9999999999999999999y",
            "m",
            "10m,",
            "十分",
            "1_000",
            "+5",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn ignored_addresses_and_networks() {
        let check = |text: &str, want: &str| {
            assert_eq!(ignored(text), Some(Ignored::Net(want.parse().unwrap())), "{text}");
        };
        check("127.0.0.1/8", "127.0.0.0/8");
        check("192.168.1.7", "192.168.1.7/32");
        check("10.1.2.3/255.0.0.0", "10.0.0.0/8");
        check("::1", "::1/128");
        check("2001:db8::/32", "2001:db8::/32");
        check("::ffff:192.0.2.1", "192.0.2.1/32");
        check("0.0.0.0/0", "0.0.0.0/0");
        for name in ["pbx.example.org", "localhost", "a-b_c.example", "a.example."] {
            assert_eq!(ignored(name), Some(Ignored::Named), "{name}");
        }
        assert_eq!(ignored("file:/etc/friends"), Some(Ignored::File("/etc/friends")));
        for wrong in [
            "192.168.1.256",
            "192.168.1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::1/129",
            "10.0.0.0/255.0.255.0",
            "/8",
            "host/24",
            "a:b",
            "10.0.0.0/-1",
            "<ip>",
            "192.168.0.0-9",
        ] {
            assert_eq!(ignored(wrong), None, "{wrong}");
        }
    }
}
