//! pjsip.conf: what chan_pjsip does not log.

use super::conf::{Conf, Entry, Section};
use super::logger::Shown;
use super::places::Places;
use super::{Inquiry, Weight};

/// Judges `[global]` and the anonymous endpoint. A call with the name of an existing account and without
/// credentials leaves only ChallengeSent, as every honest call does; no setting changes that.
pub(super) fn judge(places: &Places, shown: Shown, inquiry: &mut Inquiry<'_>) {
    if !places.runs("chan_pjsip") {
        return;
    }
    let Some(conf) = inquiry.open("pjsip.conf") else {
        return;
    };
    let global = of_type(&conf, "global").next_back();
    let debug = global.and_then(|section| section.last("debug"));
    if let Some(entry) = debug.filter(|entry| shown.packets && !entry.is_no()) {
        let what = "debug shows packets in a log that a jail follows, and near packets no line can be \
                    believed; debug = no";
        inquiry.say(Weight::Unseen, conf.at(entry.place), what);
    }
    let anonymous = of_type(&conf, "endpoint").find(|section| section.name.starts_with(b"anonymous"));
    if let Some(section) = anonymous {
        let what = "strangers are taken for this endpoint: guessing names is no failure any more, and calls \
                    to numbers that do not exist are all that is logged; remove it, unless a trunk needs it";
        inquiry.say(Weight::Unseen, conf.at(section.place), what);
    }
    if let Some((origin, tries)) = global.and_then(|global| silent_tries(&conf, global)) {
        let what = format!(
            "identification by auth_username: the first {tries} tries of a stranger leave nothing; \
             unidentified_request_count = 1"
        );
        inquiry.say(Weight::Unseen, origin, what);
    }
}

fn of_type<'c>(conf: &'c Conf, kind: &'c str) -> impl DoubleEndedIterator<Item = &'c Section> {
    let sections = conf.sections.iter().filter(|section| !section.template);
    sections.filter(move |section| section.last("type").is_some_and(|entry| entry.is(kind)))
}

/// With `auth_username` a stranger may only not have been asked for his name yet, so res_pjsip logs nothing
/// before `unidentified_request_count` tries (5 by default) within `unidentified_request_period`
/// (`res_pjsip/pjsip_distributor.c`).
fn silent_tries(conf: &Conf, global: &Section) -> Option<(String, u32)> {
    let order = global.last("endpoint_identifier_order")?;
    let mut methods = order.value.split(|&byte| byte == b',').map(super::conf::strip);
    methods.find(|method| *method == b"auth_username")?;
    let count = global.last("unidentified_request_count");
    let tries = count.and_then(number).unwrap_or(5);
    (tries > 1).then(|| (conf.at_or_whole(count.or(Some(order))), tries))
}

fn number(entry: &Entry) -> Option<u32> {
    core::str::from_utf8(&entry.value).ok()?.parse().ok()
}
