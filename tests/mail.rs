//! Do mails come as they should, by a real mail program, and can nobody who is banned write in them what he likes?
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/actions.rs"]
mod actions;
#[path = "support/dns.rs"]
mod dns;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;

use actions::{children, fresh_machine, jail, kill_worker, mails, program, sendmail_that_keeps, subjects};
use host::{Guard, Log, wait_until};
use support::{isolated, isolated_as_root, run};

const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];
const ARTICLE: &str = include_str!("data/article/jail.local");

fn fail_twice(log: &mut Log, address: &str) {
    log.fail(address);
    log.fail(address);
}

fn uid(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    format!("{} | {} | {}", line("Uid:"), line("Groups:"), line("CapEff:"))
}

/// exim4, as Debian sets it up, with a spool of its own.
fn exim() {
    // Its configuration is there; so the guard must have nothing to keep.
    run("umount /var/lib");
    for folder in ["/var/mail", "/var/spool/exim4"] {
        run(&format!("mount -t tmpfs tmpfs {folder}"));
    }
    run("chmod 1777 /var/mail");
    fs::create_dir("/var/log/exim4").unwrap();
    run("chown Debian-exim:adm /var/log/exim4");
    run("chown Debian-exim:Debian-exim /var/spool/exim4");
}

fn mailbox() -> String {
    let entries = fs::read_dir("/var/mail").unwrap();
    let texts = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
    String::from_utf8(texts.flatten().collect()).unwrap()
}

/// The article's jail.local with the mail that its `action_mwl` means, to a mailbox of this machine.
#[test]
fn a_real_mail_program_delivers_the_articles_mails() {
    isolated_as_root("a_real_mail_program_delivers_the_articles_mails", || {
        fresh_machine();
        exim();
        program("whois", "echo \"netname: EXAMPLE $1\"");
        let ours = "iptables-asterisk[name=ASTERISK, protocol=all]\n           sendmail[name=ASTERISK, \
            dest=root@example.org, sender=root]";
        assert!(ARTICLE.contains(ours));
        let text = ARTICLE
            .replace(
                ours,
                "%(action_mwl)s\n  mail-whois[name=BY-MAIL, dest=root@localhost]",
            )
            .replacen("[DEFAULT]\n", "[DEFAULT]\ndbfile = None\n", 1)
            .replace("root@example.org", "root@localhost")
            .replace("fail2ban@example.org", "fail2ban@localhost");
        fs::write("/mnt/jail.local", text).unwrap();
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&CONFIG);
        wait_until("the jail's start is delivered", || {
            mailbox().contains("ASTERISK") || mailbox().contains("started")
        });
        for process in ["nanny.mail", "worker.mail"] {
            let pid = children(process)[0];
            assert_eq!(
                uid(pid),
                "65534 65534 65534 65534 | 65534 | 0000000000000000",
                "{process}"
            );
        }
        assert!(children("worker.commands").is_empty());
        fail_twice(&mut log, "198.51.100.66");
        guard.wait_for(" banned 198.51.100.66");
        let subject = "Subject: [Fail2Ban] asterisk: banned 198.51.100.66 on ";
        wait_until("the ban is delivered", || {
            mailbox().contains(subject) && mailbox().contains("[Fail2Ban] BY-MAIL: banned 198.51.100.66")
        });
        let all = mailbox();
        let mail = &all[all.find(subject).unwrap()..];
        for part in [
            "From: Fail2Ban <fail2ban@localhost>\n",
            "To: root@localhost\n",
            "\nMessage-ID: <sipguard.",
            "MIME-Version: 1.0\n",
            "has banned 198.51.100.66 for ever:\n2 failures against asterisk.\n",
            "  netname: EXAMPLE 198.51.100.66\n",
            "failed for '198.51.100.66:5060' - Wrong password\n",
        ] {
            assert!(mail.contains(part), "{part:?} in:\n{all}");
        }
        assert!(all.contains("Return-path: <fail2ban@localhost>"), "{all}");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        wait_until("the end is delivered", || {
            mailbox().contains("asterisk: stopped on")
        });
    });
}

#[test]
fn what_an_attacker_and_a_whois_server_write_stays_text() {
    isolated_as_root("what_an_attacker_and_a_whois_server_write_stays_text", || {
        fresh_machine();
        sendmail_that_keeps();
        // What it may do is part of its answer.
        program(
            "whois",
            "printf '~!touch /mnt/owned\\r\\n.\\r\\nFrom me\\nBcc: all@example.org\\033[2J\\302\\233x\\n%s\\n' \"$*\"; \
             grep -E 'NoNewPrivs|^Uid' /proc/self/status; head -c 90000 /dev/zero | tr '\\0' y",
        );
        let mut log = jail(
            "failregex = ^\\[\\] evil .* from <HOST>$\nsendername = 電話 \"x\" <y>\ndestmail = a@example.org, b@example.org\n\
             action = %(action_mwl)s",
        );
        let mut guard = Guard::start(&CONFIG);
        for _ in 0..2 {
            log.line("[2026-11-22 12:42:47] evil \r~!touch /mnt/owned\u{1b}[2J\r.\r$(touch /mnt/owned) é from 198.51.100.66");
        }
        guard.wait_for(" banned 198.51.100.66");
        wait_until("both mails are there", || mails().len() == 2);
        let mail = mails().pop().unwrap();
        assert!(mail.starts_with("-t -i -f root@"), "{mail}");
        let bad = |char: char| char.is_control() && char != '\n';
        assert!(!mail.contains(bad), "{mail:?}");
        let (head, body) = mail.split_once("\n\n").unwrap();
        assert_eq!(
            head.matches("\nTo: a@example.org,\n b@example.org\n").count(),
            1,
            "{head}"
        );
        assert!(
            head.contains("From: =?UTF-8?B?") && !head.contains("Bcc"),
            "{head}"
        );
        assert!(
            body.lines()
                .all(|line| !line.starts_with(['~', '.']) && !line.starts_with("From "))
        );
        assert!(body.lines().all(|line| line.len() < 998) && mail.len() < 40_000);
        for part in [
            "\n  ~!touch /mnt/owned\n  .\n  From me\n  Bcc: all@example.org\\u{1b}[2J\\u{9b}x\n  198.51.100.66\n",
            "  Uid: 65534 65534 65534 65534\n  NoNewPrivs: 1\n",
            "evil \\r~!touch /mnt/owned\\x1b[2J\\r.\\r$(touch /mnt/owned) \\xc3\\xa9 from 198.51.100.66\n",
        ] {
            assert!(body.replace("\\t", " ").contains(part), "{part:?} in:\n{body}");
        }
        assert!(!fs::exists("/mnt/owned").unwrap());
    });
}

/// The real whois asks a server that wishes us ill, about somebody whose user name does, too.
#[test]
fn a_real_whois_and_a_hostile_user_name_write_only_text() {
    isolated("a_real_whois_and_a_hostile_user_name_write_only_text", || {
        if !std::path::Path::new("/usr/bin/whois").exists() {
            return println!("SKIPPED: apt-get install whois");
        }
        fresh_machine();
        let dns = dns::Dns::start();
        dns.has("whois.arin.net", &["127.0.0.1"]);
        let server = std::net::TcpListener::bind("127.0.0.1:43").unwrap();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            for client in server.incoming() {
                let mut client = client.unwrap();
                let mut query = [0; 200];
                let _ = client.read(&mut query);
                let _ = client.write_all(
                    b"NetName: EVIL\r\n~!touch /mnt/owned\r\n~<!id\r\n.\r\nFrom me\r\n\x1b]0;x\x07\x9b2J\xe2\x80\xaex\r\n\
                    Bcc: all@example.org\r\n$(touch /mnt/owned)\r\n\r\n.\r\n",
                );
            }
        });
        sendmail_that_keeps();
        program("mail", "exec sendmail \"$@\"");
        let mut log = jail("action = %(action_mwl)s\n  mail-whois-lines");
        let mut guard = Guard::start(&CONFIG);
        // As Asterisk writes it; a line with ESC in it would be refused as forged.
        let user = "\"; touch /mnt/owned # ~!touch /mnt/owned$(touch /mnt/owned)`touch /mnt/owned`\u{9b}2J\u{202e}\" ";
        let line = host::wrong_password("198.51.100.66").replace("<sip:", &format!("{user}<sip:$(id)"));
        log.line(&format!("{line}\n{line}"));
        guard.wait_for(" banned 198.51.100.66");
        wait_until("all mails are there", || mails().len() == 4);
        for mail in mails().iter().filter(|mail| mail.contains("has banned")) {
            let bad = |char: char| char.is_control() && char != '\n' || char == '\u{202e}';
            assert!(!mail.contains(bad), "{mail:?}");
            // What the program `mail` reads is only the text.
            let text = mail.split_once('\n').unwrap().1;
            let body = text.split_once("\n\n").map_or(text, |(head, body)| {
                assert!(!head.contains("Bcc") && !head.contains("touch"), "{head}");
                body
            });
            let begins = |line: &str| !line.starts_with(['~', '.']) && !line.starts_with("From ");
            assert!(body.lines().all(begins), "{body}");
            for part in [
                "  NetName: EVIL\n",
                "  ~!touch /mnt/owned\n",
                "  $(touch /mnt/owned)\n",
                "\\xc2\\x9b2J",
            ] {
                assert!(mail.contains(part), "{part:?} in:\n{mail}");
            }
        }
        assert!(!fs::exists("/mnt/owned").unwrap());
        let log = guard.drain().join("");
        assert!(!log.contains(char::is_control), "{log:?}");
    });
}

#[test]
fn a_storm_of_bans_is_some_mails_and_a_list() {
    isolated("a_storm_of_bans_is_some_mails_and_a_list", || {
        fresh_machine();
        sendmail_that_keeps();
        let mut log = jail("action = %(action_)s\n  sendmail");
        let mut guard = Guard::start(&CONFIG);
        let mut storm = String::new();
        for round in 0..2 {
            for host in 0..2_000_u32 {
                storm += &host::wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
                storm += if round == 1 && host == 1_999 { "" } else { "\n" };
            }
        }
        log.line(&storm);
        guard.wait_for(" banned 100.64.7.207");
        wait_until("the first mails are there", || mails().len() >= 11);
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        let subjects = subjects();
        assert!(subjects.len() <= 14, "{subjects:?}");
        let told: Vec<u64> = subjects
            .iter()
            .filter_map(|subject| {
                subject
                    .split_once("banned ")?
                    .1
                    .split_once(" sources")?
                    .0
                    .parse()
                    .ok()
            })
            .collect();
        let alone = subjects
            .iter()
            .filter(|subject| subject.contains("banned 100.64."))
            .count() as u64;
        assert_eq!(told.iter().sum::<u64>() + alone, 2_000, "{subjects:?}");
        assert!(subjects.last().unwrap().contains("stopped"), "{subjects:?}");
    });
}

#[test]
fn a_mail_child_that_is_killed_is_started_again() {
    isolated("a_mail_child_that_is_killed_is_started_again", || {
        fresh_machine();
        sendmail_that_keeps();
        let mut log = jail("action = %(action_)s\n  sendmail");
        let mut guard = Guard::start(&CONFIG);
        fail_twice(&mut log, "198.51.100.1");
        wait_until("the mail is there", || mails().len() == 2);
        kill_worker("mail");
        guard.wait_for("the mail child is back; no notice was lost");
        fail_twice(&mut log, "198.51.100.2");
        wait_until("the next is there, too", || {
            subjects()
                .last()
                .is_some_and(|subject| subject.contains("banned 198.51.100.2 on"))
        });
    });
}

#[test]
fn a_mail_program_that_hangs_or_is_not_there_is_said_and_holds_nobody() {
    isolated(
        "a_mail_program_that_hangs_or_is_not_there_is_said_and_holds_nobody",
        || {
            fresh_machine();
            program("sendmail", "echo 'no\u{1b}[2J room'; exit 75");
            let mut log = jail("action = %(action_)s\n  sendmail");
            let mut guard = Guard::start(&CONFIG);
            let said = guard.wait_for("a mail is lost");
            assert!(said.contains("exit code 75: no\\x1b[2J room"), "{said}");
            program("sendmail", "sleep 4321");
            fail_twice(&mut log, "198.51.100.1");
            guard.wait_for(" banned 198.51.100.1");
            wait_until("it hangs", || {
                support::try_run("pgrep -f sleep.4321").status.success()
            });
            fail_twice(&mut log, "198.51.100.2");
            guard.wait_for(" banned 198.51.100.2");
            guard.signal("TERM");
            guard.wait_for("not ended within 10 s, and killed: mail");
            assert_eq!(guard.wait(), 0);
            wait_until("nothing is left", || {
                children("").is_empty() && !support::try_run("pgrep -f sleep.4321").status.success()
            });
        },
    );
}
