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
