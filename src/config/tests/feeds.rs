//! `backend` and `journalmatch`.

use super::*;

/// The jail's feed and the warnings, or the first mistake.
fn said(text: &str, filter: &str) -> String {
    let files = [
        ("/c/jail.local", text.as_bytes()),
        ("/c/filter.d/own.conf", filter.as_bytes()),
    ];
    match read_files(&files) {
        Ok((config, warnings)) => {
            let feeds: Vec<_> = config.jails.iter().map(|jail| jail.feed.name()).collect();
            assert!(
                config
                    .jails
                    .iter()
                    .all(|jail| jail.logpaths.is_empty() == (jail.feed != Feed::Files))
            );
            [feeds.join("; "), warned(&warnings)].join("\n").trim().to_owned()
        }
        Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}

#[track_caller]
fn check(jail: &str, lines: &str, want: &str) {
    let text = format!("[{jail}]\nenabled = true\n{lines}\n");
    assert_eq!(said(&text, ""), want, "{text}");
}

#[test]
fn a_jail_reads_files_the_journal_or_logd() {
    check("asterisk", "", "files");
    for word in ["auto", "polling", "pyinotify", "AUTO", "%(asterisk_backend)s"] {
        check("asterisk", &format!("backend = {word}"), "files");
    }
    check("dropbear", "backend = logread", "logread");
    check("asterisk", "backend = logread\nlogpath = /var/log/x", "logread");
    check(
        "sshd",
        "sshd_backend = systemd\nbackend = %(sshd_backend)s",
        "journal: _COMM=sshd _UID=0 + _COMM=sshd-session _UID=0",
    );
    check("dropbear", "backend = systemd", "journal: _COMM=dropbear _UID=0");
    check(
        "asterisk",
        "backend = systemd",
        "journal: _SYSTEMD_UNIT=asterisk.service",
    );
}

#[test]
fn what_of_the_journal_is_read_is_what_the_jail_or_its_filter_says() {
    let jail = |lines: &str| format!("backend = systemd\njournalmatch = {lines}");
    check(
        "asterisk",
        &jail("_SYSTEMD_UNIT=pbx.service + SYSLOG_IDENTIFIER=asterisk"),
        "journal: _SYSTEMD_UNIT=pbx.service + SYSLOG_IDENTIFIER=asterisk",
    );
    check("asterisk", &jail("A=1 B=2\n  C=3"), "journal: A=1 B=2 + C=3");
    check("asterisk", &jail("A=1 +\n  C=3"), "journal: A=1 + C=3");
    for (wrong, word) in [
        ("--file=/etc/shadow", "--file=/etc/shadow"),
        ("A=1 /usr/sbin/sshd", "/usr/sbin/sshd"),
        ("_COMM='a b'", "_COMM='a"),
        ("a=1", "a=1"),
        ("A=", "A="),
        ("1A=1", "1A=1"),
    ] {
        let want = format!(
            "/c/jail.local:4:{}: journalmatch: \"{word}\" is no match; write FIELD=value, without quotes, and + \
             between groups",
            16 + wrong.find(word).unwrap()
        );
        check("asterisk", &jail(wrong), &want);
    }
    for stray in ["+ A=1", "A=1 +", "A=1 + + B=2"] {
        let column = 16 + stray.find('+').unwrap();
        let want = format!("/c/jail.local:4:{column}: journalmatch: a + stands between two groups");
        check("asterisk", &jail(stray), &want);
    }
    let text = "[own]\nenabled = true\nbackend = systemd\nport = 1\n";
    let filter = "[Definition]\nfailregex = ^bad <HOST>$\n";
    assert_eq!(
        said(text, filter),
        "/c/jail.local: [own] has no journalmatch; write which messages of the journal it reads, such as \
         journalmatch = _SYSTEMD_UNIT=NAME.service"
    );
    let filter = format!("{filter}journalmatch = _SYSTEMD_UNIT=own.service\n");
    assert_eq!(said(text, &filter), "journal: _SYSTEMD_UNIT=own.service");
}

#[test]
fn what_is_no_backend_is_a_mistake() {
    check(
        "asterisk",
        "backend = journal",
        "/c/jail.local:3:11: backend: \"journal\" is none of auto, systemd, logread",
    );
    check(
        "asterisk",
        "backend = systemd[journalpath=/x]",
        "/c/jail.local:3:11: backend: systemd has no options; the journal of this machine is read",
    );
    check(
        "asterisk",
        "journalmatch = A=1",
        "files\n/c/jail.local:1: [asterisk] journalmatch has no effect without backend = systemd",
    );
    let many: String = (0..9)
        .map(|number| {
            format!(
                "[j{number}]\nenabled = true\nfilter = asterisk\nbackend = systemd\njournalmatch = A={number}\n"
            )
        })
        .collect();
    assert_eq!(
        said(&many, ""),
        "/c/jail.local: 9 different parts of the journal; 8 are the limit"
    );
}

#[test]
fn the_description_says_where_lines_come_from() {
    let (config, _) = read("[asterisk]\nenabled = true\nbackend = systemd\n").unwrap();
    let said = describe(&config).to_string();
    assert!(
        said.contains("\n  backend     systemd: the journal, by journalctl      jail.local:3\n"),
        "{said}"
    );
    assert!(
        said.contains("\n  journalmatch _SYSTEMD_UNIT=asterisk.service           built in\n"),
        "{said}"
    );
    let (config, _) = read("[dropbear]\nenabled = true\nbackend = logread\n").unwrap();
    let said = describe(&config).to_string();
    assert!(
        said.contains("\n  backend     logread: logd, by logread -f             jail.local:3\n"),
        "{said}"
    );
}
