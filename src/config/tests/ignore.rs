//! Who is never banned: names, files, `ignorecommand`; and what becomes of names in lines.

use super::*;

fn jail(lines: &str) -> Jail {
    let (config, warnings) = read(&format!("[asterisk]\nenabled = true\n{lines}\n")).unwrap();
    assert_eq!(warned(&warnings), "", "{lines}");
    config.jails.into_iter().next().unwrap()
}

fn wrong(lines: &str) -> String {
    let error = read(&format!("[asterisk]\nenabled = true\n{lines}\n")).unwrap_err();
    error.to_string().lines().next().unwrap().to_owned()
}

#[test]
fn names_and_addresses_may_be_mixed() {
    let jail = jail("ignoreip = 10.0.0.1 Phone.Example.ORG., 2001:db8::/32\n  a.example phone.example.org");
    assert_eq!(jail.ignorenames, ["a.example", "phone.example.org"]);
    assert_eq!(jail.ignoreip.len(), 2);
}

#[test]
fn more_names_than_can_be_looked_up_are_refused() {
    let names: Vec<String> = (0..65).map(|number| format!("n{number}.example")).collect();
    assert_eq!(
        wrong(&format!("ignoreip = {}", names.join(" "))),
        "jail.local: ignoreip: 65 names in all jails; 64 are the limit"
    );
}

#[test]
fn lists_may_stand_in_files() {
    let main = "[asterisk]\nenabled = true\nignoreip = file:/etc/friends 10.0.0.1\n";
    let read = |list: &[u8]| read_files(&[("jail.local", main.as_bytes()), ("/etc/friends", list)]);
    let (config, _) = read(b"# phones\n192.0.2.1, 192.0.2.2 ; mine\n\nphone.example\n").unwrap();
    assert_eq!(config.jails[0].ignoreip.len(), 3);
    assert_eq!(config.jails[0].ignorenames, ["phone.example"]);
    let error = read(b"a\n\n1.2.3.4.5\n").unwrap_err().to_string();
    assert!(
        error.starts_with("jail.local:3:12: /etc/friends:3: \"1.2.3.4.5\" is not an address"),
        "{error}"
    );
    assert!(read(&[0xff]).unwrap_err().to_string().contains("is not UTF-8"));
    assert!(
        wrong("ignoreip = file:/etc/absent")
            .starts_with("jail.local:3:12: ignoreip: /etc/absent cannot be read")
    );
}

#[test]
fn the_command_is_run_without_a_shell_where_it_can() {
    let shown = |lines: &str| {
        let command = jail(lines).ignorecommand.unwrap();
        (command.script.lines().collect::<String>(), command.cache)
    };
    assert_eq!(
        shown("ignorecommand = /usr/bin/is-friend <ip> --jail x"),
        ("/usr/bin/is-friend <ip> --jail x".to_owned(), None)
    );
    let cached = |count, seconds| Some(IgnoreCache { count, seconds });
    let key = "ignorecache = key=\"<F-USER>@<ip-host>\"";
    let command = "ignorecommand = %(ignorecommands_dir)s/bot <ip>";
    assert_eq!(
        shown(&format!("{command}\n{key}, max-count=50, max-time=1h")),
        (
            "/etc/fail2ban/filter.d/ignorecommands/bot <ip>".to_owned(),
            cached(50, 3_600)
        )
    );
    assert_eq!(shown(&format!("{command}\n{key}")).1, cached(100, 300));
    assert_eq!(
        shown("ignorecommand = grep -q <ip> /l || exit 1").0,
        "sh -c: grep -q \"${SIPGUARD_ip}\" /l || exit 1"
    );
    assert_eq!(jail("ignorecommand =\nignorecache =").ignorecommand, None);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    for (lines, want) in [
        (
            "ignorecommand = a <F-USER>",
            "3:17: ignorecommand: <F-USER> is not known here; <ip> has the address",
        ),
        (
            "ignorecommand = a <family>",
            "3:17: ignorecommand: <family> is not known here; <ip> has the address",
        ),
        (
            "ignorecommand = a <matches>",
            "3:17: ignorecommand: <matches> is not known here; <ip> has the address",
        ),
        (
            "ignorecommand = a\n  b",
            "3:17: ignorecommand: one command; join several by && or ||, or write a program",
        ),
        (
            "ignorecommand = a <ip>\nignorecache = max-count=0",
            "4:15: ignorecache: max-count: write 1 to 4096",
        ),
        (
            "ignorecommand = a <ip>\nignorecache = key=\"x\"",
            "4:15: ignorecache: key: an answer is kept for an address; write key=\"<ip>\"",
        ),
        (
            "ignorecommand = a <ip>\nignorecache = ten",
            "4:15: ignorecache: write key=\"<ip>\", max-count=100, max-time=5m",
        ),
        (
            "ignorecommand = a <ip>\nignorecache = size=10",
            "4:15: ignorecache: there is no size; there are key, max-count, max-time",
        ),
        (
            "usedns = maybe",
            "3:10: usedns: \"maybe\" is none of no, raw, warn, yes",
        ),
    ] {
        assert_eq!(wrong(lines), format!("jail.local:{want}"), "{lines}");
    }
}

#[test]
fn names_in_lines_matter_only_where_a_filter_can_find_them() {
    let check = |lines: &str, want: UseDns| assert_eq!(jail(lines).usedns, want, "{lines}");
    check("usedns = yes", UseDns::No);
    check("usedns = warn\nfailregex = ^x from <ADDR>$", UseDns::No);
    check("usedns = warn\nfailregex = ^x from <HOST>$", UseDns::Warn);
    let (config, warnings) =
        read("[asterisk]\nenabled = 1\nusedns = yes\nfailregex = ^x from <HOST>$\n").unwrap();
    assert_eq!(config.jails[0].usedns, UseDns::Yes);
    assert!(warned(&warnings).starts_with("jail.local:3: usedns = yes: whoever owns a name"));
    check("usedns = raw\nfailregex = ^x from <HOST>$", UseDns::No);
    check("failregex = ^x from <HOST>$", UseDns::No);
}

#[test]
fn the_level_of_the_log_is_fail2bans() {
    let check = |text: &str, want: LogLevel| {
        let (config, _) = read(&format!(
            "[Definition]\nloglevel = {text}\n[asterisk]\nenabled = true\n"
        ))
        .unwrap();
        assert_eq!(config.loglevel, Some(want), "{text}");
    };
    check("CRITICAL", LogLevel::Error);
    check("warning", LogLevel::Warning);
    check("NOTICE", LogLevel::Info);
    check("INFO", LogLevel::Info);
    check("HEAVYDEBUG", LogLevel::Debug);
    assert!(wrong("[DEFAULT]\nloglevel = LOUD").contains("loglevel: \"LOUD\" is none of"));
}

#[test]
fn the_description_says_who_is_asked_what() {
    let text = "[asterisk]\nenabled = true\nignoreip = 10.0.0.1 a.example\nignorecommand = friend <ip>\n\
        ignorecache = key=\"<ip>\"\nusedns = warn\nfailregex = ^x from <HOST>$\nbantime.unproven = 5m\n";
    let (config, _) = read(text).unwrap();
    let shown = describe(&config).to_string();
    for line in [
        "  bantime.unproven 5m at most, if unproven                  jail.local:8",
        "  ignoreip    10.0.0.1/32                              jail.local:3",
        "  ignoreip    a.example, looked up every 5m            jail.local:3",
        "  ignorecommand asked before a ban, as nobody, at most 10 s: jail.local:4\n    friend <ip>",
        "  ignorecache 100 answers, for 5m                      jail.local:5",
        "  usedns      names in lines support other evidence    jail.local:6",
    ] {
        assert!(shown.contains(&format!("\n{line}\n")), "{line}\n{shown}");
    }
}
