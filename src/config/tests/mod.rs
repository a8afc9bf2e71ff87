//! Whole configurations: text in, jails, warnings or the exact mistake out.

use super::*;

mod actions;
mod feeds;
mod filters;
mod grammar;
mod ignore;
mod jails;
mod mistakes;
mod random;
mod real;

/// Reads `text` as jail.local, the only file there is.
fn read(text: &str) -> Result<(Config, Vec<Warning>), Error> {
    read_files(&[("jail.local", text.as_bytes())])
}

/// Reads the first of `files`; the others are there to be included.
fn read_files(files: &[(&str, &[u8])]) -> Result<(Config, Vec<Warning>), Error> {
    let (main, _) = files[0];
    load(Path::new(main), &mut |path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, bytes)| bytes.to_vec())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    })
}

/// The warnings as they are printed, one a line.
fn warned(warnings: &[Warning]) -> String {
    warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

#[test]
fn the_built_in_configuration_is_what_enabling_its_jail_gives() {
    let (mut config, warnings) = read("[asterisk]\nenabled = true\n").unwrap();
    assert_eq!(warnings, []);
    for jail in &mut config.jails {
        jail.origins = Origins::default();
    }
    assert_eq!(config, Config::built_in());
}

#[test]
fn a_file_without_a_jail_configures_the_built_in_one() {
    let (config, warnings) = read("[DEFAULT]\nmaxretry = 3\nignoreip = 10.0.0.0/8\n").unwrap();
    assert_eq!(config.jails.len(), 1);
    assert_eq!(
        (config.jails[0].name.as_str(), config.jails[0].maxretry),
        ("asterisk", 3)
    );
    let want = "no jail in this file: the built-in jail asterisk is in force\n";
    assert_eq!(warned(&warnings), want);
    let (config, _) = read("").unwrap();
    assert_eq!(config, Config::built_in());
}

#[test]
fn the_description_says_what_is_read_and_what_is_blocked() {
    let text =
        "[DEFAULT]\nbantime = -1\n[asterisk]\nenabled = true\nport = sip, 5070:5080\nignoreip = 10.0.0.1/8\n";
    let (config, _) = read(text).unwrap();
    let want = "\
jail asterisk
  filter      asterisk                                 built in
  logpath     /var/log/asterisk/messages               built in
  logpath     /var/log/asterisk/messages.log           built in
  logpath     /var/log/asterisk/security               built in
  logpath     /var/log/asterisk/security.log           built in
  maxretry    5 failures                               built in
  findtime    within 10m                               built in
  bantime     for ever                                 jail.local:2
  counting    evidence: by who it may be               built in
  ignoreip    10.0.0.0/8                               jail.local:6
  action      drops tcp and udp to port 5060,5070-5080 jail.local:5
  reach       proof: if unproven, not what answers us  built in

all jails
  firewall    auto                                     built in
  ring        4096 failures                            built in
  maxbans     131072                                   built in
  ipv6prefix  /64                                      built in
  user        sipguard if there is one, else nobody    built in
  readlogs    auto                                     built in
  dbfile      /var/lib/sipguard/bans                   built in
  dbpurgeage  1d                                       built in
  onstop      keep: bans stay in force                 built in
  socket      /run/sipguard/sipguard.sock              built in";
    assert_eq!(describe(&config).to_string(), want);
}

#[test]
fn a_file_that_is_not_there_is_told_from_one_with_mistakes() {
    let error = load(Path::new("/c/jail.local"), &mut |_| {
        Err(io::Error::from(io::ErrorKind::NotFound))
    });
    let error = error.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "cannot read /c/jail.local: entity not found");
    assert!(!read("[a]\nx\n").unwrap_err().is_not_found());
}
