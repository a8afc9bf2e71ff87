//! Files as people have them: the article's, those of how-tos, fail2ban's own.

use super::*;
use crate::action::Does;

/// The description up to the program's settings, without its origins and blanks, and the warnings.
fn check(path: &str, want: &[&str]) {
    let bytes = std::fs::read(path).unwrap();
    let (config, warnings) = match read_files(&[("jail.local", &bytes)]) {
        Ok(read) => read,
        Err(error) => panic!("{path}\n{error}"),
    };
    let mut got = Vec::new();
    for jail in &config.jails {
        let Jail {
            name,
            filter,
            logpaths,
            maxretry,
            findtime,
            bantime,
            ignoreip,
            blocks,
            ..
        } = jail;
        let blocks: Vec<String> = blocks.iter().map(Block::to_string).collect();
        let bantime = bantime.map_or(-1, |seconds| i64::try_from(seconds).unwrap());
        got.push(format!(
            "{name} {} {} | {maxretry} in {findtime}, {bantime} | {} ignored | {}",
            filter.name(),
            logpaths.join(" "),
            ignoreip.len(),
            blocks.join("; ")
        ));
    }
    got.extend(warnings.iter().map(Warning::to_string));
    assert_eq!(got, want, "{path}");
}

#[test]
fn the_articles_file_loads_unchanged() {
    check(
        "tests/data/article/jail.local",
        &[
            "ssh sshd /var/log/auth.log | 6 in 600, 604800 | 3 ignored | drops tcp to port 22",
            "asterisk asterisk /var/log/asterisk/messages | 2 in 1200, -1 | 3 ignored | drops \
             everything from the source",
        ],
    );
}

#[test]
fn the_articles_other_actions_load_too() {
    let text = std::fs::read_to_string("tests/data/article/jail.local").unwrap();
    for action in ["action_mw", "action_mwl"] {
        let text = text.replace("action = %(action_)s", &format!("action = %({action})s"));
        let (config, warnings) = read(&text).unwrap();
        assert_eq!(config.jails[0].blocks[0].to_string(), "drops tcp to port 22");
        assert_eq!(warnings, [], "exim is a mail program");
        let Does::Mail(letter) = &config.jails[0].actions[0].does else {
            panic!("{:?}", config.jails[0].actions);
        };
        assert_eq!(letter.lines, action == "action_mwl");
    }
}

#[test]
fn the_short_form_of_today() {
    check(
        "tests/data/howto/short.local",
        &[
            "sshd sshd /var/log/auth.log /var/log/secure | 5 in 600, 600 | 0 ignored | drops tcp to port 22",
            "asterisk asterisk /var/log/asterisk/messages /var/log/asterisk/messages.log \
             /var/log/asterisk/security \
             /var/log/asterisk/security.log | 5 in 600, 600 | 0 ignored | drops tcp and udp to port \
                 5060-5061",
        ],
    );
}

#[test]
fn the_how_to_of_asterisk_1_8() {
    check(
        "tests/data/howto/allports-1.8.local",
        &[
            "asterisk-iptables asterisk /var/log/asterisk/messages | 4 in 21600, 86400 | 2 ignored | \
             drops everything from the source",
        ],
    );
}

#[test]
fn ports_by_name_and_two_jails_of_one_filter() {
    check(
        "tests/data/howto/services.local",
        &[
            "asterisk asterisk /var/log/asterisk/messages /var/log/asterisk/security | 5 in 600, \
             600 | 3 ignored | \
             drops tcp and udp to port 4569,5060-5061",
            "asterisk-security asterisk /var/log/asterisk/security* | 5 in 129600, 604800 | 3 ignored | \
             drops tcp and udp to port 5060-5080",
        ],
    );
}

#[test]
fn a_telephone_system_with_many_jails() {
    check(
        "tests/data/howto/freepbx.local",
        &[
            "asterisk-iptables asterisk /var/log/asterisk/full | 8 in 600, 1800 | 2 ignored | \
             drops tcp and udp to port 5060,5160-5161",
            "ssh-iptables sshd /var/log/secure | 8 in 600, 1800 | 1 ignored | drops tcp to port 22",
            "jail.local:3: paths-fedora.conf does not exist and is left out",
            "jail.local:19: asterisk's full log holds debug output, which anyone can forge; name \
             messages and security \
             in logpath",
            "jail.local:31: [vsftpd-iptables] is not guarded: there is no filter.d/vsftpd.conf, nor one in \
             /etc/fail2ban/filter.d",
        ],
    );
}

#[test]
fn a_jail_for_each_protocol() {
    check(
        "tests/data/howto/tcp-udp.local",
        &[
            "asterisk-tcp asterisk /var/log/asterisk/messages | 5 in 600, 600 | 0 ignored | drops \
             tcp to port 5060-5061",
            "asterisk-udp asterisk /var/log/asterisk/messages | 5 in 600, 600 | 0 ignored | drops \
             udp to port 5060-5061",
        ],
    );
}

#[test]
fn a_router() {
    check(
        "tests/data/howto/router.local",
        &[
            "dropbear dropbear /tmp/log/messages | 5 in 600, 600 | 0 ignored | drops everything \
             from the source",
            "asterisk asterisk /var/log/asterisk/messages /var/log/asterisk/messages.log \
             /var/log/asterisk/security \
             /var/log/asterisk/security.log | 5 in 600, 86400 | 0 ignored | drops tcp and udp to every port",
        ],
    );
}

/// Many copy jail.conf to jail.local and enable a jail in it. Needs fail2ban's file; without
/// it nothing is checked.
#[test]
fn fail2bans_own_file_loads_where_it_is_installed() {
    let Ok(mut text) = std::fs::read_to_string("/etc/fail2ban/jail.conf") else {
        return;
    };
    for jail in ["[asterisk]\n", "[sshd]\n"] {
        text = text.replace(&format!("\n{jail}"), &format!("\n{jail}enabled = true\n"));
    }
    let (config, _) = match read(&text) {
        Ok(read) => read,
        Err(error) => panic!("{error}"),
    };
    let names: Vec<&str> = config.jails.iter().map(|jail| jail.name.as_str()).collect();
    assert_eq!(names, ["sshd", "asterisk"]);
    assert_eq!(
        config.jails[1].blocks[0].to_string(),
        "drops tcp and udp to port 5060-5061"
    );
}
