//! The lines of recent failures, for the mails and commands of the bans that they lead to.
//!
//! A fixed store: one ring of bytes, one of entries. The oldest go first; a source never has more lines in it than
//! its jail shows (`maxmatches`). Nothing is allocated after the start.

use core::net::IpAddr;
use std::collections::VecDeque;

use ipnet::IpNet;

use crate::guard::JailId;
use crate::limits::{MATCHES_BYTES_MAX, RECENT_BYTES, RECENT_LINE_BYTES_MAX, RECENT_LINES_MAX};

/// Where a line stands in the ring.
#[derive(Clone, Copy, Debug)]
struct Entry {
    source: IpAddr,
    jail: JailId,
    /// The first byte, and how many: a line never goes over the end of the ring.
    at: usize,
    length: usize,
}

/// The store.
pub struct Recent {
    bytes: Vec<u8>,
    /// From oldest to newest.
    entries: VecDeque<Entry>,
    /// Where the next line goes.
    head: usize,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent {
            bytes: vec![0; RECENT_BYTES],
            entries: VecDeque::with_capacity(RECENT_LINES_MAX),
            head: 0,
        }
    }
}

impl Recent {
    /// Keeps the beginning of a line; `most` lines of its source are kept.
    pub fn push(&mut self, source: IpAddr, jail: JailId, line: &[u8], most: u32) {
        if most == 0 {
            return;
        }
        let line = line.get(..RECENT_LINE_BYTES_MAX).unwrap_or(line);
        let same = |entry: &Entry| (entry.source, entry.jail) == (source, jail);
        let count = self.entries.iter().filter(|entry| same(entry)).count();
        if count >= usize::try_from(most).unwrap_or(usize::MAX) {
            // Its bytes come free when the head comes by.
            if let Some(oldest) = self.entries.iter().position(same) {
                self.entries.remove(oldest);
            }
        }
        if self.head + line.len() > self.bytes.len() {
            self.free(self.bytes.len() - self.head);
            self.head = 0;
        }
        self.free(line.len());
        if self.entries.len() >= RECENT_LINES_MAX {
            self.entries.pop_front();
        }
        let (at, length) = (self.head, line.len());
        if let Some(space) = self.bytes.get_mut(at..at + length) {
            space.copy_from_slice(line);
        }
        self.entries.push_back(Entry {
            source,
            jail,
            at,
            length,
        });
        self.head += length;
    }

    /// Lets go of the oldest lines that stand in so many bytes from the head on.
    fn free(&mut self, length: usize) {
        let (from, to) = (self.head, self.head + length);
        while let Some(oldest) = self.entries.front() {
            let overlaps = oldest.at < to && from < oldest.at + oldest.length;
            // An empty line stands nowhere; it goes with those around it.
            let empty = oldest.length == 0 && (from..=to).contains(&oldest.at);
            if !overlaps && !empty {
                return;
            }
            self.entries.pop_front();
        }
    }

    /// The lines of a ban, from oldest to newest: as many of the newest as fit into a message.
    pub fn lines(&self, net: IpNet, jail: JailId) -> impl Iterator<Item = &[u8]> {
        let of_ban = move |entry: &&Entry| entry.jail == jail && net.contains(&entry.source);
        let mut room = MATCHES_BYTES_MAX;
        let newest = self.entries.iter().rev().filter(of_ban);
        let fitting = newest.take_while(|entry| {
            let fits = entry.length + 2 <= room;
            room = room.saturating_sub(entry.length + 2);
            fits
        });
        let count = fitting.count();
        let all = self.entries.iter().filter(of_ban).count();
        let lines = self.entries.iter().filter(of_ban).skip(all - count);
        lines.filter_map(|entry| self.bytes.get(entry.at..entry.at + entry.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAIL: JailId = JailId(3);

    fn addr(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    fn kept(recent: &Recent, number: u32) -> Vec<String> {
        let lines = recent.lines(IpNet::from(addr(number)), JAIL);
        lines
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_source_keeps_its_newest_lines_up_to_its_share() {
        let mut recent = Recent::default();
        for number in 0..5 {
            recent.push(addr(1), JAIL, format!("line {number}").as_bytes(), 3);
            recent.push(addr(2), JAIL, b"other", 3);
            recent.push(addr(1), JailId(4), b"other jail", 3);
        }
        recent.push(addr(9), JAIL, b"none wanted", 0);
        assert_eq!(kept(&recent, 1), ["line 2", "line 3", "line 4"]);
        assert_eq!(kept(&recent, 2).len(), 3);
        assert_eq!(kept(&recent, 9).len(), 0);
    }

    #[test]
    fn the_lines_of_a_network_are_those_of_its_addresses() {
        let mut recent = Recent::default();
        recent.push("2001:db8::1".parse().unwrap(), JAIL, b"a", 5);
        recent.push("2001:db8::2".parse().unwrap(), JAIL, b"b", 5);
        recent.push("2001:db8:1::2".parse().unwrap(), JAIL, b"c", 5);
        let net = "2001:db8::/64".parse().unwrap();
        assert_eq!(recent.lines(net, JAIL).collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn whatever_comes_the_oldest_go_first_and_every_line_is_whole() {
        let mut recent = Recent::default();
        let line = |number: u32| {
            let length = (number as usize * 7919) % 700;
            format!("{number}{}", "x".repeat(length))
        };
        for number in 0..20_000 {
            recent.push(addr(number), JAIL, line(number).as_bytes(), 2);
            assert!(recent.entries.len() <= RECENT_LINES_MAX);
            let first = kept(&recent, number);
            let want = line(number);
            assert_eq!(first, [&want[..want.len().min(RECENT_LINE_BYTES_MAX)]]);
        }
        let mut alive = 0;
        for number in (0..20_000).rev() {
            let lines = kept(&recent, number);
            if lines.is_empty() {
                break;
            }
            assert!(lines[0].starts_with(&number.to_string()));
            alive += 1;
        }
        assert_eq!(alive, recent.entries.len(), "the newest, without a gap");
        assert!(alive > 100, "{alive}");
        assert_eq!(recent.bytes.len(), RECENT_BYTES);
        for _ in 0..2_000 {
            recent.push(addr(1), JAIL, b"", 1_000);
        }
        assert!(recent.entries.len() <= RECENT_LINES_MAX);
    }

    #[test]
    fn a_ban_gets_as_many_lines_as_a_message_holds() {
        let mut recent = Recent::default();
        for _ in 0..40 {
            recent.push(addr(1), JAIL, &[b'x'; 600], 100);
        }
        let bytes: usize = recent
            .lines(IpNet::from(addr(1)), JAIL)
            .map(|line| line.len() + 2)
            .sum();
        assert!(
            (MATCHES_BYTES_MAX - 600..=MATCHES_BYTES_MAX).contains(&bytes),
            "{bytes}"
        );
    }
}
