//! sip.conf: what chan_sip does not log, and what it logs on the word of one packet.

use super::logger::Shown;
use super::places::Places;
use super::{Inquiry, Weight, is_off, is_on};

/// Judges the settings for all of chan_sip. OPTIONS and other methods without authentication leave nothing
/// either, but no setting changes that.
pub(super) fn judge(places: &Places, shown: Shown, inquiry: &mut Inquiry<'_>) {
    if !places.runs("chan_sip") {
        return;
    }
    let Some(conf) = inquiry.open("sip.conf") else {
        return;
    };
    let general = |key: &'static str| conf.last("general", key);
    let debug = general("sipdebug");
    if shown.packets && is_on(debug) {
        let what = "sipdebug shows every packet in a log that a jail follows, and near packets no line can \
                    be believed; sipdebug = no";
        inquiry.say(Weight::Unseen, conf.at_or_whole(debug), what);
    }
    let subscribe = general("allowsubscribe");
    if !is_off(subscribe) {
        let what = "password guessing by SUBSCRIBE leaves no address in any log; if no phone watches others \
                    (busy lamps), allowsubscribe = no in [general] ends it";
        inquiry.say(Weight::Unseen, conf.at_or_whole(subscribe), what);
    }
    let reject = general("alwaysauthreject");
    if is_off(reject) {
        let what = "one spoofed packet writes \"No matching peer found\" for any address, and callers learn \
                    which names exist; alwaysauthreject = yes";
        inquiry.say(Weight::Doubtful, conf.at_or_whole(reject), what);
    }
    let guest = general("allowguest");
    if !is_off(guest) {
        let state = if guest.is_some() { "" } else { " (the default)" };
        let what = format!(
            "anybody may place calls{state}, and one spoofed packet logs a failed one for any address; \
             allowguest = no, unless a trunk needs it"
        );
        inquiry.say(Weight::Doubtful, conf.at_or_whole(guest), what);
    }
}
