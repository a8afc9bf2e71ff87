//! Where the files are, what they include, and what cannot be read.

use crate::limits::ASTERISK_CONFIG_BYTES_MAX;

use super::{GOOD, Tree, check, check_file, check_with, following, good};

#[test]
fn directories_of_asterisk_conf_are_respected() {
    let main = "[directories]\nastetcdir => /opt/etc\nastlogdir => /opt/log/\n";
    let tree = || {
        Tree::default()
            .with("/etc/asterisk/asterisk.conf", main)
            .with("/opt/etc/logger.conf", GOOD)
            .with("/etc/logrotate.d/asterisk", "/opt/log/*.log {\n")
    };
    check_with(&following(&["/opt/log/*.log"]), tree(), &[]);
    let mut linked = tree();
    linked.links.insert("/opt/log".to_owned(), "/tmp/log".to_owned());
    linked
        .links
        .insert("/var/log/asterisk".to_owned(), "/tmp/log".to_owned());
    check_with(&following(&["/var/log/asterisk/*.log"]), linked, &[]);
    // Debian's asterisk.conf has them in a template, where they have no effect.
    let template = main.replace("[directories]", "[directories](!)");
    check(good().with("/etc/asterisk/asterisk.conf", &template), &[]);
}

#[test]
fn included_files_are_followed_as_asterisk_does() {
    let tree = good()
        .with(
            "/etc/asterisk/logger.conf",
            "[general]\n#include logger_general.conf\n[logfiles]\n#include \"logfiles_*.conf\"\n\
             #tryinclude absent.conf\nsecurity.log => security\n",
        )
        .with(
            "/etc/asterisk/logger_general.conf",
            "logger_queue_limit=100\n[other]\n",
        )
        .with(
            "/etc/asterisk/logfiles_a.conf",
            "messages.log => notice,warning\n",
        )
        .with(
            "/etc/asterisk/logfiles_b.conf",
            "[logfiles](+)\nfull => verbose\n",
        );
    check(tree, &["logger_general.conf:1: logger_queue_limit = 100"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let text = format!("{GOOD}#include secret.conf\n");
    let mut tree = good().with("/etc/asterisk/logger.conf", &text);
    tree.locked.push("/etc/asterisk/secret.conf".to_owned());
    check(tree, &["secret.conf: cannot be read: permission denied"]);

    let mut tree = good();
    tree.locked.push("/etc/asterisk/logger.conf".to_owned());
    check(tree, &["logger.conf: cannot be read: permission denied"]);

    check_file(
        "logger.conf",
        &format!("{GOOD}#include absent.conf\n"),
        &["logger.conf:4: Asterisk refuses this file: absent.conf does not exist"],
    );
    check_file(
        "logger.conf",
        &format!("{GOOD}[x](none)\n"),
        &["logger.conf:4: …no section [none] to inherit from"],
    );
    check_file(
        "logger.conf",
        &format!("{GOOD}#exec /bin/date\n"),
        &["logger.conf:4: what #exec writes"],
    );
}

#[test]
fn files_that_include_themselves_end() {
    let tree = good().with(
        "/etc/asterisk/loop.conf",
        "#include loop*.conf\n#include loop.conf\n",
    );
    check(
        tree.with(
            "/etc/asterisk/iax.conf",
            "[general]\nauthdebug=yes\n#include loop.conf\n",
        ),
        &["loop.conf: cannot be read: too many files include each other"],
    );
}

#[test]
fn what_the_files_say_is_shown_escaped() {
    let text = "[logfiles]\nx\x1b2J\u{7}x => notice,warning,security\n";
    check_file(
        "logger.conf",
        text,
        &["logger.conf:1: jail asterisk hears nothing: …name /var/log/asterisk/x\\x1b2J\\x07x in logpath"],
    );
}

#[test]
fn what_is_too_large_is_left_out_and_that_is_said() {
    let bytes = " ".repeat(ASTERISK_CONFIG_BYTES_MAX + 1);
    check_file("logger.conf", &bytes, &["logger.conf: cannot be read: more than"]);

    // Sections that inherit from each other double at every step.
    let doubling: String = (1..40).map(|n| format!("[{n}]({0},{0})\n", n - 1)).collect();
    let text = format!("[general]\nauthdebug=yes\n[0]\nkey=value\n{doubling}[a]\nrequirecalltoken=no\n");
    check_file(
        "iax.conf",
        &text,
        &["iax.conf: too large: the rest is not looked at"],
    );

    let chain = (1..12).fold(good(), |tree, n| {
        tree.with(
            &format!("/etc/asterisk/{n}.conf"),
            &format!("#include {}.conf\n", n + 1),
        )
    });
    let tree = chain.with(
        "/etc/asterisk/iax.conf",
        "[general]\nauthdebug=yes\n#include 1.conf\n",
    );
    check(
        tree,
        &["10.conf: cannot be read: too many files include each other"],
    );
}

#[test]
fn a_value_may_be_continued_and_a_later_one_overrides() {
    let text = "[general]\nauthdebug=no\nauthdebug=ye\nauthdebug+=s\n";
    check_file("iax.conf", text, &[]);
}
