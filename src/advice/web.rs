//! http.conf, ari.conf and manager.conf: logins over HTTP.

use super::conf::{Conf, Entry};
use super::places::Places;
use super::{Inquiry, Weight, is_off, is_on};

/// ARI logs no wrong password, in no version; the manager's login names may hold line breaks if they come by
/// HTTP. Both only matter if the HTTP server can be reached from outside.
pub(super) fn judge(places: &Places, inquiry: &mut Inquiry<'_>) {
    let Some(http) = inquiry.open("http.conf") else {
        return;
    };
    let Some(bound) = reachable(&http) else {
        return;
    };
    ari(places, http.at(bound.place), inquiry);
    let Some(manager) = inquiry.open("manager.conf") else {
        return;
    };
    let general = |key: &'static str| manager.last("general", key);
    if let Some(entry) = general("webenabled").filter(|entry| entry.is_yes() && is_on(general("enabled"))) {
        let what = "logins over HTTP may hold line breaks, and so write whole lines into messages and \
                    security; webenabled = no, or bindaddr = 127.0.0.1 in http.conf";
        inquiry.say(Weight::Doubtful, manager.at(entry.place), what);
    }
}

fn ari(places: &Places, bound: String, inquiry: &mut Inquiry<'_>) {
    if !places.runs("res_ari") {
        return;
    }
    let Some(ari) = inquiry.open("ari.conf") else {
        return;
    };
    let is_user = |entry: &Entry| entry.is("user");
    let has_users = ari
        .sections()
        .any(|section| section.last("type").is_some_and(is_user));
    if has_users && !is_off(ari.last("general", "enabled")) {
        let what = "ARI can be reached, and guessing its passwords leaves nothing in any log; bindaddr = \
                    127.0.0.1, or enabled = no in ari.conf";
        inquiry.say(Weight::Unseen, bound, what);
    }
}

/// Where the HTTP server is bound to an address that others can reach. Without `bindaddr` it does not run.
fn reachable(http: &Conf) -> Option<&Entry> {
    let general = http.section("general")?;
    if !is_on(general.last("enabled")) {
        return None;
    }
    let plain = general.last("bindaddr")?;
    let tls = general
        .last("tlsbindaddr")
        .filter(|_| is_on(general.last("tlsenable")));
    [Some(plain), tls]
        .into_iter()
        .flatten()
        .find(|entry| !is_loopback(&entry.value))
}

fn is_loopback(address: &[u8]) -> bool {
    let named = [&b"127."[..], b"::1", b"[::1]", b"localhost"];
    named.iter().any(|name| address.starts_with(name))
}
