//! By which right files can be read that belong to others: as their group, or with CAP_DAC_READ_SEARCH.
//!
//! A log is made again at every rotation, by the same owner in the same directory: what would read today's file
//! reads tomorrow's. So rights are worked out from owner, group and mode of the file and of every directory on the
//! way to it, and an access list (acl(5)) counts for nothing here.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::fmt;

use crate::config::ReadLogs;
use crate::escape::Escaped;

/// A directory or file on the way to what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path, links resolved.
    pub path: String,
    /// A directory is walked through, and watched for its entries: that needs both reading and searching.
    pub is_directory: bool,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The way to one file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The file, or the pattern, as the configuration names it.
    pub path: String,
    /// What is there, from the root on.
    pub nodes: Vec<Node>,
    /// What is not there, or cannot be looked at.
    pub end: End,
    /// What it is for.
    pub role: Role,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A log that was asked for.
    Log,
    /// A log that nobody asked for: it may as well stay missing.
    Guess,
    /// What a reload reads again.
    Configuration,
}

/// Where a way ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At the file.
    File,
    /// Before it: nobody knows whose it will be.
    Missing,
    /// Before it: the system does not say why.
    Unseen,
}

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// User.
    pub uid: u32,
    /// Groups that it is in anyhow.
    pub gids: Vec<u32>,
    /// Whether it can be put into more groups.
    pub may_join: bool,
}

/// What is needed to read everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Supplementary groups, ascending; never root's.
    pub groups: Vec<u32>,
    /// Whether CAP_DAC_READ_SEARCH is kept.
    pub capability: bool,
    /// What cannot be read by groups alone, the first of it.
    pub obstacle: Option<Obstacle>,
}

/// Why groups are not enough to read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The file, as the configuration names it.
    pub path: String,
    /// What it is for.
    pub role: Role,
    /// What is in the way.
    pub why: Why,
}

/// What is in the way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// This is not for anybody whom we may join.
    Closed(Node),
    /// It is not there yet.
    Missing,
    /// We cannot look at it.
    Unseen,
    /// It was tried, and the system refused: an access list, or a security module.
    Refused,
}

/// Finds the least that reads everything.
#[must_use]
pub fn decide(reader: &Reader, ways: &[Way], choice: ReadLogs) -> Access {
    if choice == ReadLogs::Capability {
        return Access {
            capability: true,
            ..Access::default()
        };
    }
    let mut groups = Vec::new();
    if reader.may_join {
        for node in ways.iter().flat_map(|way| &way.nodes) {
            let is_member = reader.gids.contains(&node.gid) || groups.contains(&node.gid);
            if !is_member && node.gid != 0 && !node.is_open(reader.uid, false) && node.is_open_to_group() {
                groups.push(node.gid);
            }
        }
        groups.sort_unstable();
    }
    let is_member = |gid| reader.gids.contains(&gid) || groups.contains(&gid);
    let obstacle = ways.iter().find_map(|way| {
        let closed = way
            .nodes
            .iter()
            .find(|node| !node.is_open(reader.uid, is_member(node.gid)));
        let why = match (closed, &way.end) {
            (Some(node), _) => Why::Closed(node.clone()),
            (None, End::File) => return None,
            (None, End::Unseen) => Why::Unseen,
            (None, End::Missing) if way.role == Role::Guess && way.has_neighbour(ways) => return None,
            (None, End::Missing) => Why::Missing,
        };
        Some(Obstacle {
            path: way.path.clone(),
            role: way.role,
            why,
        })
    });
    let capability = obstacle.is_some() && choice == ReadLogs::Auto;
    if capability {
        // It reads everything: no group is needed beside it.
        groups.clear();
    }
    Access {
        groups,
        capability,
        obstacle,
    }
}

impl Node {
    /// Whether a user may read it. The first class that fits decides, even if a later one could do more.
    fn is_open(&self, uid: u32, is_member: bool) -> bool {
        let class = match (uid == self.uid, is_member) {
            (true, _) => self.mode >> 6,
            (false, true) => self.mode >> 3,
            (false, false) => self.mode,
        };
        class & self.needed() == self.needed()
    }

    fn is_open_to_group(&self) -> bool {
        (self.mode >> 3) & self.needed() == self.needed()
    }

    fn needed(&self) -> u32 {
        if self.is_directory { 0o5 } else { 0o4 }
    }
}

impl Way {
    /// Whether another file of its directory is there: one that comes will be like it.
    fn has_neighbour(&self, ways: &[Way]) -> bool {
        let directory = |way: &Way| {
            way.path
                .rsplit_once('/')
                .map(|(directory, _)| directory.to_owned())
        };
        ways.iter()
            .any(|way| way.end == End::File && directory(way) == directory(self))
    }
}

/// An obstacle in words, with what can be done about it. `names` has the group file.
pub struct Explained<'a> {
    /// What is in the way.
    pub obstacle: &'a Obstacle,
    /// The name of a user.
    pub user_name: &'a dyn Fn(u32) -> String,
    /// The name of a group.
    pub group_name: &'a dyn Fn(u32) -> String,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Obstacle { path, role, why } = self.obstacle;
        let file = Escaped(path.as_bytes());
        match why {
            Why::Closed(node) => {
                let (user, group) = ((self.user_name)(node.uid), (self.group_name)(node.gid));
                let mode = node.mode & 0o7777;
                let shown = Escaped(node.path.as_bytes());
                if node.path == *path {
                    write!(f, "{file} is {user}:{group} {mode:04o}")?;
                } else {
                    write!(f, "{file} is behind {shown}, {user}:{group} {mode:04o}")?;
                }
                let wanted = if node.is_directory { "g+rx" } else { "g+r" };
                write!(
                    f,
                    "; let a group other than root read it (chgrp GROUP {shown}; chmod {wanted} {shown})"
                )?;
                if node.is_directory || *role == Role::Configuration {
                    Ok(())
                } else {
                    f.write_str(", and so where it is rotated")
                }
            }
            Why::Missing => write!(
                f,
                "{file} is not there yet, so nobody knows whose it will be; start sipguard after its writer, or write readlogs = groups"
            ),
            Why::Unseen => write!(f, "{file} cannot be looked at"),
            Why::Refused => write!(
                f,
                "{file} cannot be read although owner, group and mode allow it; look for an access list (getfacl)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASTERISK: u32 = 117;
    const ADM: u32 = 4;
    const NOBODY: u32 = 65534;

    /// Directories end with a slash: `/var/log/asterisk/ 117 4 2750`.
    fn way(path: &str, nodes: &[(&str, u32, u32, u32)], end: End) -> Way {
        let node = |&(path, uid, gid, mode): &(&str, u32, u32, u32)| Node {
            path: path.to_owned(),
            is_directory: path.ends_with('/'),
            uid,
            gid,
            mode,
        };
        Way {
            path: path.to_owned(),
            nodes: nodes.iter().map(node).collect(),
            end,
            role: Role::Log,
        }
    }

    fn nobody() -> Reader {
        Reader {
            uid: NOBODY,
            gids: vec![NOBODY],
            may_join: true,
        }
    }

    /// The groups and, if groups are not enough, what is in the way.
    #[track_caller]
    fn check(ways: &[Way], groups: &[u32], obstacle: Option<&Why>) {
        let by_groups = decide(&nobody(), ways, ReadLogs::Groups);
        assert_eq!(by_groups.groups, groups);
        assert!(!by_groups.capability);
        assert_eq!(by_groups.obstacle.as_ref().map(|found| &found.why), obstacle);
        let auto = decide(&nobody(), ways, ReadLogs::Auto);
        assert_eq!(auto.capability, obstacle.is_some());
        assert_eq!(auto.obstacle, by_groups.obstacle);
        if auto.capability {
            assert!(auto.groups.is_empty());
        } else {
            assert_eq!(auto.groups, groups);
        }
    }

    fn messages(directory: (u32, u32, u32), file: (u32, u32, u32)) -> Way {
        let path = "/var/log/asterisk/messages";
        let directories = [("/", 0, 0, 0o755), ("/var/", 0, 0, 0o755)];
        let nodes = [
            ("/var/log/asterisk/", directory.0, directory.1, directory.2),
            (path, file.0, file.1, file.2),
        ];
        way(path, &[directories, nodes].concat(), End::File)
    }

    #[test]
    fn a_log_of_asterisks_is_read_as_its_group() {
        let log = messages((ASTERISK, ASTERISK, 0o750), (ASTERISK, ASTERISK, 0o640));
        check(&[log], &[ASTERISK], None);
        // Debian: the directory gives its group on.
        let log = messages((ASTERISK, ADM, 0o2750), (ASTERISK, ADM, 0o640));
        check(&[log], &[ADM], None);
        let log = messages((ASTERISK, ADM, 0o750), (ASTERISK, ASTERISK, 0o640));
        check(&[log.clone(), log], &[ADM, ASTERISK], None);
        check(&[messages((0, 0, 0o755), (0, 0, 0o644))], &[], None);
    }

    #[test]
    fn what_only_root_may_read_is_an_obstacle() {
        let closed = |path: &str, uid, gid, mode| {
            let [node] = <[Node; 1]>::try_from(way("", &[(path, uid, gid, mode)], End::File).nodes).unwrap();
            Why::Closed(node)
        };
        let path = "/var/log/asterisk/messages";
        let log = messages((0, 0, 0o755), (0, 0, 0o600));
        check(&[log], &[], Some(&closed(path, 0, 0, 0o600)));
        // Not even for its group would we become root's.
        let log = messages((0, 0, 0o755), (0, 0, 0o640));
        check(&[log], &[], Some(&closed(path, 0, 0, 0o640)));
        let log = messages((0, 0, 0o755), (ASTERISK, ASTERISK, 0o600));
        check(&[log], &[], Some(&closed(path, ASTERISK, ASTERISK, 0o600)));
        // To watch a directory is to read it.
        let log = messages((0, 0, 0o711), (0, 0, 0o644));
        check(&[log], &[], Some(&closed("/var/log/asterisk/", 0, 0, 0o711)));
        let log = messages((0, ADM, 0o710), (0, ADM, 0o640));
        check(&[log], &[ADM], Some(&closed("/var/log/asterisk/", 0, ADM, 0o710)));
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let own = messages((NOBODY, 0, 0o500), (NOBODY, 0, 0o400));
        check(&[own], &[], None);
        let locked_out = messages((0, 0, 0o755), (NOBODY, ADM, 0o044));
        assert!(decide(&nobody(), &[locked_out], ReadLogs::Auto).capability);
        // The group that one file needs is the one that another keeps out.
        let needs = messages((0, 0, 0o755), (0, ADM, 0o640));
        let keeps_out = messages((0, 0, 0o755), (0, ADM, 0o604));
        assert!(decide(&nobody(), &[needs, keeps_out], ReadLogs::Auto).capability);
    }

    #[test]
    fn a_log_that_is_not_there_may_be_anybodys() {
        let directory = [("/var/log/asterisk/", 0, 0, 0o755)];
        let mut missing = way("/var/log/asterisk/security", &directory, End::Missing);
        check(std::slice::from_ref(&missing), &[], Some(&Why::Missing));
        let log = messages((0, 0, 0o755), (ASTERISK, ASTERISK, 0o640));
        check(&[missing.clone(), log.clone()], &[ASTERISK], Some(&Why::Missing));
        // But for one that was only guessed, if there is another.
        missing.role = Role::Guess;
        check(&[missing.clone(), log], &[ASTERISK], None);
        check(&[missing], &[], Some(&Why::Missing));
        check(&[way("/x", &[], End::Unseen)], &[], Some(&Why::Unseen));
    }

    #[test]
    fn who_cannot_join_a_group_needs_the_capability() {
        let log = messages((ASTERISK, ASTERISK, 0o750), (ASTERISK, ASTERISK, 0o640));
        let mut reader = Reader {
            may_join: false,
            ..nobody()
        };
        assert!(decide(&reader, std::slice::from_ref(&log), ReadLogs::Auto).capability);
        reader.gids.push(ASTERISK);
        assert_eq!(decide(&reader, &[log], ReadLogs::Auto), Access::default());
    }

    #[test]
    fn the_capability_may_be_asked_for() {
        let access = decide(&nobody(), &[], ReadLogs::Capability);
        assert!(access.capability && access.groups.is_empty() && access.obstacle.is_none());
    }

    #[test]
    fn an_obstacle_says_what_to_change() {
        let log = messages((0, 0, 0o755), (0, 0, 0o600));
        let access = decide(&nobody(), &[log], ReadLogs::Auto);
        let explained = Explained {
            obstacle: &access.obstacle.unwrap(),
            user_name: &|_| "root".to_owned(),
            group_name: &|_| "root".to_owned(),
        };
        assert_eq!(
            explained.to_string(),
            "/var/log/asterisk/messages is root:root 0600; let a group other than root read it \
             (chgrp GROUP /var/log/asterisk/messages; chmod g+r /var/log/asterisk/messages), and so where it is rotated"
        );
    }
}
