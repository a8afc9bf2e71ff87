//! `filter = NAME`: files, options, tags, and the user's mistakes in them, word for word.

use super::*;
use crate::filter::custom::{Custom, Definition};
use crate::filter::{Context, Proof, Reading};
use std::rc::Rc;

/// A jail.local whose jail has these lines, and one filter file.
fn load_with(lines: &str, files: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Error> {
    let main = format!("[gate]\nenabled = true\nlogpath = /l\n{lines}\n");
    let mut all: Vec<(&str, &[u8])> = vec![("/c/jail.local", main.as_bytes())];
    all.extend(files.iter().map(|(name, text)| (*name, text.as_bytes())));
    read_files(&all)
}

fn definition(config: &Config) -> Rc<Definition> {
    match (&config.jails[0].filter, &config.jails[0].own) {
        (FilterName::Custom(definition), None) | (_, Some(definition)) => Rc::clone(definition),
        (_, None) => panic!("no filter of the user's own"),
    }
}

/// The address that the line counts against.
fn counted(config: &Config, line: &str) -> String {
    match Custom::new(definition(config)).read(line.as_bytes(), &Context::default()) {
        Reading::Failure(failure) => failure.addr.to_string(),
        reading @ (Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_)) => format!("{reading:?}"),
    }
}

/// With this filter.d/f.conf, the line counts against 192.0.2.7.
fn check(filter: &str, text: &str, line: &str) {
    let (config, _) = load_with(&format!("filter = {filter}"), &[("/c/filter.d/f.conf", text)]).unwrap();
    assert_eq!(counted(&config, line), "192.0.2.7", "{filter} {text}");
}

/// The mistakes in this filter.d/f.conf.
fn check_mistake(text: &str, want: &str) {
    let error = load_with("filter = f", &[("/c/filter.d/f.conf", text)]).expect_err(text);
    assert_eq!(error.to_string(), want, "{text}");
}

#[test]
fn a_filter_stands_beside_the_jail_or_in_fail2bans_folder() {
    let text = "[Definition]\nfailregex = ^x <HOST>$\n";
    for file in [
        "/c/filter.d/f.conf",
        "/c/filter.d/f.local",
        "/etc/fail2ban/filter.d/f.conf",
    ] {
        let (config, warnings) = load_with("filter = f", &[(file, text)]).unwrap();
        assert_eq!(
            (counted(&config, "x 192.0.2.7").as_str(), warnings.len()),
            ("192.0.2.7", 0),
            "{file}"
        );
    }
    let other = "[Definition]\nfailregex = ^y <HOST>$\n";
    let files = [("/c/filter.d/f.conf", text), ("/c/filter.d/f.local", other)];
    let (config, _) = load_with("filter = f", &files).unwrap();
    assert_eq!(counted(&config, "y 192.0.2.7"), "192.0.2.7");
    let error = load_with("filter = f", &[]).unwrap_err();
    assert!(
        error.to_string().contains("no enabled jail has a filter"),
        "{error}"
    );
}

#[test]
fn options_and_tags_are_resolved_as_in_fail2ban() {
    let text = "[Definition]\nmode = normal\nfailregex = ^a-%(mode)s <HOST>$\n  ^<b> <s/x> <iopt> <mre-<mode>> <HOST>$\n\
        b = b-<mode>\nmre-normal = nn\nmre-hard = hh\n[Init]\niopt = ii\n[s]\nx = sx\n";
    check("f", text, "a-normal 192.0.2.7");
    check("f[mode=hard]", text, "a-hard 192.0.2.7");
    check("f", text, "b-normal sx ii nn 192.0.2.7");
    check("f[mode=hard, iopt=\"z, z\"]", text, "b-hard sx z, z hh 192.0.2.7");
    check("f[mode=extra]", text, "b-extra sx ii <mre-extra> 192.0.2.7");
    let error = load_with("filter = f[mode=(]", &[("/c/filter.d/f.conf", text)]).unwrap_err();
    let want = "/c/jail.local:4:17: failregex: this group is not closed; write \\( for a bracket of the text\n\
        \x20 4 | filter = f[mode=(]\n    |                 ^";
    assert!(error.to_string().starts_with(want), "{error}");
    check_mistake(
        "[Definition]\na = x<b>\nb = <a>\nfailregex = <a> <HOST>\n",
        "/c/filter.d/f.conf:3:5: failregex: this refers to itself, or to too many others\n\
         \x20 3 | b = <a>\n    |     ^~~",
    );
}

#[test]
fn included_files_are_found_in_fail2bans_folder_and_the_common_prefix_without_one() {
    let text = "[INCLUDES]\nbefore = common.conf\n[Definition]\n_daemon = sip\nfailregex = ^%(__prefix_line)sno <HOST>$\n";
    let files = [
        ("/c/filter.d/f.conf", text),
        (
            "/etc/fail2ban/filter.d/common.conf",
            "[DEFAULT]\n__prefix_line = pre \n",
        ),
    ];
    let (config, warnings) = load_with("filter = f", &files).unwrap();
    assert_eq!(
        (counted(&config, "preno 192.0.2.7").as_str(), warnings.len()),
        ("192.0.2.7", 0)
    );
    check("f", text, "Nov 22 10:11:12 host sip[12]: no 192.0.2.7");
    check("f", text, "Nov 22 10:11:12 host auth.info sip: no 192.0.2.7");
}

#[test]
fn a_mistake_in_a_filter_is_shown_where_it_is_written() {
    check_mistake(
        "[Definition]\nno = (?!x)\nfailregex = ^a <HOST>\n  ^b %(no)s\n  (c\\1\nmaxlines = 2\nproof = sure\ndatepattern = %%Q\n",
        "/c/filter.d/f.conf:2:6: failregex: look-ahead is not supported; write what may stand here, or put what may \
         not into ignoreregex\n  2 | no = (?!x)\n    |      ^~~\n\
         /c/filter.d/f.conf:5:5: failregex: back-references are not supported; write the group's expression again\n\
         \x20 5 |   (c\\\\1\n    |     ^~~\n\
         /c/filter.d/f.conf:6:12: maxlines: messages of several lines are not supported; match the line that has \
         the address\n  6 | maxlines = 2\n    |            ^\n\
         /c/filter.d/f.conf:7:9: proof: \"sure\" is neither blind nor transport\n  7 | proof = sure\n    |         ^~~~\n\
         /c/filter.d/f.conf:8:15: datepattern: this % is not known; use %Y %m %d %b %H %M %S %z and \
         their like\n  8 | datepattern = %%Q\n    |               ^~",
    );
    let none = "/c/jail.local: filter f of [gate] has no failregex";
    check_mistake("[Definition]\nignoreregex = x\n", none);
    let error = load_with("filter = ../f", &[]).unwrap_err().to_string();
    let want = "/c/jail.local:4:10: filter: \"../f\" is not a filter's name; use name or name[option=value]";
    assert_eq!(error.lines().next(), Some(want));
}

#[test]
fn what_can_be_forged_or_never_counts_is_said_once_for_each_reason() {
    let text =
        "[Definition]\nfailregex = no <HOST>\n ^user .* no <HOST>\n no .* <HOST>\n ^a <F-USER>b</F-USER>$\n";
    let (_, warnings) = load_with("filter = f", &[("/c/filter.d/f.conf", text)]).unwrap();
    let said = warned(&warnings);
    let heads: Vec<&str> = said.lines().map(|line| line.split(',').next().unwrap()).collect();
    let want = [
        "/c/filter.d/f.conf:2: filter f: failregex (and 1 more) is not anchored",
        "/c/filter.d/f.conf:3: filter f: failregex (and 1 more) lets any text stand before the address",
        "/c/filter.d/f.conf:5: filter f: failregex has no <HOST> and never counts: lines are not tied together by \
         <F-MLFID>",
    ];
    assert_eq!(heads, want);
}

#[test]
fn a_jail_has_expressions_of_its_own() {
    let text = "[Definition]\nfailregex = ^x <HOST>$\n";
    let lines = "filter = f\nfailregex = ^y <HOST>$\n   ^z <HOST>$\nignoreregex = ^z 192";
    let (config, warnings) = load_with(lines, &[("/c/filter.d/f.conf", text)]).unwrap();
    assert_eq!(warnings, []);
    for (line, want) in [
        ("x 192.0.2.7", "192.0.2.7"),
        ("y 192.0.2.7", "192.0.2.7"),
        ("z 192.0.2.7", "Nothing"),
        ("z 198.51.100.7", "198.51.100.7"),
    ] {
        assert_eq!(counted(&config, line), want);
    }
    let (config, _) = load_with(
        "filter = asterisk\nfailregex = ^y <HOST>$\nprotocol = tcp,udp",
        &[],
    )
    .unwrap();
    assert_eq!(config.jails[0].filter, FilterName::Asterisk);
    assert_eq!(counted(&config, "y 192.0.2.7"), "192.0.2.7");
    let error = load_with("filter = asterisk\nfailregex = ^y (?=x)", &[])
        .unwrap_err()
        .to_string();
    let want = "/c/jail.local:5:16: failregex: look-ahead is not supported; write what follows as part of the expression";
    assert_eq!(error.lines().next(), Some(want));
}

#[test]
fn the_proof_is_the_filters_or_follows_from_what_is_guarded() {
    let proof = |lines: &str, text: &str| {
        let text = format!("[Definition]\nfailregex = ^x <HOST>$\n{text}");
        let (config, _) =
            load_with(&format!("filter = f\n{lines}"), &[("/c/filter.d/f.conf", &text)]).unwrap();
        definition(&config).proof
    };
    assert_eq!(proof("protocol = tcp", ""), Proof::Transport);
    assert_eq!(proof("protocol = udp", ""), Proof::Blind);
    assert_eq!(proof("protocol = tcp,udp", ""), Proof::Blind);
    assert_eq!(proof("action =", ""), Proof::Blind);
    assert_eq!(proof("protocol = tcp", "proof = blind\n"), Proof::Blind);
    assert_eq!(
        proof("protocol = udp", "[Init]\nproof = transport\n"),
        Proof::Transport
    );
}

#[test]
fn built_in_filters_stay_built_in() {
    let own = [("/c/filter.d/sshd.conf", "[Definition]\nfailregex = ^x <HOST>$\n")];
    let (config, warnings) = load_with("filter = sshd[mode=aggressive]", &own).unwrap();
    assert_eq!(config.jails[0].filter, FilterName::Sshd(sshd::Mode::Aggressive));
    let want = "/c/jail.local:4: the built-in filter sshd is used, not /c/filter.d/sshd.conf; to use the file, give it \
        and filter = another name\n";
    assert_eq!(warned(&warnings), want);
    let (config, _) = load_with("filter = sshd\nmode = ddos", &[]).unwrap();
    assert_eq!(config.jails[0].filter, FilterName::Sshd(sshd::Mode::Ddos));
    let error = load_with("filter = sshd[mode=hard]", &[])
        .unwrap_err()
        .to_string();
    let want = "/c/jail.local:4:20: mode: \"hard\" is none of normal, ddos, extra, aggressive";
    assert_eq!(error.lines().next(), Some(want));
}
