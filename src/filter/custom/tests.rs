//! Expressions and lines in, addresses, faults or weaknesses out.

use super::*;
use crate::limits::PATTERN_BYTES_MAX;

/// 2026-11-22 12:00:00, one hour ahead of UTC.
fn context() -> Context {
    Context {
        today: Wall(1_795_348_800),
        utc_offset_s: 3600,
    }
}

fn filter(prefix: Option<&str>, fail: &[&str], ignore: &[&str], dates: Dates) -> Custom {
    let pattern =
        |source: &str, role| Pattern::new(source, role).unwrap_or_else(|fault| panic!("{source}: {fault:?}"));
    Custom::new(Rc::new(Definition {
        name: "test".to_owned(),
        prefix: prefix.map(|source| pattern(source, Role::Prefix)),
        fail: fail.iter().map(|source| pattern(source, Role::Fail)).collect(),
        ignore: ignore
            .iter()
            .map(|source| pattern(source, Role::Ignore))
            .collect(),
        dates,
        proof: Proof::Blind,
    }))
}

fn shown(reading: Reading) -> String {
    match reading {
        Reading::Failure(failure) => failure.addr.to_string(),
        Reading::Nothing | Reading::Sign(_) => "-".to_owned(),
        Reading::Suspicious(suspicion) => format!("{suspicion:?}"),
    }
}

/// What the expression finds in the line, whose date is nowhere.
fn check(expression: &str, line: &str, want: &str) {
    let custom = filter(None, &[expression], &[], Dates::none());
    assert_eq!(
        shown(custom.read(line.as_bytes(), &context())),
        want,
        "{expression} in {line}"
    );
}

/// What is wrong with the expression: the part that is meant, and the sentence.
fn check_fault(expression: &str, part: &str, what: &str) {
    let fault = Pattern::new(expression, Role::Fail).expect_err(expression);
    let got = expression.get(fault.at..fault.at + fault.length);
    assert_eq!((got, fault.what), (Some(part), what), "{expression}");
}

#[test]
fn addresses_are_found_as_whole_words() {
    check("from <HOST>", "from 192.0.2.7", "192.0.2.7");
    check("from <HOST>", "from 192.0.2.7:5060 x", "192.0.2.7");
    check("from <HOST>", "from 192.0.2.7.", "192.0.2.7");
    check("from <HOST>", "from [2001:db8::7]:5060", "2001:db8::7");
    check("from <HOST>: ", "from 2001:db8::7: no", "2001:db8::7");
    check("from <HOST>", "from 2001:db8::7: no", "2001:db8::7");
    check("from <HOST>", "from ::ffff:192.0.2.7, x", "192.0.2.7");
    check("from '<HOST>(:\\d+)?'", "from '192.0.2.7:5060'", "192.0.2.7");
    check("/<HOST>/", "IPV4/UDP/192.0.2.7/5060", "-");
    check("UDP/<HOST>/", "IPV4/UDP/192.0.2.7/5060", "192.0.2.7");
    check("from <ADDR>", "from 192.0.2.7", "192.0.2.7");
    check("from <ADDR>,", "from 2001:db8::7, x", "2001:db8::7");
    check("from <IP4>", "from ::ffff:192.0.2.7", "192.0.2.7");
    check("from <IP6>", "from [2001:db8::7]", "2001:db8::7");
    check("from <IP6>", "from 192.0.2.7", "-");
    check("from (?P<host>\\S+)", "from 192.0.2.7 x", "192.0.2.7");
    check("for <F-ID>\\S+</F-ID> x", "for 192.0.2.7 x", "192.0.2.7");
}

#[test]
fn no_part_of_a_longer_word_is_an_address() {
    for tag in ["<HOST>", "<ADDR>", "<IP4>"] {
        for line in [
            "from 192.0.2.7.example.net",
            "from 192.0.2.7-evil",
            "from 192.0.2.7_x",
            "from 192.0.2.7é",
            "from 192.0.2.70.1.2",
        ] {
            let got = shown(
                filter(None, &[&format!("from {tag}")], &[], Dates::none()).read(line.as_bytes(), &context()),
            );
            assert!(got == "-" || got == "Ambiguous", "{tag} in {line}: {got}");
        }
    }
    check("from.*<ADDR>", "from 192.0.2.123", "Ambiguous");
    check("from.*<HOST>", "from 192.0.2.123", "-");
    check("\\D+<HOST>", "from x-1.2.3.4", "Ambiguous");
    check("x-<HOST>", "from x-1.2.3.4", "1.2.3.4");
    check("from <ADDR>\\.", "from 1.2.3.4.", "1.2.3.4");
    check("from <ADDR>\\.", "from 1.2.3.4.example.net.", "Ambiguous");
    check("from \\S*<IP4>", "from 2001:db8::1.2.3.4", "Ambiguous");
    check("from .*?<IP4>", "from 2001:db8::1.2.3.4", "Ambiguous");
    check("from <HOST>", "from 192.0.2.256", "-");
    check("from <HOST>", "from host.example.net", "-");
    check("from <HOST>", "from 127.0.0.1", "-");
    check("from <HOST>", "from 224.0.0.5", "-");
    check(
        "a (?P<ip4>\\S+) b (?P<ip6>\\S+)",
        "a 192.0.2.1 b 192.0.2.2",
        "Ambiguous",
    );
}

#[test]
fn python_is_understood() {
    check(
        r"^(?P<x>a)(b|c)*\s+\d{2,3}[^\]]x{,2} <HOST>\Z",
        "abc 12,xx 192.0.2.7",
        "192.0.2.7",
    );
    check(r"\A\x41\u0042\012? <HOST>", "AB 192.0.2.7", "192.0.2.7");
    check("(?i)FAILED from <HOST>", "failed FROM 192.0.2.7", "192.0.2.7");
    check(
        "(?:(?i)FAILED|x) from <HOST>",
        "failed FROM 192.0.2.7",
        "192.0.2.7",
    );
    check("(?i:FAILED) from <HOST>", "failed from 192.0.2.7", "192.0.2.7");
    check("(?i:FAILED) from <HOST>", "failed FROM 192.0.2.7", "-");
    check("a(?#comment)b <HOST>", "ab 192.0.2.7", "192.0.2.7");
    check("{x} {1 <HOST>", "{x} {1 192.0.2.7", "192.0.2.7");
    check(
        "[]a] [^]a] [a-c\\-] [\\w.]+ <HOST>",
        "] b - x.y 192.0.2.7",
        "192.0.2.7",
    );
    check(r"\[\]\(\)\.\*\<\> <HOST>", "[]().*<> 192.0.2.7", "192.0.2.7");
    check(
        "user <F-USER>.*?</F-USER> from <HOST>$",
        "user é from 1 from 192.0.2.7",
        "192.0.2.7",
    );
    check("<F-NOFAIL>ok</F-NOFAIL> <HOST>", "ok 192.0.2.7", "-");
    check("<not a tag> <HOST>", "<not a tag> 192.0.2.7", "192.0.2.7");
    check("^x", "x 192.0.2.7", "-");
}

#[test]
fn what_is_not_supported_is_told_with_what_to_write() {
    let write =
        "look-ahead is not supported; write what may stand here, or put what may not into ignoreregex";
    check_fault("a(?!b)<HOST>", "(?!", write);
    let write = "look-ahead is not supported; write what follows as part of the expression";
    check_fault("a(?=b)", "(?=", write);
    let write = "look-behind is not supported; write what stands before as part of the expression";
    check_fault("(?<=a)b", "(?<=", write);
    let write =
        "look-behind is not supported; write what may stand before, or put what may not into ignoreregex";
    check_fault("x(?<!a)b", "(?<!", write);
    let write = "back-references are not supported; write the group's expression again";
    check_fault("(a)\\1", "\\1", write);
    check_fault("(?P<a>b)(?P=a)", "(?P=", write);
    let write = "conditions are not supported; write one line of failregex for each case";
    check_fault("(a)?(?(1)b|c)", "(?(", write);
    check_fault("(?>a)", "(?>", "atomic groups are not supported; write (?:…)");
    let write = "possessive quantifiers are not supported; leave out the second +";
    check_fault("a*+", "*+", write);
    let write =
        "<SKIPLINES>: messages of several lines are not supported; match the line that has the address";
    check_fault("a<SKIPLINES>b", "<SKIPLINES>", write);
    let write = "networks are not banned by what a log says; write <ADDR>";
    check_fault("x <SUBNET>", "<SUBNET>", write);
    check_fault("x <ADDR>/<CIDR>", "<CIDR>", write);
    let write = "[:name:] is no class in Python either; write \\d, \\w, \\s or [A-Za-z]";
    check_fault("[[:alpha:]]", "[:", write);
    let write = "<HOST> stands here twice; name the address once, and write one line for each case";
    check_fault("<HOST>|<HOST>", "<HOST>|<HOST>", write);
    check_fault(
        "(?x) a",
        "(?x",
        "the flag x is not supported; leave out the blanks",
    );
}

#[test]
fn what_is_no_expression_is_told() {
    check_fault(
        "a(b",
        "(",
        "this group is not closed; write \\( for a bracket of the text",
    );
    check_fault(
        "a)b",
        ")",
        "this closes nothing; write \\) for a bracket of the text",
    );
    check_fault(
        "a[b",
        "[",
        "this class is not closed; write \\[ for a bracket of the text",
    );
    check_fault(
        "*a",
        "*",
        "there is nothing to repeat; write \\ before it as text",
    );
    check_fault("a**", "*", "this repeats a repetition; write one quantifier");
    check_fault(
        "[z-a]",
        "z-a",
        "this range is the wrong way round; write \\- for a dash",
    );
    check_fault("a\\", "\\", "a lone \\ at the end; write \\\\ for a backslash");
    check_fault(
        "\\y",
        "\\y",
        "this escape is not known; write the letter without \\",
    );
    check_fault("\\xg1", "\\x", "this names no character");
    check_fault(
        "a{3,2}",
        "{3,2}",
        "this count is too large, or its limits are the wrong way round",
    );
    let whole = "(a{250}){250}";
    let what = "this expression is too large when its repetitions are written out; split it, or repeat less";
    check_fault(whole, whole, what);
    let long = "a".repeat(PATTERN_BYTES_MAX + 1);
    check_fault(
        &long,
        &long,
        "this expression is too long; split it into several lines",
    );
    let deep = "(".repeat(40);
    let fault = Pattern::new(&deep, Role::Fail).unwrap_err();
    assert_eq!(fault.what, "groups are nested too deep");
}

#[test]
fn a_prefix_hands_on_its_content_and_ignoreregex_sees_only_that() {
    let custom = filter(
        Some("^ x: <F-CONTENT>.+</F-CONTENT> end$"),
        &["^fail <HOST>$"],
        &["^fail 192\\.0\\.2\\.9", "^ x"],
        Dates::any(),
    );
    let check =
        |line: &str, want: &str| assert_eq!(shown(custom.read(line.as_bytes(), &context())), want, "{line}");
    check("Nov 22 10:11:12 x: fail 192.0.2.7 end", "192.0.2.7");
    check("Nov 22 10:11:12 x: fail 192.0.2.9 end", "-");
    check("Nov 22 10:11:12 x: fail 192.0.2.7", "-");
    let custom = filter(
        Some("^ x: <F-CONTENT>.+</F-CONTENT> by <HOST>$"),
        &["^fail$"],
        &[],
        Dates::any(),
    );
    let reading = custom.read(b"Nov 22 10:11:12 x: fail by 192.0.2.7", &context());
    assert_eq!(shown(reading), "192.0.2.7");
}

/// The line without its date, and what the date says.
fn check_date(pattern: &str, line: &str, rest: &str, at: &str) {
    let mut dates = Dates::none();
    for line in pattern.lines() {
        dates
            .add(line)
            .unwrap_or_else(|fault| panic!("{pattern}: {fault:?}"));
    }
    let (got, stamp) = match dates.find(line, &context()) {
        None => (line.to_owned(), None),
        Some(found) => (
            format!("{}{}", &line[..found.start], &line[found.end..]),
            found.at,
        ),
    };
    let stamp = stamp.map_or("-".to_owned(), |stamp| stamp.to_string());
    assert_eq!((got.as_str(), stamp.as_str()), (rest, at), "{pattern} in {line}");
}

#[test]
fn the_known_dates_are_taken_out() {
    let at = "2026-11-22 10:11:12";
    let check = |line: &str, rest: &str| check_date("{DATE}", line, rest, at);
    check("Nov 22 10:11:12 host x", " host x");
    check("[Nov 22 10:11:12] NOTICE[1]", "[] NOTICE[1]");
    check("[2026-11-22 10:11:12] NOTICE[1]", "[] NOTICE[1]");
    check("2026-11-22T09:11:12.123456+00:00 host x", " host x");
    check("2026-11-22 10:11:12,123 fail2ban", " fail2ban");
    check("2026/11/22 10:11:12 [error]", " [error]");
    check("[Sun Nov 22 10:11:12.123 2026] [error]", "[] [error]");
    check(
        "1.2.3.4 - - [22/Nov/2026:10:11:12 +0100] \"GET",
        "1.2.3.4 - - [] \"GET",
    );
    check("22-Nov-2026 10:11:12.123 client", " client");
    check("22/11/2026 10:11:12 x", " x");
    check("22/11/26 10:11:12 x", " x");
    check("11/22/2026:10:11:12 x", " x");
    check("Nov 22, 2026 10:11:12 AM x", " x");
    check("Nov 22 2026 10:11:12 x", " x");
    check("20261122T101112 x", " x");
    check("1795338672 x", " x");
    check("[1795338672.123] x", "[] x");
    check(
        "type=X msg=audit(1795338672.123:44): x",
        "type=X msg=audit(:44): x",
    );
    check("<38>1 2026-11-22T09:11:12Z host x", "<38>1  host x");
    check("@400000006b02b1ba00000000 x", " x");
    let none = |line: &str| check_date("{DATE}", line, line, "-");
    none("no date");
    none("x2026-11-22 10:11:12");
    none("2026-11-22 10:11:12y");
    none("call 1795338672 x");
    none("2026-11-22 10:11 x");
}

#[test]
fn date_patterns_are_understood() {
    let at = "2026-11-22 10:11:12";
    check_date("{^LN-BEG}", "x 2026-11-22 10:11:12", "x 2026-11-22 10:11:12", "-");
    check_date(
        "{^LN-BEG}%Y-%m-%d %H:%M:%S",
        "[2026-11-22 10:11:12] x",
        "[] x",
        at,
    );
    check_date("{NONE}", "2026-11-22 10:11:12 x", "2026-11-22 10:11:12 x", "-");
    check_date("^L %d/%m/%Y - %H:%M:%S", "L 22/11/2026 - 10:11:12: x", ": x", at);
    check_date(
        "^[^\\[]*\\[({DATE})",
        "1.2.3.4 [22/Nov/2026:10:11:12 +0100] x",
        "1.2.3.4 [] x",
        at,
    );
    check_date("^<W>{DATE}", "<W>2026-11-22 10:11:12 x", " x", at);
    check_date(
        "^(?:%Y-)?%m-%d[ T]%H:%M:%S(?:\\.%f)?",
        "2026-11-22 10:11:12.5 x",
        " x",
        at,
    );
    check_date(
        "^(?:%Y-)?%m-%d[ T]%H:%M:%S(?:\\.%f)?",
        "11-22 10:11:12 x",
        " x",
        at,
    );
    check_date(
        "%d/%b[^/]*/%Y:%H:%M:%S %z",
        "x 22/Nov/2026:10:11:12 +0100 y",
        "x  y",
        at,
    );
    check_date("EPOCH", "x(1795338672.123:44): y", "x(:44): y", at);
    check_date("{^LN-BEG}Epoch", "[1795338672] x", "[] x", at);
    check_date("{^LN-BEG}TAI64N\n{^LN-BEG}", "2026-11-22 10:11:12 x", " x", at);
    check_date("^%b-%d-%Exy %H:%M:%S", "Nov-22-26 10:11:12 x", " x", at);
    check_date(
        "^%b %d, %ExY %I:%M:%S %p",
        "Nov 22, 2026 10:11:12 PM x",
        " x",
        "2026-11-22 22:11:12",
    );
    let separated = "{^LN-BEG}%ExY(?P<_sep>[-/.])%m(?P=_sep)%d[T ]%H:%M:%S(?:[.,]%f)?(?:\\s*%z)?";
    check_date(separated, "2026/11/22 10:11:12 [error]", " [error]", at);
    check_date("^%Y-%m-%d %H:%M:%S", "2026-13-22 10:11:12 x", " x", "-");
    for wrong in ["%Q", "(%Y", "^%Y(?!x)"] {
        assert!(Dates::none().add(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_expression_that_can_be_forged_is_known() {
    use Weakness::{Open, Unanchored};
    let check = |expression: &str, want: &[Weakness]| {
        let pattern = Pattern::new(expression, Role::Fail).unwrap();
        assert_eq!(pattern.weaknesses(), want, "{expression}");
    };
    check("^ x\\[\\d+\\]: fail from <HOST>", &[]);
    check("^ x: user .* from <HOST>$", &[]);
    check("^ x: user .* from <HOST> port \\d+$", &[]);
    check("^ x: user \\S+ from <HOST>", &[]);
    check("^ x: user .* from <HOST>", &[Open]);
    check("^ x: user .* from <HOST> .*$", &[Open]);
    check("^ x: '[^']*' from <HOST>", &[Open]);
    check("^(?:a|b.*) from <HOST>", &[Open]);
    check("fail from <HOST>$", &[Unanchored]);
    check("NOTICE.* failed for '<HOST>' - No", &[Unanchored, Open]);
    check("^a <HOST>|b <ADDR>", &[Unanchored]);
    check("(?:^a|^b) <HOST>", &[]);
}

#[test]
fn a_line_without_what_an_expression_needs_is_not_matched() {
    let needles = |expression: &str| {
        let (node, flags) = syntax::parse(expression).unwrap();
        literal::Needles::of(&node, flags)
    };
    let check = |expression: &str, line: &str, want: bool| {
        assert_eq!(
            needles(expression).may_match(b"", line.as_bytes()),
            want,
            "{expression} in {line}"
        );
    };
    check("^ x\\[\\d+\\]: failed <HOST>", " x[1]: failed 1", true);
    check("^ x\\[\\d+\\]: failed <HOST>", " x[1]: faild 1", false);
    check("a(?:bcd)?ef", "aef", true);
    check("(?:abc|def)x?", "def", true);
    check("(?:abc|def)x?", "abd", false);
    check("(?i)ABC", "xabCx", true);
    check("(?i)ABC", "xabx", false);
    check("ab(?i:CD)", "abcd", true);
    check("(?:abc)+", "ab", false);
    assert!(needles("\\d+ \\S+").is_empty());
    // What is cut out of a line may leave a text that stood nowhere.
    assert!(needles("\\[\\] \"GET").may_match(b"1.2.3.4 - - [", b"] \"GET"));
    assert!(needles("(?i)\\[\\] \"get").may_match(b"1.2.3.4 - - [", b"] \"GET"));
    assert!(!needles("\\[\\] \"GET").may_match(b"1.2.3.4 - - [", b"x] \"GET"));
}

#[test]
fn bytes_that_are_not_utf_8_neither_hide_nor_move_an_address() {
    let custom = filter(None, &["^user .* from <HOST>$"], &[], Dates::none());
    let check = |line: &[u8], want: &str| assert_eq!(shown(custom.read(line, &context())), want, "{line:?}");
    check(b"user \xff\xfe from 192.0.2.7", "192.0.2.7");
    check(b"user \xe2\x82 from 192.0.2.7", "192.0.2.7");
    check(b"user from 192.0.2.8\xff from 192.0.2.7", "192.0.2.7");
    check(b"user x from 192.0.2.7\xff", "-");
    let mut long = b"user ".to_vec();
    long.resize(LINE_BYTES_MAX - 15, 0xff);
    long.extend(b" from 192.0.2.7");
    check(&long, "192.0.2.7");
    long.insert(6, b'x');
    check(&long, "-");
}

#[test]
fn a_failure_says_when_and_how_sure() {
    let custom = filter(None, &["^ x: <HOST>$"], &[], Dates::any());
    let Reading::Failure(failure) = custom.read(b"Nov 22 10:11:12 x: 192.0.2.7", &context()) else {
        panic!("no failure");
    };
    assert_eq!(failure.kind.to_string(), "custom.auth");
    assert_eq!((failure.proof, failure.attempt), (Proof::Blind, None));
    assert_eq!(failure.at.unwrap().to_string(), "2026-11-22 10:11:12");
}

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

#[test]
fn random_expressions_and_lines_never_panic() {
    const PIECES: [&str; 48] = [
        "(",
        ")",
        "(?:",
        "(?P<ip4>",
        "(?i)",
        "[",
        "]",
        "[^",
        "-",
        "\\",
        "\\d",
        "\\S",
        "\\b",
        "\\Z",
        ".",
        "*",
        "+",
        "?",
        "{2}",
        "{,3}",
        "{",
        "}",
        "|",
        "^",
        "$",
        "<HOST>",
        "<ADDR>",
        "<IP6>",
        "<F-USER>",
        "</F-USER>",
        "<F-CONTENT>",
        "</F-CONTENT>",
        "a",
        "from ",
        "192.0.2.7",
        "::1",
        ":",
        "é",
        "\u{1a}",
        " ",
        "(?#",
        "\\x41",
        "\\u00e9",
        "%",
        "%Y",
        "{DATE}",
        "2026-11-22 10:11:12",
        "0",
    ];
    let mut random = Random(0x5eed_c057_0a11_0001);
    let mut good = 0;
    for _ in 0..6_000 {
        let mut text = |count: usize| -> String {
            (0..random.below(count))
                .map(|_| PIECES[random.below(PIECES.len())])
                .collect()
        };
        let (expression, line, datepattern) = (text(10), text(14), text(5));
        let mut dates = Dates::none();
        let _ = dates.add(&datepattern);
        for role in [Role::Fail, Role::Prefix, Role::Ignore] {
            match Pattern::new(&expression, role) {
                Ok(pattern) => {
                    good += 1;
                    let (prefix, fail) = match role {
                        Role::Prefix => (Some(pattern), Vec::new()),
                        Role::Fail | Role::Ignore => (None, vec![pattern]),
                    };
                    let custom = Custom::new(Rc::new(Definition {
                        name: String::new(),
                        prefix,
                        fail,
                        ignore: Vec::new(),
                        dates: core::mem::take(&mut dates),
                        proof: Proof::Blind,
                    }));
                    let _ = custom.read(line.as_bytes(), &context());
                }
                Err(fault) => {
                    let part = expression.get(fault.at..fault.at + fault.length);
                    assert!(
                        part.is_some() || fault.at == expression.len(),
                        "{expression}: {fault:?}"
                    );
                    assert!(!fault.what.contains("too large"), "{expression}");
                }
            }
        }
    }
    assert!(good > 1_000, "{good}");
}

#[test]
fn random_bytes_never_panic() {
    let custom = filter(
        Some("^<F-CONTENT>.*</F-CONTENT>"),
        &["<HOST>"],
        &["zzz"],
        Dates::any(),
    );
    let mut random = Random(0x5eed_c057_0a11_0002);
    for _ in 0..3_000 {
        let line: Vec<u8> = (0..random.below(120))
            .map(|_| u8::try_from(random.below(256)).unwrap())
            .collect();
        let _ = custom.read(&line, &context());
    }
}

#[test]
fn nothing_that_may_match_is_passed_over() {
    // The literal search against the expression alone, on random lines of its own pieces.
    let expressions = [
        "a(?:bc|bd)+e",
        "(?i)ab (?:c|dd)e",
        "x?ab{2}c",
        "(ab|ba)c",
        "a|bc",
        "^ab$|cd",
        "(?:ab){2,}c",
    ];
    let pieces = ["a", "b", "bb", "c", "d", "e", " ", "AB", "x"];
    let mut random = Random(0x5eed_c057_0a11_0003);
    for expression in expressions {
        let (node, flags) = syntax::parse(expression).unwrap();
        let needles = literal::Needles::of(&node, flags);
        let regex = pattern::compile(&emit::emit(&node, flags, &[], false).text).unwrap();
        for _ in 0..2_000 {
            let line: String = (0..random.below(9))
                .map(|_| pieces[random.below(pieces.len())])
                .collect();
            let cut = random.below(line.len() + 1);
            let (before, after) = line.split_at(cut);
            if regex.is_match(&line) {
                assert!(
                    needles.may_match(before.as_bytes(), after.as_bytes()),
                    "{expression} in {line}"
                );
            }
        }
    }
}

#[test]
fn names_are_handed_out_where_they_are_asked_for_and_only_whole() {
    let custom = |expression: &str| {
        Custom::new(Rc::new(Definition {
            name: "x".to_owned(),
            prefix: None,
            fail: vec![Pattern::new(expression, Role::Fail).unwrap()],
            ignore: Vec::new(),
            dates: Dates::none(),
            proof: Proof::Blind,
        }))
    };
    let check = |expression: &str, line: &str, want: Option<&str>| {
        for (custom, want) in [
            (custom(expression), None),
            (custom(expression).with_names(), want),
        ] {
            let reading = custom.read(line.as_bytes(), &Context::default());
            let mut found = None;
            custom.name(|name| found = Some(name.to_owned()));
            assert_eq!(found.as_deref(), want, "{line}");
            let is_failure = matches!(reading, Reading::Failure(_));
            assert_eq!(is_failure, line.contains("192.0.2.1"), "{line}: {reading:?}");
        }
    };
    let loose = "^fail from <HOST>";
    check(loose, "fail from a.example", Some("a.example"));
    check(loose, "fail from a.example port 1", Some("a.example"));
    check(loose, "fail from 192.0.2.1", None);
    check(loose, "fail from 1.2.3", None);
    check(loose, "fail from -x.example", None);
    check(loose, "fail from a..example", None);
    check(loose, "fail from a.example^", None);
    check(loose, "fail from $(reboot)", None);
    check(loose, &format!("fail from {}", "a".repeat(300)), None);
    check("^fail from <ADDR>$", "fail from a.example", None);
    check(
        "^fail from (?P<host>\\S+) or (?P<dns>\\S+)$",
        "fail from a.example or b.example",
        None,
    );
    // What was kept of the line before is gone.
    let custom = custom(loose).with_names();
    let _ = custom.read(b"fail from a.example", &Context::default());
    let _ = custom.read(b"fail from 192.0.2.1", &Context::default());
    custom.name(|name| panic!("{name}"));
}
