//! iax.conf: what chan_iax2 does not log.

use super::places::Places;
use super::{Inquiry, Weight, is_on};

/// chan_iax2 writes no security events, and its messages on failed logins only with `authdebug`.
pub(super) fn judge(places: &Places, inquiry: &mut Inquiry<'_>) {
    if !places.runs("chan_iax2") {
        return;
    }
    let Some(conf) = inquiry.open("iax.conf") else {
        return;
    };
    let authdebug = conf.last("general", "authdebug");
    if !is_on(authdebug) {
        let state = match authdebug {
            Some(_) => "authdebug is off",
            None => "authdebug is not set (off since Asterisk 10)",
        };
        let what = format!(
            "{state}: password guessing over IAX2 leaves nothing in any log; authdebug = yes in [general] \
             shows it, noload => chan_iax2.so in modules.conf ends it"
        );
        inquiry.say(Weight::Unseen, conf.at_or_whole(authdebug), what);
    }
    if let Some(entry) = conf.last("general", "calltokenoptional") {
        let what = "calls from these networks need no call token, so their addresses can be spoofed in the \
                    log; without calltokenoptional they cannot";
        inquiry.say(Weight::Doubtful, conf.at(entry.place), what);
    }
    let mut lax = conf
        .sections()
        .filter_map(|section| section.last("requirecalltoken"));
    if let Some(entry) = lax.find(|entry| entry.is_no() || entry.is("auto")) {
        let what = "this peer needs no call token, so its address can be spoofed in the log; \
                    requirecalltoken = yes changes that";
        inquiry.say(Weight::Doubtful, conf.at(entry.place), what);
    }
}
