//! What the dialplan writes with `Log(WARNING,…)` (`apps/app_verbose.c`). FILE is `Ext. ` and the dialled number,
//! the text whatever the dialplan says.

use crate::filter::cursor::Cursor;
use crate::filter::{Class, Service};

use super::finding::{Finding, Miss, Outcome, host};

/// FreePBX, context from-sip-external: `"Rejecting unknown SIP connection from ${CHANNEL(recvip)}"`, quotes included.
/// The address is the packet's source; the whole text is the dialplan's.
pub(super) fn read(message: &[u8]) -> Outcome {
    let Some(rest) = message.strip_prefix(b"\"Rejecting unknown SIP connection from ") else {
        return Err(Miss::Nothing);
    };
    let mut cursor = Cursor::new(rest);
    cursor.tail(b"\"").ok_or(Miss::Torn)?;
    let address = host(cursor.rest()).ok_or(Miss::Torn)?;
    Ok(Finding::new(address, Service::Dialplan, Class::Call))
}
