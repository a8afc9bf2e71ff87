//! What the machine refused.

use core::fmt;
use std::io;

/// The machine did not do what we asked: what we were doing, what the system said, and what may help.
#[derive(Debug)]
pub struct Fault {
    /// What we were doing, with the path or name concerned: `cannot open /var/log/asterisk/messages`.
    pub doing: String,
    /// What the system said.
    pub source: io::Error,
    /// What the user can do about it, if we know.
    pub hint: Option<&'static str>,
}

impl Fault {
    /// A fault without a hint.
    #[must_use]
    pub fn new(doing: impl Into<String>, source: io::Error) -> Fault {
        Fault {
            doing: doing.into(),
            source,
            hint: None,
        }
    }

    /// The same fault with a word on what the user can do.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Fault {
        Fault {
            hint: Some(hint),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)?;
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
