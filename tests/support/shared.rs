//! The material of the project that is not in the repository: the corpus and the lab's logs.

use std::path::PathBuf;

/// `$SIPGUARD_SHARED`, `../shared` or `/work/shared`, whichever is there; else says loudly that the test is skipped.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let places = [
        std::env::var_os("SIPGUARD_SHARED").map(PathBuf::from),
        Some(here.join("../shared")),
        Some(PathBuf::from("/work/shared")),
    ];
    let found = places
        .into_iter()
        .flatten()
        .find(|place| place.join("corpus").is_dir());
    if found.is_none() {
        println!("{test}: SKIPPED, there is no shared folder (set SIPGUARD_SHARED)");
    }
    found
}
