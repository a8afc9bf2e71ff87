//! How much memory we have.

use std::fs;

/// Memory that is ours alone, in KiB; `None` if the kernel does not say (before Linux 4.5).
#[must_use]
pub fn private_kib() -> Option<u64> {
    private(&fs::read_to_string("/proc/self/status").ok()?)
}

/// `RssAnon: 488 kB` of proc(5).
fn private(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read() {
        let status = "Name:\tx\nVmRSS:\t    3044 kB\nRssAnon:\t     488 kB\nRssFile:\t    2556 kB\n";
        assert_eq!(private(status), Some(488));
        assert_eq!(private("Name:\tx\n"), None);
        assert!(private_kib().is_some_and(|kib| kib > 0));
    }
}
