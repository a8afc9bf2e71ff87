//! The user's mistakes, word for word.

use super::*;

/// The mistakes of the file, as they are printed.
fn check(text: &str, want: &str) {
    match read(text) {
        Ok(_) => panic!("no mistake was found in {text}"),
        Err(error) => assert_eq!(error.to_string(), want, "{text}"),
    }
}

/// The first line of the first mistake in an `[asterisk]` with these lines.
fn check_jail(lines: &str, want: &str) {
    let text = format!("[asterisk]\nenabled = true\n{lines}\n");
    let error = read(&text).expect_err(lines);
    assert_eq!(error.to_string().lines().next(), Some(want), "{lines}");
}

#[test]
fn a_mistake_shows_file_line_column_and_caret() {
    check(
        "[asterisk]\nenabled = true\nbantime = 1x\n",
        "jail.local:3:11: bantime: \"1x\" is not a time; use seconds, 10m, 2h, 7d or -1\n\
         \x20 3 | bantime = 1x\n\
         \x20   |           ^~",
    );
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    check(
        "[DEFAULT]\nmaxretry = many\n[sshd]\nenabled = true\nignoreip = 10.0.0.1\n  10.0.0.256 x\n\
         [asterisk]\n\
         enable = true\nenabled = true\n",
        "jail.local:2:12: maxretry: \"many\" is not a number from 1 to 1000\n\
         \x20 2 | maxretry = many\n\
         \x20   |            ^~~~\n\
         jail.local:6:3: ignoreip: \"10.0.0.256\" is not an address, network or name\n\
         \x20 6 |   10.0.0.256 x\n\
         \x20   |   ^~~~~~~~~~\n\
         jail.local:8:1: there is no key \"enable\"; did you mean enabled?\n\
         \x20 8 | enable = true\n\
         \x20   | ^~~~~~",
    );
    let keys: String = (0..15).map(|n| format!("q{n}q = 1\n")).collect();
    let error = read(&format!("[DEFAULT]\n{keys}")).unwrap_err();
    assert_eq!(error.mistakes().count(), 10);
    assert!(error.to_string().ends_with("\nand 5 more like these"));
}

#[test]
fn a_mistake_in_a_referred_value_is_shown_where_it_is_written() {
    check(
        "[DEFAULT]\naction_ = %(banaction)s[port=\"%(port)s\"]\n[asterisk]\nenabled = true\nport = \
         5060,506x\n\
         action = %(action_)s\n",
        "jail.local:5:13: port: \"506x\" is not a port; use numbers, 5060:5080, or names such as \
         sip and ssh\n\
         \x20 5 | port = 5060,506x\n\
         \x20   |             ^~~~",
    );
}

#[test]
fn odd_bytes_are_escaped_and_the_caret_stands_right() {
    check(
        "[asterisk]\nenabled = true\nlogpath = /é/\u{1b}[2J l\n",
        "jail.local:3:19: logpath: \"l\" is not a path from the root; begin it with /\n\
         \x20 3 | logpath = /\\xc3\\xa9/\\x1b[2J l\n\
         \x20   |                             ^",
    );
}

#[test]
fn long_lines_are_cut_around_the_mistake() {
    let text = format!(
        "[asterisk]\nenabled = true\nignoreip = {}{}\n",
        "10.0.0.1 ".repeat(50),
        "x/".repeat(500)
    );
    let error = read(&text).unwrap_err().to_string();
    assert!(error.lines().all(|line| line.len() < 150), "{error}");
    assert!(error.starts_with("jail.local:3:462: ignoreip: \"x/x/"), "{error}");
}

#[test]
fn unknown_keys_are_refused_and_the_nearest_is_named() {
    let bare = |key: &str, say: &str| check_jail(&format!("{key} = 1"), &format!("jail.local:3:1: {say}"));
    bare("logpaht", "there is no key \"logpaht\"; did you mean logpath?");
    bare(
        "max_retry",
        "there is no key \"max_retry\"; did you mean maxretry?",
    );
    bare("ban_time", "there is no key \"ban_time\"; did you mean bantime?");
    bare(
        "ignore_ip",
        "there is no key \"ignore_ip\"; did you mean ignoreip?",
    );
    bare(
        "wombat",
        "there is no key \"wombat\", and no value refers to it as %(wombat)s",
    );
    bare(
        "maxbans",
        "maxbans: there is one for all jails; put it in [DEFAULT]",
    );
    let say =
        "\"sendmail-whois[name\" looks like one more action; indent the line, so that it continues the list";
    bare("sendmail-whois[name", say);
}

#[test]
fn values_that_cannot_be_read() {
    for (line, want) in [
        (
            "enabled = maybe",
            "2:11: enabled: \"maybe\" is neither true nor false",
        ),
        (
            "maxretry = 0",
            "3:12: maxretry: \"0\" is not a number from 1 to 1000",
        ),
        (
            "maxretry = -1",
            "3:12: maxretry: \"-1\" is not a number from 1 to 1000",
        ),
        (
            "maxretry = 5 times",
            "3:12: maxretry: \"5 times\" is not a number from 1 to 1000",
        ),
        (
            "maxretry =",
            "3:11: maxretry: \"\" is not a number from 1 to 1000",
        ),
        (
            "findtime = -1",
            "3:12: findtime: \"-1\" is not a time; use seconds, 10m, 2h or 7d",
        ),
        (
            "findtime = 0",
            "3:12: findtime: \"0\" is too short; use seconds, 10m, 2h or 7d",
        ),
        (
            "bantime = 11y",
            "3:11: bantime: \"11y\" is too long; use seconds, 10m, 2h, 7d or -1",
        ),
        (
            "bantime = -5",
            "3:11: bantime: \"-5\" is not a time; use seconds, 10m, 2h, 7d or -1",
        ),
        (
            "bantime = %(nothing)s",
            "3:11: bantime: there is no nothing in [asterisk] or [DEFAULT]",
        ),
        (
            "filter = asterik",
            "3:10: filter: there is no \"asterik\"; did you mean asterisk?",
        ),
        (
            "filter = ssh",
            "3:10: filter: there is no \"ssh\"; did you mean sshd?",
        ),
        ("logpath =", "3:10: logpath: 0 paths; name 1 to 32"),
        (
            "logpath = messages",
            "3:11: logpath: \"messages\" is not a path from the root; begin it with /",
        ),
        (
            "protocol = icmp\nport = 1",
            "3:12: protocol: \"icmp\" is not known; use tcp, udp, tcp,udp or all",
        ),
        (
            "ignoreip = 10.0.0.0/33",
            "3:12: ignoreip: \"10.0.0.0/33\" is not an address, network or name",
        ),
        (
            "action = iptables[port=",
            "3:24: action: after the value of port comes a comma or ]",
        ),
        (
            "action = iptables[",
            "3:18: action: options are [key=value, key=\"value, with comma\"], closed by ]",
        ),
        (
            "action = iptables[port]",
            "3:19: action: options are [key=value, key=\"value, with comma\"], closed by ]",
        ),
        (
            "action = iptables[port=\"1]",
            "3:24: action: the value of port is not closed by \"",
        ),
        (
            "action = iptables[a=\"1\" b=\"2\"]",
            "3:22: action: after the value of a comes a comma or ]",
        ),
        (
            "action = iptables, ufw",
            "3:18: action: use name or name[key=value, …], one action a line",
        ),
        (
            "action = iptables[port=sshh]",
            "3:24: port: \"sshh\" is not a port; use numbers, 5060:5080, or names such as sip and ssh",
        ),
        (
            "action = iptables[port=\"\"]",
            "3:25: port: nothing is named; write 5060,5061, or 0:65535 for every port",
        ),
        (
            "action = iptables[protocol=x]",
            "3:28: protocol: \"x\" is not known; use tcp, udp, tcp,udp or all",
        ),
    ] {
        if line.starts_with("enabled") {
            let error = read(&format!("[asterisk]\n{line}\n")).unwrap_err().to_string();
            assert_eq!(error.lines().next(), Some(format!("jail.local:{want}").as_str()));
        } else if line.starts_with("protocol") {
            check_jail(&format!("{line}\naction = ufw-x"), &format!("jail.local:{want}"));
        } else {
            check_jail(line, &format!("jail.local:{want}"));
        }
    }
}

#[test]
fn the_programs_settings_have_ranges() {
    for (line, want) in [
        (
            "ring = 10",
            "2:8: ring: \"10\" is not a number from 64 to 1048576",
        ),
        (
            "maxbans = 0",
            "2:11: maxbans: \"0\" is not a number from 1 to 1048576",
        ),
        (
            "ipv6prefix = 129",
            "2:14: ipv6prefix: \"129\" is not a number from 32 to 128",
        ),
        (
            "firewall = iptables",
            "2:12: firewall: \"iptables\" is none of auto, nftables, ipset",
        ),
        (
            "readlogs = yes",
            "2:12: readlogs: \"yes\" is none of auto, groups, capability",
        ),
        (
            "user = me you",
            "2:8: user: \"me you\" is not the name of one user",
        ),
        (
            "dbfile = bans",
            "2:10: dbfile: \"bans\" is not a path from the root; begin it with /",
        ),
        (
            "dbshort = tmp/bans",
            "2:11: dbshort: \"tmp/bans\" is not a path from the root; begin it with /",
        ),
        (
            "bantime.increment = 1\nbantime.factor = -1",
            "3:18: bantime.factor: \"-1\" is not a number above 0; use 1, 2 or 1.5",
        ),
        (
            "bantime.increment = 1\nbantime.multipliers = 1 x",
            "3:25: bantime.multipliers: \"x\" is not a number; use 1 2 4 8",
        ),
        (
            "bantime.increment = 1\nbantime.formula = ban.Time * 3",
            "3:19: bantime.formula: only the two formulas of fail2ban's jail.conf are known, others are Python; \
             write the steps as bantime.multipliers = 1 2 4 8",
        ),
        ("onstop = stay", "2:10: onstop: \"stay\" is none of keep, remove"),
        (
            "dbpurgeage = soon",
            "2:14: dbpurgeage: \"soon\" is not a time; use seconds, 10m, 2h, 7d or -1",
        ),
        (
            "socket = run/x",
            "2:10: socket: \"run/x\" is not a path from the root; begin it with /",
        ),
        (
            &format!("socket = /{}", "x".repeat(107)),
            "2:10: socket: the path of a socket has at most 107 bytes",
        ),
    ] {
        let error = read(&format!("[DEFAULT]\n{line}\n")).expect_err(line).to_string();
        assert_eq!(error.lines().next(), Some(format!("jail.local:{want}").as_str()));
    }
}

#[test]
fn no_half_a_guard() {
    let none = "jail.local: no jail is enabled; write enabled = true in a section, such as [asterisk]";
    check("[asterisk]\n", none);
    check("[asterisk]\nenabled = false\n[sshd]\nenabled = no\n", none);
    check("[DEFAULT]\nenabled = false\n", none);
    check(
        "[nginx-http-auth]\nenabled = true\n",
        "jail.local: no enabled jail has a filter that is in force; enable [asterisk]",
    );
    check(
        "[gate]\nenabled = true\nfilter = asterisk\n",
        "jail.local: [gate] has no logpath; name the log files it reads",
    );
    check(
        "[DEFAULT]\nring = 64\nmaxretry = 65\n",
        "jail.local: ring: 64 is too small for the maxretry 65 of [asterisk]",
    );
}

#[test]
fn bounds_are_told() {
    let many: String = (0..33)
        .map(|n| format!("[j{n}]\nenabled=1\nfilter=asterisk\nlogpath=/l\n"))
        .collect();
    check(&many, "jail.local: 33 jails are enabled; 32 are the limit");
    let many: String = (0..17)
        .map(|n| format!("[j{n}]\nenabled=1\nfilter=asterisk\nlogpath=/l /m\n"))
        .collect();
    check(&many, "jail.local: 34 log files in all jails; 32 are the limit");
    check_jail(
        &format!("ignoreip = {}", "10.0.0.1 ".repeat(4_097)),
        "jail.local:3:36876: ignoreip: more than 4096 entries; join them into networks",
    );
    let ports: Vec<String> = (0..33).map(|n| format!("{}", 2 * n + 10)).collect();
    check_jail(
        &format!("port = {}", ports.join(",")),
        "jail.local:3:8: port: 33 ranges; 32 are the limit",
    );
    let name = "long".repeat(17);
    let want = format!(
        "jail.local:1:2: \"{}...\" cannot be a jail's name; use up to 64 letters, digits, dots, - and _",
        &name[..60]
    );
    let text = format!("[{name}]\nenabled = true\n");
    assert_eq!(
        read(&text).unwrap_err().to_string().lines().next(),
        Some(want.as_str())
    );
    let keys: String = (0..4_100).map(|n| format!("k{n}=1\n")).collect();
    let error = read(&format!("[DEFAULT]\n{keys}")).unwrap_err().to_string();
    assert!(
        error.contains("4097:1: more than 4096 keys and sections"),
        "{error}"
    );
    let error = read(&"#".repeat(300_000)).unwrap_err().to_string();
    assert_eq!(
        error,
        "jail.local:1:1: the file has 300000 bytes; 262144 are the limit"
    );
}

#[test]
fn an_included_file_that_cannot_be_read_is_a_mistake() {
    let error = load(Path::new("/c/jail.local"), &mut |path| match path.to_str() {
        Some("/c/jail.local") => Ok(b"[INCLUDES]\nafter = more.conf\n".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "/c/jail.local:2:9: cannot read /c/more.conf: permission denied\n\
         \x20 2 | after = more.conf\n\
         \x20   |         ^~~~~~~~~"
    );
}
