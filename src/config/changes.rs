//! What another configuration changes, for who asked for it.

use super::{Config, Jail};

/// What differs between two configurations, a sentence each: jails that come and go, and keys; nothing of where
/// they are written.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let find = |config: &'_ Config, name: &str| config.jails.iter().any(|jail| jail.name == name);
    let added = new.jails.iter().filter(|jail| !find(old, &jail.name));
    let removed = old.jails.iter().filter(|jail| !find(new, &jail.name));
    let mut found: Vec<String> = added.map(|jail| format!("added jail {}", jail.name)).collect();
    found.extend(removed.map(|jail| format!("removed jail {}", jail.name)));
    for jail in &new.jails {
        let before = old.jails.iter().find(|before| before.name == jail.name);
        let keys = before.map_or_else(Vec::new, |before| keys_of_jail(before, jail));
        if !keys.is_empty() {
            found.push(format!("jail {}: {}", jail.name, keys.join(", ")));
        }
    }
    let keys = keys_of_all(old, new);
    if !keys.is_empty() {
        found.push(format!("all jails: {}", keys.join(", ")));
    }
    found
}

fn keys_of_jail(old: &Jail, new: &Jail) -> Vec<&'static str> {
    let Jail {
        name: _,
        filter,
        own,
        feed,
        logpaths,
        logpaths_guessed: _,
        maxretry,
        findtime,
        bantime,
        bantime_unproven,
        escalation,
        evidence,
        ignoreip,
        ignorenames,
        ignorecommand,
        usedns,
        blocks,
        reach,
        actions,
        maxmatches,
        origins: _,
    } = new;
    // What nobody wrote is what `maxretry` is.
    let follows = (*maxmatches, old.maxmatches) == (*maxretry, old.maxretry);
    differing(&[
        ("filter", *filter != old.filter),
        ("failregex", *own != old.own),
        ("backend", *feed != old.feed),
        ("logpath", *logpaths != old.logpaths),
        ("maxretry", *maxretry != old.maxretry),
        ("findtime", *findtime != old.findtime),
        ("bantime", *bantime != old.bantime),
        ("bantime.unproven", *bantime_unproven != old.bantime_unproven),
        ("bantime.increment", *escalation != old.escalation),
        ("counting", *evidence != old.evidence),
        (
            "ignoreip",
            (ignoreip, ignorenames) != (&old.ignoreip, &old.ignorenames),
        ),
        ("ignorecommand", *ignorecommand != old.ignorecommand),
        ("usedns", *usedns != old.usedns),
        ("action", (blocks, actions) != (&old.blocks, &old.actions)),
        ("maxmatches", *maxmatches != old.maxmatches && !follows),
        ("reach", *reach != old.reach),
    ])
}

fn keys_of_all(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        jails: _,
        firewall,
        ring,
        maxbans,
        ipv6prefix,
        dbfile,
        dbshort,
        dbpurgeage,
        onstop,
        socket,
        user,
        loglevel,
        readlogs,
        notifyuser,
        origins: _,
    } = new;
    differing(&[
        ("firewall", *firewall != old.firewall),
        ("ring", *ring != old.ring),
        ("maxbans", *maxbans != old.maxbans),
        ("ipv6prefix", *ipv6prefix != old.ipv6prefix),
        ("dbfile (in force after a restart)", *dbfile != old.dbfile),
        ("dbshort (in force after a restart)", *dbshort != old.dbshort),
        ("dbpurgeage", *dbpurgeage != old.dbpurgeage),
        ("onstop", *onstop != old.onstop),
        ("loglevel", *loglevel != old.loglevel),
        ("user (in force after a restart)", *user != old.user),
        ("readlogs (in force after a restart)", *readlogs != old.readlogs),
        (
            "notifyuser (in force after a restart)",
            *notifyuser != old.notifyuser,
        ),
        ("socket (in force after a restart)", *socket != old.socket),
    ])
}

fn differing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    let differing = keys.iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| *key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        let read = &mut |_: &std::path::Path| Ok(text.as_bytes().to_vec());
        super::super::load(std::path::Path::new("jail.local"), read)
            .unwrap()
            .0
    }

    #[track_caller]
    fn check(old: &str, new: &str, want: &[&str]) {
        assert_eq!(changes(&read(old), &read(new)), want);
    }

    #[test]
    fn what_changes_is_named() {
        let jail = "[asterisk]\nenabled = true\n";
        check(jail, jail, &[]);
        check(jail, "# moved\n\n[asterisk]\nenabled = true\nmaxretry = 5\n", &[]);
        check(
            jail,
            "[asterisk]\nenabled = true\nmaxretry = 3\nbantime = -1\n",
            &["jail asterisk: maxretry, bantime"],
        );
        check(
            jail,
            "[DEFAULT]\nring = 100\nsocket = /run/s\n[sshd]\nenabled = true\n",
            &[
                "added jail sshd",
                "removed jail asterisk",
                "all jails: ring, socket (in force after a restart)",
            ],
        );
    }
}
