//! passwd(5) and group(5), read by ourselves: a static program has no name service, and a router has only files.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::escape::Escaped;

/// A user who may run programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number of the user.
    pub uid: u32,
    /// Number of its own group.
    pub gid: u32,
}

/// The user of this name. The first entry counts, as with the C library.
#[must_use]
pub fn user(passwd: &[u8], name: &str) -> Option<User> {
    fields(passwd).find_map(|mut fields| {
        (fields.next()? == name.as_bytes()).then_some(())?;
        let _password = fields.next()?;
        Some(User {
            name: name.to_owned(),
            uid: number(fields.next()?)?,
            gid: number(fields.next()?)?,
        })
    })
}

/// The number of the group of this name.
#[must_use]
pub fn group(group: &[u8], name: &str) -> Option<u32> {
    fields(group).find_map(|mut fields| {
        (fields.next()? == name.as_bytes()).then_some(())?;
        let _password = fields.next()?;
        number(fields.next()?)
    })
}

/// The name of this user, or its number if it has none.
#[must_use]
pub fn user_name(passwd: &[u8], uid: u32) -> String {
    name(passwd, uid)
}

/// The name of this group, or its number if it has none.
#[must_use]
pub fn group_name(group: &[u8], gid: u32) -> String {
    name(group, gid)
}

/// In both files the name comes first and the number third.
fn name(file: &[u8], wanted: u32) -> String {
    let found = fields(file).find_map(|mut fields| {
        let name = fields.next()?;
        let _password = fields.next()?;
        (number(fields.next()?)? == wanted && !name.is_empty()).then(|| Escaped(name).to_string())
    });
    found.unwrap_or_else(|| wanted.to_string())
}

fn fields(file: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    file.split(|&byte| byte == b'\n')
        .map(|line| line.split(|&byte| byte == b':'))
}

/// All but `(uid_t) -1`, which means "leave it as it is" to the kernel.
fn number(digits: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(digits).ok()?;
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits_only.then(|| text.parse().ok()).flatten()?;
    (number != u32::MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/ash\n\
        # a comment\n\
        broken:x:abc:5::\n\
        short:x:12\n\
        minus:x:-1:1::\n\
        nothing:x:4294967295:1::\n\
        huge:x:4294967296:1::\n\
        plus:x:+7:1::\n\
        nobody:*:65534:65533:nobody:/var:/bin/false\n\
        nobody:*:1:1:another:/var:/bin/false\n\
        bare:x:7:8";

    fn check(name: &str, want: Option<(u32, u32)>) {
        let found = user(PASSWD, name).map(|user| (user.uid, user.gid));
        assert_eq!(found, want, "{name}");
    }

    #[test]
    fn users_are_found_by_name_and_the_first_counts() {
        check("root", Some((0, 0)));
        check("nobody", Some((65534, 65533)));
        check("bare", Some((7, 8)));
        for name in [
            "",
            "nob",
            "nobody2",
            "short",
            "broken",
            "minus",
            "nothing",
            "huge",
            "plus",
            "# a comment",
        ] {
            check(name, None);
        }
        assert_eq!(user(b"", "root"), None);
        assert_eq!(
            user(b":x:5:6::\n", ""),
            Some(User {
                name: String::new(),
                uid: 5,
                gid: 6
            })
        );
    }

    #[test]
    fn numbers_have_names_or_stay_numbers() {
        let group = b"root:x:0:\nadm:x:4:syslog,me\n:x:9:\nbad\x1b[31m:x:11:\n";
        for (gid, want) in [(0, "root"), (4, "adm"), (9, "9"), (10, "10")] {
            assert_eq!(group_name(group, gid), want);
        }
        assert_eq!(
            [self::group(group, "adm"), self::group(group, "ad")],
            [Some(4), None]
        );
        assert!(!group_name(group, 11).contains('\x1b'));
        assert_eq!(user_name(PASSWD, 65534), "nobody");
        assert_eq!(user_name(PASSWD, 5), "5");
    }
}
