//! Tables of both families, put together and taken apart.

use super::edit::Row;
use super::entry::{HAS_PROTOCOL, RETURN, V4, V6, error, rule_entry, standard};
use super::*;
use crate::wire::nft::{Family, Limit};

/// A table as the kernel gives it: PREROUTING with a jump to a user's chain and one that falls
/// through, OUTPUT, and the user's chain.
fn table(family: Family) -> (Info, Vec<u8>) {
    let accept = -2;
    let plain = |verdict| standard(family, &[], None, verdict);
    let one = plain(0).len() as i32;
    let chain = 5 * one + error(family, "").len() as i32;
    let row = [
        plain(chain),   // 0: -A PREROUTING -j user
        plain(2 * one), // 1: -A PREROUTING, without a target
        plain(accept),  // 2: policy
        plain(chain),   // 3: -A OUTPUT -j user
        plain(accept),  // 4: policy
        error(family, "user"),
        plain(RETURN),
        error(family, "ERROR"),
    ];
    let at = |entry: i32| u32::try_from(entry * one).unwrap();
    let info = Info {
        valid_hooks: 1 | 1 << 3,
        hook_entry: [at(0), 0, 0, at(3), 0],
        underflow: [at(2), 0, 0, at(4), 0],
        entries: row.len() as u32,
        bytes: row.concat().len() as u32,
    };
    (info, row.concat())
}

const RULES: [Rule; 2] = [
    Rule::Drop(DropRule { set: 3, only: None }),
    Rule::Drop(DropRule {
        set: 4,
        only: Some((17, Some((5060, 5061)))),
    }),
];

fn ours(rules: &[Rule]) -> Chain<'_> {
    Chain {
        name: "sipguard",
        hooks: &[0],
        rules,
    }
}

#[test]
fn our_chain_goes_in_front_and_all_jumps_lead_where_they_led() {
    for family in [Family::V4, Family::V6] {
        let (info, entries) = table(family);
        assert!(!has_chain(family, &entries, &ours(&RULES)));
        let new = with_chain(family, &info, &entries, &ours(&RULES)).unwrap();
        assert!(has_chain(family, &new.entries, &ours(&RULES)));
        assert!(!has_chain(family, &new.entries, &ours(&RULES[..1])));
        let one = info.hook_entry[3] / 3;
        assert_eq!(new.info.valid_hooks, info.valid_hooks);
        assert_eq!(
            new.info.hook_entry,
            [0, 0, 0, 4 * one, 0],
            "OUTPUT moves by our jump"
        );
        assert_eq!(new.info.underflow, [3 * one, 0, 0, 5 * one, 0]);
        assert_eq!(
            new.info.entries,
            info.entries + 5,
            "jump, name, two rules, return"
        );
        assert_eq!(new.info.bytes as usize, new.entries.len());
        let origins: Vec<_> = new
            .origins
            .iter()
            .map(|origin| origin.map_or(-1, |i| i as i32))
            .collect();
        assert_eq!(origins, [-1, 0, 1, 2, 3, 4, 5, 6, -1, -1, -1, -1, 7]);
        let row = Row::parse(family, &new.entries).unwrap().entries;
        let jumps: Vec<_> = row.iter().map(|entry| entry.jump).collect();
        let to = |entry: usize| Some(row[entry].at);
        assert_eq!(jumps[..6], [to(9), to(7), to(3), None, to(7), None]);
    }
}

#[test]
fn putting_it_in_again_changes_nothing_and_taking_it_out_restores_the_table() {
    for family in [Family::V4, Family::V6] {
        let (info, entries) = table(family);
        let once = with_chain(family, &info, &entries, &ours(&RULES)).unwrap();
        let twice = with_chain(family, &once.info, &once.entries, &ours(&RULES)).unwrap();
        assert_eq!((&twice.info, &twice.entries), (&once.info, &once.entries));
        let without = with_chain(family, &twice.info, &twice.entries, &ours(&[])).unwrap();
        assert_eq!((without.info, without.entries), (info, entries));
    }
}

#[test]
fn counters_go_to_the_entries_they_came_from() {
    let (info, entries) = table(Family::V4);
    let new = with_chain(Family::V4, &info, &entries, &ours(&RULES)).unwrap();
    let old: Vec<u8> = (0..info.entries as u8)
        .flat_map(|i| [i + 1; COUNTERS_BYTES])
        .collect();
    let blob = add_counters("raw", &new, &old).unwrap();
    assert_eq!(blob[..4], *b"raw\0");
    assert_eq!(blob[32..36], new.info.entries.to_ne_bytes());
    let firsts: Vec<u8> = blob[ENTRIES_OFFSET..]
        .chunks(COUNTERS_BYTES)
        .map(|counters| counters[0])
        .collect();
    assert_eq!(firsts, [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 8]);
}

#[test]
fn an_entry_is_as_the_headers_lay_it_out() {
    let entry = rule_entry(Family::V4, &RULES[1]);
    assert_eq!(entry[80..82], 17_u16.to_ne_bytes(), "protocol in struct ipt_ip");
    let matches = &entry[V4.bytes..];
    assert_eq!(matches[..2], (aligned(32 + 10) as u16).to_ne_bytes());
    assert_eq!(matches[2..6], *b"udp\0");
    let ports: Vec<u8> = [0, u16::MAX, 5060, 5061]
        .iter()
        .flat_map(|port: &u16| port.to_ne_bytes())
        .collect();
    assert_eq!(matches[32..40], ports, "source and destination, of struct xt_udp");
    let set = &matches[aligned(42)..];
    assert_eq!(set[..2], 80_u16.to_ne_bytes());
    assert_eq!(set[2..6], *b"set\0");
    assert_eq!(set[31], 4, "revision");
    assert_eq!(
        set[32..36],
        [&4_u16.to_ne_bytes()[..], &[1, 2]].concat(),
        "number, dimension, source"
    );
    let target = usize::from(read_u16(&entry, V4.target_offset).unwrap());
    assert_eq!(target, V4.bytes + aligned(42) + 80);
    assert_eq!(entry[target + 32..target + 36], (-1_i32).to_ne_bytes(), "NF_DROP");
    assert_eq!(
        usize::from(read_u16(&entry, V4.next_offset).unwrap()),
        entry.len()
    );

    let entry = rule_entry(Family::V6, &RULES[1]);
    assert_eq!(
        entry[128..130],
        17_u16.to_ne_bytes(),
        "protocol in struct ip6t_ip6"
    );
    assert_eq!(entry[131], HAS_PROTOCOL);
    if ALIGN == 8 {
        assert_eq!(
            (V4.bytes, V6.bytes),
            (112, 168),
            "sizeof struct ipt_entry, ip6t_entry"
        );
    }
}

#[test]
fn a_limit_is_as_the_headers_lay_it_out() {
    let rule = Rule::Limit(LimitRule {
        name: "sipguard-x".into(),
        only: (17, (5060, 5061)),
        limit: Limit {
            per_second: 20,
            burst: 60,
            idle_ms: 4_000,
            sources: 800,
        },
    });
    for (family, layout, mask) in [(Family::V4, &V4, 32), (Family::V6, &V6, 64)] {
        let entry = rule_entry(family, &rule);
        let at = layout.bytes + aligned(32 + 10);
        assert_eq!(entry[at..at + 2], 344_u16.to_ne_bytes(), "32 and 312 bytes");
        assert_eq!(entry[at + 2..at + 12], *b"hashlimit\0");
        assert_eq!(entry[at + 31], 3, "revision");
        let info = &entry[at + 32..at + 344];
        assert_eq!(info[..11], *b"sipguard-x\0");
        assert_eq!(
            info[256..264],
            50_000_u64.to_ne_bytes(),
            "a 20th of a second, in units of XT_HASHLIMIT_SCALE_v2"
        );
        assert_eq!(info[264..272], 60_u64.to_ne_bytes());
        let words: Vec<u8> = [0x14, 100, 800, 1_000, 4_000, 0]
            .iter()
            .flat_map(|word: &u32| word.to_ne_bytes())
            .collect();
        assert_eq!(
            info[272..296],
            words,
            "source and invert, buckets, most, gc, expire, interval"
        );
        assert_eq!(info[296..300], [mask, 0, 0, 0]);
        assert_eq!(info[300..], [0; 12], "padding, and the kernel's pointer");
        assert_eq!(
            usize::from(read_u16(&entry, layout.target_offset).unwrap()),
            at + 344
        );
    }
}

#[test]
fn loopback_is_an_interface_by_its_whole_name() {
    for (family, layout, name, mask) in [(Family::V4, &V4, 16, 48), (Family::V6, &V6, 64, 96)] {
        let entry = rule_entry(family, &Rule::PassLoopback);
        assert_eq!(entry[name..name + 16], *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(entry[mask..mask + 4], [0xff, 0xff, 0xff, 0]);
        assert_eq!(
            usize::from(read_u16(&entry, layout.target_offset).unwrap()),
            layout.bytes
        );
    }
}

#[test]
fn a_table_that_is_not_as_expected_is_left_alone() {
    let (info, entries) = table(Family::V4);
    for bytes in 0..entries.len() {
        // At the border of an entry a prefix is a table, though not one that the kernel would give.
        let _ = with_chain(Family::V4, &info, &entries[..bytes], &ours(&RULES));
    }
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut broken = entries.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = state as usize % broken.len();
            broken[at] = (state >> 24) as u8;
        }
        if let Some(new) = with_chain(Family::V4, &info, &broken, &ours(&RULES)) {
            assert!(new.entries.len() <= broken.len() + 2_000);
        }
        let _ = has_chain(Family::V4, &broken, &ours(&RULES));
    }
    let mut looping = entries.clone();
    looping[V4.next_offset..V4.next_offset + 2].copy_from_slice(&[0, 0]);
    assert_eq!(with_chain(Family::V4, &info, &looping, &ours(&RULES)), None);
}

#[test]
fn the_shape_of_a_table_is_read() {
    let words = [9, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31];
    let mut bytes = table_name("raw").unwrap().to_vec();
    bytes.extend(words.iter().flat_map(|word: &u32| word.to_ne_bytes()));
    let info = Info::parse(bytes.as_slice().try_into().unwrap()).unwrap();
    assert_eq!(info.valid_hooks, 9);
    assert_eq!(info.hook_entry, [10, 11, 12, 13, 14]);
    assert_eq!(info.underflow, [20, 21, 22, 23, 24]);
    assert_eq!((info.entries, info.bytes), (30, 31));
    assert_eq!(table_name(&"x".repeat(32)), None, "no room for its NUL");
}
