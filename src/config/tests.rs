//! Whole configurations: text in, jails, warnings or the exact mistake out.

use super::*;

/// Reads `text` as /c/jail.local, the only file there is.
fn read(text: &[u8]) -> Result<(Config, Vec<Warning>), Error> {
    load(Path::new("jail.local"), &mut |path| match path.to_str() {
        Some("jail.local") => Ok(text.to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

#[test]
fn the_built_in_configuration_is_what_enabling_its_jail_gives() {
    let (mut config, warnings) = read(b"[asterisk]\nenabled = true\n").unwrap();
    assert_eq!(warnings, []);
    for jail in &mut config.jails {
        jail.origins = Origins::default();
    }
    assert_eq!(config, Config::built_in());
}
#[test]
fn show() {
    for name in std::fs::read_dir("tests/data/howto")
        .unwrap()
        .map(|e| e.unwrap().path())
        .chain([
            "tests/data/article/jail.local".into(),
            "/etc/fail2ban/jail.conf".into(),
        ])
    {
        let text = std::fs::read(&name).unwrap();
        println!("=== {name:?}");
        match read(&text) {
            Ok((config, warnings)) => {
                println!("{}", describe(&config));
                for w in warnings {
                    println!("W {w}");
                }
            }
            Err(e) => println!("{e}"),
        }
    }
    for text in [
        "[asterisk]\nenabled = true\nbantime = 1x\nmaxretry = 0\nlogpth=1\n",
        "[a]\nx",
    ] {
        println!("{}", read(text.as_bytes()).unwrap_err());
    }
}
