//! What a filter of the user's own costs for each line: no memory, and time in proportion to the line.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr
)]

#[path = "support/filters.rs"]
#[allow(dead_code)]
mod filters;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use sipguard::filter::Proof;
use sipguard::filter::custom::{Custom, Dates, Definition, Pattern, Role};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Counts what the test's own thread asks for.
struct Counting;

// SAFETY: hands everything on to the system's allocator; the counter is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Lines like the samples, with their words in another order, cut, doubled or not UTF-8.
fn variants(line: &str, seed: u64) -> Vec<Vec<u8>> {
    let mut random = seed | 1;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % limit.max(1)
    };
    (0..40)
        .map(|_| {
            let mut bytes = line.as_bytes().to_vec();
            for _ in 0..below(4) {
                let (from, to) = (below(bytes.len()), below(bytes.len()));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                let at = below(bytes.len());
                match below(3) {
                    0 => drop(bytes.splice(at..at, piece)),
                    1 => drop(bytes.drain(from.min(to)..from.max(to))),
                    _ if !bytes.is_empty() => bytes[at] = u8::try_from(below(256)).unwrap(),
                    _ => {}
                }
            }
            bytes.retain(|&byte| byte != b'\n');
            bytes
        })
        .collect()
}

#[test]
fn reading_a_line_allocates_nothing() {
    let samples = filters::samples(&format!("{FOLDER}/filter.d/samples.txt"));
    let mut by_filter: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for (number, [filter, _, line]) in samples.iter().enumerate() {
        let lines = by_filter.entry(filter).or_default();
        lines.push(line.as_bytes().to_vec());
        lines.extend(variants(line, 0x5eed_0000 + number as u64));
    }
    let context = filters::context();
    for (filter, lines) in by_filter {
        let reader = filters::reader(FOLDER, filter);
        let mut failures = 0;
        let allocations = counted(|| {
            for line in &lines {
                let reading = reader.read(line, &context);
                failures += u32::from(reading != sipguard::filter::Reading::Nothing);
            }
        });
        assert!(failures > 0, "{filter}");
        assert_eq!(allocations, 0, "{filter}: {} lines", lines.len());
    }
}

#[test]
fn an_expression_that_would_explode_elsewhere_takes_time_in_proportion_to_the_line() {
    // In a matcher that steps back, each of these needs more steps for 8 KiB than the universe has seconds.
    let expressions = [
        "^(a+)+$ <HOST>",
        "^(a|a)*b <HOST>",
        "(?:a?){60}a{60}b <HOST>",
        "(.*)(.*)(.*)(.*)x <HOST>",
    ];
    for expression in expressions {
        let custom = Custom::new(Rc::new(Definition {
            name: String::new(),
            prefix: None,
            fail: vec![Pattern::new(expression, Role::Fail).unwrap()],
            ignore: Vec::new(),
            dates: Dates::none(),
            proof: Proof::Blind,
        }));
        let mut line = vec![b'a'; 8_000];
        line.extend(b"$ b x  192.0.2.7 x 192.0.2.7 c");
        let _ = custom.read(&line, &filters::context());
    }
}
