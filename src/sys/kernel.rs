//! Which kernel we run on, for the few things that it does differently without saying so.

use std::fs;

/// Whether the running kernel is that version or a later one. `false` if it does not say.
#[must_use]
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|release| is_at_least(&release, major, minor))
}

fn is_at_least(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(a)), Some(Ok(b))) => (a, b) >= (major, minor),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn versions_are_compared_by_number() {
        let check = |release, want| assert_eq!(is_at_least(release, 6, 12), want, "{release}");
        check("6.12.0\n", true);
        check("6.18.44-fc-v669", true);
        check("7.2.1", true);
        check("10.0", true);
        check("6.12-rc1", true);
        check("6.9.1", false);
        check("5.15.167", false);
        check("6", false);
        check("", false);
        check("x6.18", false);
    }
}
