//! What jails amount to: small cases, one line each.

use super::*;
use crate::config::ReadLogs;

/// `[name]` with these lines below its `enabled`, and what its actions block, with the warnings.
fn check(name: &str, lines: &str, want: &str) {
    let text = format!("[{name}]\nenabled = true\n{lines}\n");
    let (config, warnings) = match read(&text) {
        Ok(read) => read,
        Err(error) => panic!("{text}\n{error}"),
    };
    let blocks: Vec<String> = config.jails[0].blocks.iter().map(Block::to_string).collect();
    let mut got = blocks.join("; ");
    for warning in &warnings {
        got = format!("{got}\n{}", warning.what);
    }
    assert_eq!(got, want, "{text}");
}

const SIP: &str = "drops tcp and udp to port 5060-5061";
const ALL: &str = "drops everything from the source";

#[test]
fn what_the_kernel_blocks() {
    check("asterisk", "", SIP);
    check("sshd", "", "drops tcp to port 22");
    check("ssh", "", "drops tcp to port 22");
    check("dropbear", "port = 22,2222", "drops tcp to port 22,2222");
    check(
        "asterisk",
        "port = 5060:5080",
        "drops tcp and udp to port 5060-5080",
    );
    check("asterisk", "port = all", "drops tcp and udp to every port");
    check(
        "asterisk",
        "banaction = iptables-allports",
        "drops tcp and udp to every port",
    );
    check(
        "asterisk",
        "banaction = %(banaction_allports)s",
        "drops tcp and udp to every port",
    );
    check(
        "asterisk",
        "banaction = nftables[type=allports]",
        "drops tcp and udp to every port",
    );
    check("asterisk", "banaction = nftables-multiport", SIP);
    check(
        "asterisk",
        "banaction = iptables-ipset-proto6-allports",
        "drops tcp and udp to every port",
    );
    check(
        "asterisk",
        "banaction = firewallcmd-ipset[actiontype=<allports>]",
        SIP,
    );
    check("asterisk", "action = %(action_)s", SIP);
    check(
        "asterisk",
        "action = iptables-asterisk[name=ASTERISK, protocol=all]",
        ALL,
    );
    check(
        "asterisk",
        "action = iptables[type=multiport, port=\"5060\", protocol=udp]",
        "drops udp to port 5060",
    );
    check(
        "asterisk",
        "action = iptables[port=5060, protocol=udp][port=5070]",
        "drops udp to port 5070",
    );
    check("asterisk", "action = nftables [protocol='tcp,udp']", SIP);
    check(
        "asterisk",
        "action = nftables[port=sip,\n  protocol=udp,]",
        "drops udp to port 5060",
    );
    check("asterisk", "action = ufw", ALL);
    check("asterisk", "action = ufw[application=sip]\n  iptables", ALL);
    check(
        "sshd",
        "action = iptables\n\n  iptables[port=5060, protocol=udp]",
        "drops tcp to port 22; drops udp to port 5060",
    );
    check(
        "sshd",
        "action = iptables-allports iptables[protocol=udp]",
        "drops tcp to every port; drops udp to port 22",
    );
    check("sshd", "protocol = tcp,udp", "drops tcp and udp to port 22");
    check("sshd", "protocol = all", ALL);
    check("gate", "filter = sshd\nlogpath = /l", "drops tcp to every port");
    check("asterisk-udp", "", "drops udp to port 5060-5061");
    check("asterisk-iptables", "", SIP);
}

#[test]
fn what_is_accepted_and_not_in_force_is_said() {
    check(
        "asterisk",
        "backend = auto\nignoreself = true\nusedns = no\nchain = FORWARD\nbantime.increment = false",
        SIP,
    );
    for (lines, what) in [
        (
            "ignoreself = false",
            "ignoreself: our own addresses are never banned all the same: one forged packet \
          would cut us off",
        ),
        (
            "logencoding = latin-1",
            "logencoding: lines are read as UTF-8, and what is not stands for one unknown \
          character a byte",
        ),
        (
            "datepattern = %%Y",
            "datepattern: the built-in filter asterisk finds its dates by itself, in every layout",
        ),
        (
            "blocktype = REJECT",
            "blocktype: packets are dropped and not answered: the answer to a forged one would \
          hit somebody else",
        ),
    ] {
        check("asterisk", lines, &format!("{SIP}\n{what}"));
    }
    check(
        "asterisk",
        "usedns = yes\nmaxmatches = 7\nskip_if_nologs = true\nmaxlines = 1\nbantime.unproven = 5m",
        SIP,
    );
    check(
        "asterisk",
        "filter = asterisk[mode=aggressive]",
        &format!("{SIP}\nfilter asterisk has no options; it knows every version and layout by itself"),
    );
    check(
        "asterisk",
        "action = iptables[protocol=tcp]",
        "drops tcp to port 5060-5061\n[asterisk] blocks TCP only, and SIP comes over UDP; write \
         protocol = tcp,udp",
    );
    check(
        "asterisk",
        "logpath = /var/log/asterisk/full",
        &format!(
            "{SIP}\nasterisk's full log holds debug output, which anyone can forge; name messages \
             and security \
                  in logpath"
        ),
    );
}

#[test]
fn a_key_is_warned_of_once_and_only_where_it_matters() {
    let text = "[DEFAULT]\nlogencoding = latin-1\n[asterisk]\nenabled = true\nlogencoding = latin-1\n[sshd]\nenabled \
        = true\nlogencoding = latin-1\n";
    let (_, warnings) = read(text).unwrap();
    let warned = warned(&warnings);
    assert!(
        warned.starts_with("jail.local:2: logencoding: ") && warned.lines().count() == 1,
        "{warned}"
    );
    let (_, warnings) = read("[asterisk]\nenabled = true\n[sshd]\nlogencoding = latin-1\n").unwrap();
    assert_eq!(warnings, [], "a disabled jail needs no warning");
}

#[test]
fn logpaths_are_guessed_only_if_nobody_wrote_them() {
    let check = |lines: &str, paths: &[&str], guessed: bool| {
        let (config, _) = read(&format!("{lines}\n")).unwrap();
        assert_eq!(config.jails[0].logpaths, paths, "{lines}");
        assert_eq!(config.jails[0].logpaths_guessed, guessed, "{lines}");
    };
    let ssh = ["/var/log/auth.log", "/var/log/secure"];
    check("[sshd]\nenabled = 1", &ssh, true);
    check("[sshd]\nenabled = 1\nlogpath = %(sshd_log)s", &ssh, true);
    check("[DEFAULT]\nsshd_log = /l\n[sshd]\nenabled = 1", &["/l"], false);
    check(
        "[DEFAULT]\nsyslog_authpriv = /l\n[dropbear]\nenabled = 1",
        &["/l"],
        false,
    );
    check(
        "[sshd]\nenabled = 1\nlogpath = /a tail\n  /b*  /c head\n\n  /a",
        &["/a", "/b*", "/c"],
        false,
    );
}

#[test]
fn times_and_ignored_networks_reach_the_jail() {
    let text = "[DEFAULT]\nbantime = 1d 12h ; c\nfindtime = 1.5h # c\nignoreip = 10.1.2.3/8, ::1 \
        10.0.0.0/8\n[sshd]\n\
                enabled = 1\n[asterisk]\nenabled = 1\nbantime = -1\nignoreip =\n";
    let (config, _) = read(text).unwrap();
    let [ssh, sip] = config.jails.as_slice() else {
        panic!("two jails");
    };
    assert_eq!((ssh.bantime, ssh.findtime), (Some(129_600), 5_400));
    assert_eq!(
        ssh.ignoreip,
        ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]
    );
    assert_eq!((sip.bantime, sip.ignoreip.len()), (None, 0));
    assert_eq!(sip.origins.get("bantime").unwrap().to_string(), "jail.local:9");
    assert_eq!(sip.origins.get("maxretry"), None);
}

#[test]
fn what_unproven_evidence_brings_can_be_set() {
    let check = |lines: &str, want: (Option<u64>, Reach, bool)| {
        let (config, _) = read(&format!("[asterisk]\nenabled = 1\n{lines}\n")).unwrap();
        let jail = &config.jails[0];
        let got = (jail.bantime_unproven, jail.reach, jail.reaches_by_proof());
        assert_eq!(got, want, "{lines}");
    };
    check("", (None, Reach::Proof, true));
    check(
        "bantime.unproven = 10m\nreach = all",
        (Some(600), Reach::All, false),
    );
    check("reach = Proof", (None, Reach::Proof, true));
    check("[sshd]\nenabled = 1", (None, Reach::Proof, true));
    let (config, _) = read("[sshd]\nenabled = 1\n").unwrap();
    assert!(
        !config.jails[0].reaches_by_proof(),
        "no line of sshd can be forged"
    );
    for wrong in ["reach = some", "bantime.unproven = -1", "bantime.unproven = soon"] {
        assert!(
            read(&format!("[asterisk]\nenabled = 1\n{wrong}\n")).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn bans_of_who_comes_back_grow() {
    let check = |lines: &str, want: &str| {
        let (config, _) = read(&format!("[asterisk]\nenabled = 1\n{lines}\n")).unwrap();
        let text = describe(&config).to_string();
        let shown = text.lines().find(|line| line.contains("bantime.increment"));
        assert!(shown.unwrap_or("").trim().starts_with(want), "{want:?} in {text}");
        config.jails.into_iter().next().unwrap().escalation
    };
    assert_eq!(check("bantime.factor = 2", ""), None);
    let doubling = check(
        "bantime.increment = true",
        "bantime.increment times 1 2 4 8 16 ...",
    )
    .unwrap();
    assert_eq!(
        (doubling.multipliers.len(), doubling.multipliers[20]),
        (21, 1_048_576_000)
    );
    check(
        "bantime.increment = true\nbantime.factor = 1.5\nbantime.maxtime = 5w\nbantime.rndtime = 2h\n\
         bantime.overalljails = true",
        "bantime.increment times 1.500 3 6 12 24 ..., 35d at most, and up to 2h by chance, over all jails",
    );
    check(
        "bantime.increment = true\nbantime.multipliers = 1 5 30.5\nbantime.factor = 2",
        "bantime.increment times 2 10 61",
    );
    check(
        "bantime.increment = true\nbantime.factor = 0.5\nbantime.formula = ban.Time * \
         math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)",
        "bantime.increment times 1 1.648 2.718 4.481 7.389 ...",
    );
}

#[test]
fn files_include_each_other_in_layers() {
    let main =
        b"[INCLUDES]\nbefore = paths.conf no.conf\nafter = over.local\n[DEFAULT]\nmaxretry = 3\n[sshd]\n\
                 enabled = 1\nlogpath = %(known/logpath)s /c\n[Definition]\nring = 100\n";
    let files: [(&str, &[u8]); 3] = [
        ("/etc/jail.local", main),
        (
            "/etc/paths.conf",
            b"[INCLUDES]\nbefore = paths.conf\n[DEFAULT]\nmaxretry = 9\nfindtime = \
            77\n[sshd]\nlogpath = /b\n",
        ),
        ("/etc/over.local", b"[DEFAULT]\nmaxretry = 4\n"),
    ];
    let (config, warnings) = read_files(&files).unwrap();
    let jail = &config.jails[0];
    assert_eq!((jail.maxretry, jail.findtime, config.ring), (4, 77, 100));
    assert_eq!(jail.logpaths, ["/b", "/c"]);
    assert_eq!(
        jail.origins.get("maxretry").unwrap().to_string(),
        "/etc/over.local:2"
    );
    assert_eq!(
        warned(&warnings),
        "/etc/jail.local:2: /etc/no.conf does not exist and is left out\n"
    );
}

#[test]
fn the_socket_is_where_the_file_says_but_never_fail2bans() {
    for (text, want) in [
        ("socket = /tmp/s.sock", "/tmp/s.sock"),
        ("socket = /var/run/fail2ban/fail2ban.sock", SOCKET_DEFAULT),
    ] {
        let (config, _) = read(&format!("[Definition]\n{text}\n")).unwrap();
        assert_eq!(config.socket, want, "{text}");
    }
}

#[test]
fn the_database_is_ours_or_none() {
    for (text, want) in [
        ("dbfile = None", None),
        ("dbfile = :memory:", None),
        ("dbfile = /etc/sipguard/bans", Some("/etc/sipguard/bans")),
        (
            "dbfile = /var/lib/fail2ban/fail2ban.sqlite3",
            Some(DBFILE_DEFAULT),
        ),
    ] {
        let (config, _) = read(&format!("[Definition]\n{text}\n")).unwrap();
        assert_eq!(config.dbfile.as_deref(), want, "{text}");
    }
}

#[test]
fn who_the_guard_becomes_can_be_named() {
    for (text, user, readlogs) in [
        ("ring = 64", None, ReadLogs::Auto),
        ("user = guard", Some("guard"), ReadLogs::Auto),
        ("readlogs = groups", None, ReadLogs::Groups),
        ("user =\nreadlogs = capability", None, ReadLogs::Capability),
    ] {
        let (config, warnings) = read(&format!("[DEFAULT]\n{text}\n[asterisk]\nenabled = true\n")).unwrap();
        assert_eq!(
            (config.user.as_deref(), config.readlogs),
            (user, readlogs),
            "{text}"
        );
        assert!(warnings.is_empty());
    }
}

#[test]
fn what_counts_beside_failures_is_set_or_switched_off() {
    let check = |keys: &str, want: [Option<u32>; 4], findtime| {
        let (config, _) = read(&format!("[asterisk]\nenabled = true\n{keys}")).unwrap();
        let it = &config.jails[0].evidence;
        assert_eq!([it.known, it.phone, it.challenge, it.slow], want, "{keys}");
        assert_eq!(it.slow_findtime, findtime, "{keys}");
    };
    check("", [Some(150), Some(35), Some(50), Some(10)], 86_400);
    assert_eq!(
        Config::built_in().jails[0].evidence,
        read("[asterisk]\nenabled = true\n").unwrap().0.jails[0].evidence
    );
    check(
        "maxretry.known =\nmaxretry.phone =\nmaxretry.challenge =\nmaxretry.slow =\n",
        [None; 4],
        86_400,
    );
    check(
        "maxretry.known = 7\nfindtime.slow = 2d\n",
        [Some(7), Some(35), Some(50), Some(10)],
        172_800,
    );
    check("counting = plain\nmaxretry.known = 7\n", [None; 4], 0);
}
