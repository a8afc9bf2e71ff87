//! Actions: what is built in, what is read from `action.d`, and what is said about either.

use super::*;
use crate::action::script::Values;
use crate::action::{Commands, Does};

/// `[asterisk]` with these lines, beside this `action.d/mine.conf`.
fn read_with(lines: &str, file: &str) -> Result<(Config, Vec<Warning>), Error> {
    let text = format!("[asterisk]\nenabled = true\n{lines}\n");
    read_files(&[
        ("/c/jail.local", text.as_bytes()),
        ("/c/action.d/mine.conf", file.as_bytes()),
    ])
}

/// What `check` shows of the actions, without origins, and the warnings.
fn check(lines: &str, file: &str, want: &str) {
    let (config, warnings) = match read_with(lines, file) {
        Ok(read) => read,
        Err(error) => panic!("{lines}\n{error}"),
    };
    let shown = describe(&config).to_string();
    let mut got: Vec<&str> = Vec::new();
    for line in shown.lines().take_while(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("  action ") {
            let rest = rest.trim_start();
            let end = rest
                .rfind("  ")
                .or_else(|| rest.rfind(" /c"))
                .or_else(|| rest.rfind(" built in"));
            got.push(rest[..end.unwrap_or(rest.len())].trim_end());
        } else if line.starts_with("    ") {
            got.push(line);
        }
    }
    let warnings: Vec<String> = warnings.iter().map(|warning| warning.what.clone()).collect();
    got.extend(warnings.iter().map(String::as_str));
    assert_eq!(got.join("\n"), want, "{lines}");
}

/// The first line of what is wrong.
fn check_wrong(lines: &str, file: &str, want: &str) {
    let error = read_with(lines, file).expect_err(lines).to_string();
    assert_eq!(error.lines().next(), Some(want), "{lines}\n{file}");
}

const SIP: &str = "drops tcp and udp to port 5060-5061";

#[test]
fn mail_actions_are_built_in() {
    let root = "mails root@localhost from Fail2Ban <root@<fq-hostname>>";
    check(
        "action = %(action_mw)s",
        "",
        &format!("{SIP}\n{root}, with whois, as nobody"),
    );
    check(
        "action = %(action_mwl)s\nnotifyuser2 = %(port)s\nport2 = %(notifyuser2)s\nfindtime = 600\n\
         destmail = %(port2)s@example.org",
        "",
        &format!(
            "{SIP}\nmails 5060 5061@example.org from Fail2Ban <root@<fq-hostname>>, with whois and log lines, as nobody"
        ),
    );
    check(
        "action = mail-whois[dest=\"a@b.c, d\", sender=x@y, sendername=\"電話, 1\", name=SIP]",
        "",
        "blocks nothing\nmails a@b.c d from \\xe9\\x9b\\xbb\\xe8\\xa9\\xb1, 1 <x@y>, with whois, as nobody\n\
         [asterisk] has no firewall action: it bans, but nothing is blocked",
    );
    check(
        "mta = exim4\naction = %(action_)s\n  %(mta)s-buffered[lines=9]",
        "",
        &format!("{SIP}\n{root}, 9 bans in one, as nobody"),
    );
    check(
        "action = %(action_)s\n  sendmail[mailcmd=x, colour=red]",
        "",
        &format!(
            "{SIP}\n{root}, as nobody\naction sendmail: mailcmd has no effect: mails go to sendmail -t -i, or to \
             mail; for another program write an action.d file\naction sendmail: colour is no option of a mail \
             action and has no effect"
        ),
    );
}

#[test]
fn what_would_put_something_into_a_header_or_an_option_is_refused() {
    let mail = |options: &str, want: &str| {
        check_wrong(
            &format!("action = sendmail[{options}]"),
            "",
            &format!("/c/jail.local:3:{want}"),
        );
    };
    mail("dest=\"-oQ/tmp\"", "25: \"-oQ/tmp\" is not a mail address");
    mail("dest=\"a b;c\"", "27: \"b;c\" is not a mail address");
    mail("dest=\"a <b>\"", "27: \"<b>\" is not a mail address");
    mail("sender=\"a, b\"", "10: there is one sender");
    mail("sender=é", "26: \"\\xc3\\xa9\" is not a mail address");
    mail("sendername=\"a\n  b\"", "10: sendername: a name is one line");
    check_wrong(
        "action = sendmail-buffered[lines=0]",
        "",
        "/c/jail.local:3:34: lines: \"0\" is not a number from 1 to 65535",
    );
    check_wrong(
        "destmail = a\u{7f}b\naction = sendmail",
        "",
        "/c/jail.local:3:12: \"a\\x7fb\" is not a mail address",
    );
}

const MINE: &str = "[Definition]\nactionstart = iptables -N f-<name>\n  iptables -I <chain> -p <protocol> -j f-<name>\n\
    actionstop = iptables -X f-<name>\nactioncheck = iptables -n -L INPUT | grep -q f-<name>\n\
    actionban = <cmd> -I f-<name> -s <ip> -j <blocktype>\nactionunban = <cmd> -D f-<name> -s <ip> -j <blocktype>\n\
    [Init]\nname = default\nblocktype = DROP\ncmd = iptables -w\n[Init?family=inet6]\ncmd = ip6tables\n";

#[test]
fn a_file_is_read_and_its_tags_are_resolved() {
    check(
        "action = mine[name=SIP, protocol=all, blocktype=\"REJECT --with '<x>'\", x=\"100%%\"]",
        MINE,
        "runs mine as root, each at most 30 s:\n    start     iptables -N f-SIP\n    \
         start     iptables -I INPUT -p all -j f-SIP\n    check     sh -c: iptables -n -L INPUT | grep -q f-SIP\n    \
         ban       iptables -w -I f-SIP -s <ip> -j REJECT --with 100%\n    \
         unban     iptables -w -D f-SIP -s <ip> -j REJECT --with 100%\n    stop      iptables -X f-SIP\n    \
         ban v6    ip6tables -I f-SIP -s <ip> -j REJECT --with 100%\n    \
         unban v6  ip6tables -D f-SIP -s <ip> -j REJECT --with 100%",
    );
    // A name that is no file means the kernel, if it is of its family.
    check(
        "action = iptables-mine[port=5060, protocol=udp]",
        MINE,
        "drops udp to port 5060",
    );
    check(
        "action = mine[cmd?family=inet6=x]",
        "[Definition]\nactionban = <cmd> <family> <ip>\n[Init]\ncmd = y\n",
        "runs mine as root, each at most 30 s:\n    ban       y inet4 <ip>\n    ban v6    x inet6 <ip>",
    );
    check(
        "action = mine",
        "[Definition]\nactionban = a \"<<sender>> <br>\" <actname> <name> <port> <no\n[Init]\nsender = root\n",
        "runs mine as root, each at most 30 s:\n    \
         ban       sh -c: a \"<root> \\n\" mine asterisk 5060,5061 <no",
    );
}

fn commands(lines: &str, file: &str) -> Commands {
    let (config, _) = read_with(lines, file).unwrap_or_else(|error| panic!("{error}"));
    match &config.jails[0].actions[0].does {
        Does::Run(commands) => Commands::clone(commands),
        Does::Mail(_) => panic!("no commands"),
    }
}

#[test]
fn how_an_action_runs_is_read() {
    let file =
        "[Definition]\nactionban = a <ip>\nnorestored = 1\ntimeout = 5\nactionstart_on_demand = true\n";
    let read = commands("action = mine", file);
    assert_eq!(
        (read.norestored, read.timeout, read.on_demand, read.by_family),
        (true, 5, true, false)
    );
    let read = commands("action = mine[timeout=7, norestored=no]", file);
    assert_eq!((read.norestored, read.timeout), (false, 7));
    let read = commands("action = mine", MINE);
    assert_eq!(
        (read.norestored, read.timeout, read.on_demand, read.by_family),
        (false, 30, true, true)
    );
}

#[test]
fn the_values_of_a_hostile_line_are_words_or_variables() {
    let file =
        "[Definition]\nactionban = a <matches>\n  b <ip> <matches>\nactionunban = c \"<matches>\" | d\n";
    let read = commands("action = mine", file);
    let hostile = "'; reboot #$(reboot)`reboot`";
    let values = Values {
        net: Some("192.0.2.1/32".parse().unwrap()),
        failures: 1,
        bantime: None,
        time: 0,
        matches: hostile,
        restored: false,
        hostname: "pbx",
    };
    let [four, _] = &read.families;
    assert_eq!(four.ban.run(0, &values).unwrap().0, ["a", hostile]);
    assert_eq!(four.ban.run(1, &values).unwrap().0, ["b", "192.0.2.1", hostile]);
    let (words, variables) = four.unban.run(0, &values).unwrap();
    assert_eq!(
        words,
        ["/bin/sh", "-c", "c \"${SIPGUARD_matches}\" | d", "sipguard"]
    );
    assert_eq!(variables, [("SIPGUARD_matches".to_owned(), hostile.to_owned())]);
}

#[test]
fn mistakes_in_a_file_are_shown_where_they_are() {
    let wrong =
        |file: &str, want: &str| check_wrong("action = mine", file, &format!("/c/action.d/mine.conf:{want}"));
    wrong(
        "[Definition]\nactionban = a <ipp>\n",
        "2:15: actionban: <ipp> names nothing; define it in [Init], or give it as an option of the action",
    );
    wrong(
        "[Definition]\nactionban = a <x>\n[Init]\nx = b <y> c\n",
        "4:7: actionban: <y> names nothing; define it in [Init], or give it as an option of the action",
    );
    wrong(
        "[Definition]\nactionban = a <F-USER>\n",
        "2:15: actionban: <F-USER> is what a filter captures, which does not get here; <matches> has the lines",
    );
    wrong(
        "[Definition]\nactionstart = a\n  b <ip>\n",
        "3:5: actionstart: <ip> is known in actionban and actionunban only",
    );
    wrong(
        "[Definition]\nactionban = a | b 'c\n",
        "2:19: actionban: this quote is not closed",
    );
    wrong(
        "[Definition]\nactionban = a <x>\nx = <y>\ny = <x>\n",
        "4:5: actionban: this refers to itself, or to too many others",
    );
    wrong(
        "[Definition]\nactionban = %(nothing)s\n",
        "2:13: actionban: there is no nothing in [Definition] or [DEFAULT]",
    );
    wrong(
        "[Definition]\nactionban = a\ntimeout = 1h\n",
        "3:11: timeout: write 1 to 60 seconds",
    );
    wrong(
        "actionban = a\n",
        "1:1: a key before the first [section]; put [DEFAULT] above it",
    );
}

#[test]
fn what_is_not_run_is_said() {
    check(
        "action = %(action_)s\n  nobody-knows\n  smtp.py[host=mail, sendername=\"a, b\"]",
        "",
        &format!(
            "{SIP}\naction nobody-knows is not run: there is no /c/action.d/nobody-knows.conf, nor one in \
             /etc/fail2ban/action.d\naction smtp.py: Python programs of fail2ban's are not run; for mails write \
             sendmail-whois-lines, for another program an action.d file"
        ),
    );
    check(
        "action = mine",
        "[Definition]\nactionbann = a\nactionreban = b\nactionban = c <ip>\n",
        "runs mine as root, each at most 30 s:\n    ban       c <ip>\n\
         action mine: actionbann is never run: there is no such key; did you mean actionban?\n\
         action mine: actionreban is never run: actionban is run for every ban, with <restored>",
    );
    check(
        "banaction = iptables[blocktype=REJECT]\nchain = f2b-voip",
        "",
        &format!(
            "{SIP}\nblocktype REJECT: packets are dropped and not answered: the answer to a forged one would hit \
             somebody else\nchain f2b-voip: what is banned is dropped before every chain, also before this one"
        ),
    );
    for quiet in [
        "blocktype=DROP",
        "chain=DOCKER-USER",
        "chain=FORWARD",
        "bantime=10m",
    ] {
        check(&format!("banaction = iptables[{quiet}]"), "", SIP);
    }
    check(
        "banaction = iptables-ipset-proto6[bantime=1h]",
        "",
        &format!("{SIP}\noption bantime 1h: a ban lasts in the kernel as long as the jail's bantime says"),
    );
}

#[test]
fn a_file_of_a_built_in_name_is_not_read_and_that_is_said() {
    let text = b"[asterisk]\nenabled = true\naction = %(action_)s\n  sendmail\n";
    let (_, warnings) = read_files(&[
        ("/c/jail.local", text),
        ("/c/action.d/sendmail.conf", b"[Definition]\n"),
        ("/c/action.d/iptables-multiport.local", b"[Definition]\n"),
    ])
    .unwrap();
    let said = warned(&warnings);
    for name in ["sendmail", "iptables-multiport"] {
        assert!(
            said.contains(&format!(
                "the built-in action {name} is used, not /c/action.d/{name}."
            )),
            "{said}"
        );
    }
}

/// Every action that fail2ban brings is read, or it is said why not. Needs fail2ban's files; without them nothing
/// is checked.
#[test]
fn fail2bans_own_actions_load_where_they_are_installed() {
    let Ok(folder) = std::fs::read_dir("/etc/fail2ban/action.d") else {
        return;
    };
    let mut refused = Vec::new();
    for entry in folder {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file
            .strip_suffix(".conf")
            .filter(|name| !name.ends_with("-common"))
        else {
            continue;
        };
        let text = format!("[asterisk]\nenabled = true\naction = %(action_)s\n  {name}\n");
        let read = load(Path::new("/c/jail.local"), &mut |path| match path.to_str() {
            Some("/c/jail.local") => Ok(text.clone().into_bytes()),
            _ => std::fs::read(path),
        });
        if let Err(error) = read {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            refused.push(format!("{name} {}", line.split(' ').nth(2).unwrap_or(line)));
        }
    }
    // Four need options of the user's; the fifth names a value that its file has not.
    let want = [
        "abuseipdb <abuseipdb_category>",
        "blocklist_de <email>",
        "cloudflare-token <cfzone>",
        "sendmail-geoip-lines <ip-host>",
        "xarf-login-attack <debug>",
    ];
    refused.sort();
    refused.retain(|one| !want.contains(&one.as_str()));
    assert_eq!(refused, [""; 0]);
}
