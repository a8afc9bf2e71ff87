//! What a jail hears that reads the journal or logd: there is only what Asterisk writes to syslog. And what nobody
//! hears without security events.

use super::places::Places;
use super::{Inquiry, Weight};

/// The line of logger.conf that is wanted.
pub(super) const LINE: &str = "`syslog.local0 => notice,warning,error,security`";

/// Judges what syslog gets: notices, security events; `None` if nothing. `lost` is what is unseen without events.
pub(super) fn judge(gets: Option<(bool, bool)>, origin: &str, lost: &str, inquiry: &mut Inquiry<'_>) {
    let mut say = |what: String| inquiry.say(Weight::Unseen, origin.to_owned(), what);
    match gets {
        // That it hears nothing has been said.
        None | Some((true, true)) => {}
        Some((notice, security)) => {
            if !security {
                say(format!(
                    "syslog does not get `security`: without it {lost}; {LINE} under [logfiles]"
                ));
            }
            if !notice {
                say(format!(
                    "syslog does not get `notice`: nobody who attacks chan_sip is banned, and calls to numbers that \
                     do not exist stay unseen; {LINE} under [logfiles]"
                ));
            }
        }
    }
}

/// What is lost without SECURITY events.
pub(super) fn lost(places: &Places) -> &'static str {
    if places.runs("chan_sip") {
        "password guessing by INVITE shows no address, and no address is proven"
    } else {
        "tries over TCP, TLS or WebSocket prove no more than one spoofed packet"
    }
}
