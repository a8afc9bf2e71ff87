//! logger.conf, and what rotates.

use super::{GOOD, Tree, check, check_file, check_with, following, good};
use crate::advice::{Directory, advise};
use crate::config::{Config, Jail};

#[test]
fn where_all_is_well_nothing_is_said() {
    check(good(), &[]);
    check_file(
        "logger.conf",
        "[general]\ndateformat=%F %T.%3q\nuse_callids=no\nqueue_log=no\nrotatestrategy=rotate\n\
         [logfiles]\nmessages.log => [plain]notice,warning\nsecurity.log => [json]security,notice\n\
         full => *\n",
        &[],
    );
}

#[test]
fn no_jail_on_asterisks_log_needs_no_advice() {
    let mut config = Config::built_in();
    config.jails[0].filter = crate::config::FilterName::Sshd(crate::filter::sshd::Mode::Normal);
    check_with(&config, Tree::default(), &[]);
}

#[test]
fn a_machine_without_asterisk_is_told_so_in_one_line() {
    check(
        Tree::default(),
        &["/etc/asterisk: …no configuration of Asterisk here"],
    );
}

#[test]
fn a_jail_that_hears_nothing_comes_first() {
    let want = [
        "logger.conf:1: jail asterisk hears nothing: …name /var/log/asterisk/messages.log and \
         /var/log/asterisk/security.log in logpath",
    ];
    check_with(&following(&["/var/log/asterisk/full"]), good(), &want);
    let want = ["logger.conf:3: /var/log/asterisk/security.log gets the security events…INVITE"];
    check_with(&following(&["/var/log/asterisk/messages.log"]), good(), &want);
    check_file(
        "logger.conf",
        "[logfiles]\nconsole => notice\nsyslog.local0 => notice,security\n",
        &[
            "logger.conf:1: jail asterisk hears nothing…it writes to syslog only",
            "logger.conf:1: no file gets `security`",
        ],
    );
    check(
        Tree::default().with("/etc/asterisk/modules.conf", ""),
        &["logger.conf: there is none"],
    );
}

#[test]
fn a_jail_that_hears_only_events_of_chan_sip_bans_nobody() {
    let events = following(&["/var/log/asterisk/security.log"]);
    let want = ["logger.conf:1: no jail follows a file with `notice`…nobody who attacks chan_sip is banned"];
    check_with(&events, good(), &want);
    let mut both = following(&["/var/log/asterisk/messages.log"]);
    both.jails.push(Jail {
        name: "events".to_owned(),
        ..events.jails[0].clone()
    });
    let want = [
        "logger.conf:1: jail events follows `security` without `notice`: it bans nobody who attacks \
         chan_sip…name /var/log/asterisk/messages.log in its logpath",
    ];
    check_with(&both, good(), &want);
}

#[test]
fn the_syslog_daemons_file_may_hold_what_goes_to_syslog() {
    let text = "[logfiles]\nsyslog.local0 => notice,warning,security\n";
    let tree = good().with("/etc/asterisk/logger.conf", text);
    check_with(&following(&["/var/log/messages"]), tree, &[]);
}

#[test]
fn without_security_it_is_said_what_is_lost_and_what_to_write() {
    check_file(
        "logger.conf",
        "[logfiles]\nmessages => notice,warning,error\n",
        &[
            "logger.conf:1: no file gets `security`: …INVITE",
            "logger.conf:2: nothing rotates /var/log/asterisk/messages: ",
        ],
    );
    let tree = good().with(
        "/etc/asterisk/logger.conf",
        "[logfiles]\nm.log => notice,warning\n",
    );
    let tree = tree.with(
        "/etc/asterisk/modules.conf",
        "[modules]\nautoload=yes\nnoload=chan_sip\n",
    );
    let config = following(&["/var/log/asterisk/m.log"]);
    let want = "logger.conf:1: no file gets `security`: tries over TCP…and \
                /var/log/asterisk/security.log in logpath";
    check_with(&config, tree, &[want]);
}

#[test]
fn security_without_its_module_is_none() {
    check_file(
        "modules.conf",
        "[modules]\nautoload=yes\nnoload => res_security_log.so\n",
        &["modules.conf:3: res_security_log.so does not run"],
    );
    let tree = good()
        .with("/usr/lib/asterisk/modules/pbx_config.so", "")
        .with("/usr/lib/asterisk/modules/chan_sip.so", "");
    check(
        tree,
        &["logger.conf:1: `security` is asked for, but res_security_log.so"],
    );
}

#[test]
fn security_belongs_in_a_file_of_its_own() {
    check_file(
        "logger.conf",
        "[logfiles]\nmessages.log => security,notice,warning\n",
        &["logger.conf:2: `security` shares /var/log/asterisk/messages.log"],
    );
    // pjproject shows whole packets as ERROR.
    let error = GOOD.replace("=> security", "=> security,error");
    check_file("logger.conf", &error, &["logger.conf:3: `security` shares"]);
}

#[test]
fn missing_levels_are_named() {
    check_file(
        "logger.conf",
        "[logfiles]\nsecurity.log => security\nother.log => notice\n",
        &["logger.conf:1: no jail follows a file with `notice`…name /var/log/asterisk/other.log"],
    );
    check_file(
        "logger.conf",
        "[logfiles]\nsecurity.log => security\nmessages.log => notice\n",
        &["logger.conf:3: no jail follows a file with `warning`"],
    );
}

#[test]
fn a_followed_file_with_debugging_output_is_doubtful() {
    let full = "[logfiles]\nmessages.log => notice,warning\nsecurity.log => security\n\
                full.log => notice,warning,VERBOSE(3)\ndebug.log => debug\n";
    let tree = good()
        .with("/etc/asterisk/logger.conf", full)
        .with(
            "/etc/asterisk/sip.conf",
            "[general]\nallowguest=no\nallowsubscribe=no\nsipdebug = yes\n",
        )
        .with("/etc/asterisk/pjsip.conf", "[global]\ntype=global\ndebug=yes\n");
    let want = [
        "sip.conf:4: sipdebug shows every packet",
        "pjsip.conf:3: debug shows packets",
        "logger.conf:4: /var/log/asterisk/full.log gets `verbose`",
        "logger.conf:5: /var/log/asterisk/debug.log gets `debug`",
    ];
    check_with(&following(&["/var/log/asterisk/*.log"]), tree, &want);
}

#[test]
fn general_settings_are_judged() {
    let general = |line: &str| format!("[general]\n{line}\n{GOOD}");
    check_file(
        "logger.conf",
        &general("dateformat = %d.%m.%Y %T"),
        &["logger.conf:2: sipguard cannot tell the time"],
    );
    check_file(
        "logger.conf",
        &general("dateformat = %F] %T"),
        &["logger.conf:2: with this dateformat no line can be read"],
    );
    check_file(
        "logger.conf",
        &general("dateformat = %T"),
        &["logger.conf:2: with a date so short"],
    );
    check_file(
        "logger.conf",
        &general("logger_queue_limit = 250"),
        &["logger.conf:2: logger_queue_limit = 250"],
    );
    let want = "logger.conf:3: jail asterisk hears nothing: …/var/log/asterisk/messages.log.pbx";
    let mut tree = good().with("/etc/asterisk/logger.conf", &general("appendhostname = yes"));
    let got = advise(&Config::built_in(), Directory::Usual, "pbx", &mut tree);
    assert!(
        got[0].to_string().contains(want.split_once('…').unwrap().1),
        "{got:?}"
    );
    let names = [
        "/var/log/asterisk/messages.log.pbx",
        "/var/log/asterisk/security.log.*",
    ];
    tree = tree.with("/etc/logrotate.d/asterisk", "/var/log/asterisk/*.pbx {\n");
    check_with(&following(&names), tree, &[]);
}

#[test]
fn a_file_that_nothing_rotates_is_named_with_its_size() {
    let mut tree = good().with("/etc/logrotate.d/asterisk", "/var/log/asterisk/security.log {\n");
    tree.sizes
        .insert("/var/log/asterisk/messages.log".to_owned(), 412_000_000);
    check(
        tree,
        &["logger.conf:2: nothing rotates /var/log/asterisk/messages.log (412 MB): "],
    );
    let tree = good().with("/etc/logrotate.d/asterisk", "");
    check(
        tree.with("/etc/crontabs/root", "0 4 * * 0 asterisk -rx 'logger rotate'\n"),
        &[],
    );
}

#[test]
fn a_jail_on_the_journal_hears_what_asterisk_writes_to_syslog() {
    let mut config = following(&[]);
    config.jails[0].feed = crate::config::Feed::Journal(vec!["A=1".to_owned()]);
    let check = |text: &str, want: &[&str]| {
        check_with(&config, good().with("/etc/asterisk/logger.conf", text), want);
    };
    check(
        "[logfiles]\nmessages.log => notice,security\n",
        &["logger.conf:1: jail asterisk hears nothing: Asterisk writes nothing to syslog…syslog.local0"],
    );
    check("[logfiles]\nsyslog.local0 => notice,security\nfull => *\n", &[]);
    check(
        "[logfiles]\nsyslog.local0 => notice\nsyslog.local1 => security\n",
        &[],
    );
    check(
        "[logfiles]\nsyslog.local0 => notice,warning\nsecurity => security\n",
        &["logger.conf:1: syslog does not get `security`…syslog.local0"],
    );
    check(
        "[logfiles]\nsyslog.local0 => security\n",
        &["logger.conf:1: syslog does not get `notice`…chan_sip"],
    );
}
