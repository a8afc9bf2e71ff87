//! The filters in `tests/data/filter.d`: what people use beside Asterisk's, in our own words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr
)]

#[path = "support/filters.rs"]
#[allow(dead_code)]
mod filters;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

#[test]
fn every_sample_line_counts_against_whom_it_should() {
    let samples = filters::samples(&format!("{FOLDER}/filter.d/samples.txt"));
    assert!(samples.len() > 20);
    for [filter, want, line] in &samples {
        let reader = filters::reader(FOLDER, filter);
        assert_eq!(filters::counted(&reader, line), *want, "{filter}: {line}");
    }
}
