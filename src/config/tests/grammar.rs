//! The grammar and the references, each case tried on Debian's fail2ban 1.0.2 where it takes it.

use super::ini::{DEFAULT, Hash, Ini};

/// The resolved value of `key` in `[a]` of the file; `Err` is what is wrong, or that there is none.
fn check(text: &[u8], key: &str, want: Result<&str, &str>) {
    let mut ini = Ini::new(|_, _| None);
    let shown = String::from_utf8_lossy(text);
    let value = match ini.add("x.conf", text.to_vec(), Hash::Text) {
        Ok(number) => {
            ini.layer(number);
            ini.resolve("a", key)
        }
        Err(wrong) => Err(wrong),
    };
    match (value, want) {
        (Ok(Some(value)), want) => assert_eq!(Ok(value.text()), want, "{shown}"),
        (Ok(None), want) => assert_eq!(Err("none"), want, "{shown}"),
        (Err(wrong), want) => assert_eq!(Err(wrong.what.as_str()), want, "{shown}"),
    }
}

#[test]
fn comments() {
    let comments =
        b"[a] ; c\n# c\n; c\n  # c\nk = 1 ; c\nl = 1 # c\nm = 1;x\nn = a b\t; c\no = ; c\np = \"1 ; 2\"\n";
    check(comments, "k", Ok("1"));
    check(comments, "l", Ok("1 # c"));
    check(comments, "m", Ok("1;x"));
    check(comments, "n", Ok("a b"));
    check(comments, "o", Ok(""));
    check(comments, "p", Ok("\"1"));
}

#[test]
fn a_hash_begins_a_comment_in_jail_local_only() {
    let mut ini = Ini::new(|_, _| None);
    let number = ini.add("x", b"[a]\nk = 1 # c\nl = 1#x\n".to_vec(), Hash::Comment);
    ini.layer(number.unwrap());
    assert_eq!(ini.resolve("a", "k").unwrap().unwrap().text(), "1");
    assert_eq!(ini.resolve("a", "l").unwrap().unwrap().text(), "1#x");
}

#[test]
fn keys_and_values() {
    let text =
        b"[a]\nk: 1\nl : 2\nm=a:b\nn:a=b\nK UP = 3\n\xe3\x82\xad\xe3\x83\xbc\xe3\x80\x80=\xe3\x80\x804\n";
    check(text, "k", Ok("1"));
    check(text, "l", Ok("2"));
    check(text, "m", Ok("a:b"));
    check(text, "n", Ok("a=b"));
    check(text, "k up", Ok("3"));
    check(text, "キー", Ok("4"));
    check(text, "absent", Err("none"));
}

#[test]
fn lines_that_continue_a_value() {
    check(
        b"[a]\nk = 1\n  2\n ; c\n  3\n\n  4\nl = 5\n",
        "k",
        Ok("1\n2\n3\n\n4"),
    );
    check(b"[a]\nk = 1\n\n\nl = 5\n", "k", Ok("1"));
    check(b"[a]\nk =\n  x\n", "k", Ok("\nx"));
    check(b"[a]\nk = 1\n; c\n  3\n", "k", Ok("1\n3"));
    check(b"[a]\nk = a\n  b = c\n  d\n", "k", Ok("a\nb = c\nd"));
    check(b"[a]\n  k=1\n  l=2\n m=3\n", "l", Ok("2"));
    check(b"[a]\n  k=1\n    l=2\n", "k", Ok("1\nl=2"));
    check(b"[a]\nk = 1\n  [b]\n", "k", Ok("1\n[b]"));
}

#[test]
fn blanks_of_other_keyboards() {
    let text = "[a]\nk = 1\n　; c\n　# c\n　2　; c\nl　=　3\n";
    check(text.as_bytes(), "k", Ok("1\n2"));
    check(text.as_bytes(), "l", Ok("3"));
    check(
        b"[a]\nk = \x83\x5c ; x\n",
        "k",
        Err("this byte is not UTF-8; save the file as UTF-8"),
    );
}

#[test]
fn default_may_come_in_pieces() {
    let text = b"[DEFAULT]\nx=1\n[a]\nk=%(x)s%(y)s\n[DEFAULT]\ny=2\n";
    check(text, "k", Ok("12"));
    let twice = b"[DEFAULT]\nx=1\n[a]\n[DEFAULT]\nx=2\n";
    check(
        twice,
        "x",
        Err("this key is already set at line 2; remove one of the two"),
    );
}

#[test]
fn windows_and_odd_encodings() {
    check(b"\xef\xbb\xbf[a]\r\nk = 1\r\n  2\r\n", "k", Ok("1\n2"));
    check(b"[a]\n; \x8c\xf8\x82\xab\nk = 1 ; \xff\n", "k", Ok("1"));
    check(
        b"[a]\nk = \xff\n",
        "k",
        Err("this byte is not UTF-8; save the file as UTF-8"),
    );
    check(b"[a]\nk = 1", "k", Ok("1"));
}

#[test]
fn lines_that_are_nothing() {
    let neither = "this is neither a [section] nor key = value; a line that continues a value is indented";
    check(b"[a]\nk\n", "k", Err(neither));
    check(b"[a]\n= 2\n", "k", Err(neither));
    check(b"[]\n", "k", Err(neither));
    check(
        b"k = 1\n",
        "k",
        Err("a key before the first [section]; put [DEFAULT] above it"),
    );
    check(
        b"[a]\nk=1\nK=2\n",
        "k",
        Err("this key is already set at line 2; remove one of the two"),
    );
    check(
        b"[a]\nk=1\n[b]\n[a]\n",
        "k",
        Err("this section is already at line 1; make one of the two"),
    );
}

#[test]
fn references() {
    let text =
        b"[DEFAULT]\nx=1\ny=%(x)s\nn=%(__name__)s\n[b]\nq=7\nr=%(x)s\n[a]\nx=2\nz=%(y)s\nu=%(b/q)s%(b/r)s\n\
        v=%(default/x)s%(DEFAULT/x)s\nw=%(known/x)s\nd=%%(x)s\nX2=%(X)s\n";
    check(text, "z", Ok("2"));
    check(text, "n", Ok("a"));
    // A value of another section is resolved as if it stood here.
    check(text, "u", Ok("72"));
    check(text, "v", Ok("11"));
    check(text, "w", Ok("1"));
    check(text, "d", Ok("%(x)s"));
    check(text, "x2", Ok("2"));
    check(b"[DEFAULT]\nx=1\n[a]\nx=%(known/x)s 2\n", "x", Ok("1 2"));
    check(b"[a]\nl=x\n  y\nz=%(l)s\n  q\n", "z", Ok("x\ny\nq"));
}

#[test]
fn references_that_lead_nowhere() {
    let lone = "a lone %; write %% for a percent sign, or %(name)s for another key's value";
    for lone_percent in ["z=a%b", "z=50%", "z=%(", "z=%()s", "z=%(y)", "z=%(y)d"] {
        check(format!("[a]\n{lone_percent}\n").as_bytes(), "z", Err(lone));
    }
    check(b"[a]\nz=%(zz)s\n", "z", Err("there is no zz in [a] or [DEFAULT]"));
    check(
        b"[a]\nz=%(known/z)s\n",
        "z",
        Err("there is no known/z in [a] or [DEFAULT]"),
    );
    check(
        b"[a]\nz=%(y)s\ny=%(z)s\n",
        "z",
        Err("%(y)s refers to itself, or to too many others"),
    );
    let many = format!("[a]\nx=\nz={}\n", "%(x)s".repeat(2_000));
    check(
        many.as_bytes(),
        "z",
        Err("%(x)s refers to itself, or to too many others"),
    );
    let doubling: String = (1..=10)
        .map(|n| format!("k{n}=%(k{0})s%(k{0})s%(k{0})s%(k{0})s\n", n - 1))
        .collect();
    let long = format!("[a]\nk0={}\n{doubling}", "x".repeat(100_000));
    check(
        long.as_bytes(),
        "k5",
        Err("the value gets longer than 262144 bytes"),
    );
}

#[test]
fn every_byte_of_a_value_knows_its_place() {
    let mut ini = Ini::new(|section, key| (section == DEFAULT && key == "base").then_some("<%(y)s>"));
    let text = b"[DEFAULT]\ny = yes\n[a]\nz = in %(y)s\n   and %(base)s\n";
    let number = ini.add("x", text.to_vec(), Hash::Text).unwrap();
    ini.layer(number);
    let value = ini.resolve("a", "z").unwrap().unwrap();
    assert_eq!(value.text(), "in yes\nand <yes>");
    let at = |part: &str| {
        let start = value.text().rfind(part).unwrap();
        let origin = ini
            .origin(value.wrong(&value.text()[start..start + part.len()], "").place)
            .unwrap();
        (origin.line, origin.column)
    };
    assert_eq!(at("in"), (4, 5));
    assert_eq!(at("and"), (5, 4));
    assert_eq!(at("yes>"), (2, 5));
    assert_eq!(
        at("<"),
        (4, 5),
        "a built-in part counts as written where the value begins"
    );
}
