//! What is wrong with a configuration, and where: file, line, column, the line itself and a caret.

use core::fmt;

use crate::escape::Escaped;
use crate::limits::CONFIG_MISTAKES_MAX;

/// Where something stands in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as it was named when it was opened.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Origin {
    /// `/etc/sipguard/jail.local:14`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Escaped(self.file.as_bytes()), self.line)
    }
}

/// One mistake of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where; `None` if it concerns the configuration as a whole.
    pub origin: Option<Origin>,
    /// What is wrong and what to do about it, one line, printable.
    pub what: String,
    /// The line that is wrong, if it is known.
    pub excerpt: Option<Excerpt>,
}

/// A line of a file, and which part of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    before: Vec<u8>,
    meant: Vec<u8>,
    after: Vec<u8>,
}

impl Excerpt {
    /// Longest stretch shown before the part that is meant, and after it, in bytes of the file.
    const AROUND: usize = 60;

    /// `length` bytes from byte `at` of `line`; what does not fit on a terminal is left out.
    pub(super) fn new(line: &[u8], at: usize, length: usize) -> Excerpt {
        let (before, rest) = line.split_at_checked(at).unwrap_or((line, &[]));
        let (meant, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let first = before.len().saturating_sub(Self::AROUND);
        let before = before.get(first..).unwrap_or_default();
        Excerpt {
            before: before.to_vec(),
            meant: meant.iter().copied().take(Self::AROUND).collect(),
            after: after
                .iter()
                .copied()
                .take(Self::AROUND.saturating_sub(meant.len()))
                .collect(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(origin) = &self.origin else {
            return f.write_str(&self.what);
        };
        write!(f, "{origin}:{}: {}", origin.column, self.what)?;
        let Some(Excerpt { before, meant, after }) = &self.excerpt else {
            return Ok(());
        };
        // The caret stands under what is shown, and an escaped byte is wider than one column.
        let before = Escaped(before).to_string();
        let meant = Escaped(meant).to_string();
        let number = origin.line.to_string();
        write!(f, "\n  {number} | {before}{meant}{}", Escaped(after))?;
        write!(
            f,
            "\n  {:gap$} | {:indent$}^",
            "",
            "",
            gap = number.len(),
            indent = before.len()
        )?;
        (1..meant.len()).try_for_each(|_| f.write_str("~"))
    }
}

/// Everything that is wrong with a configuration, at least one mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    mistakes: Vec<Mistake>,
    /// Mistakes beyond [`CONFIG_MISTAKES_MAX`], which are only counted.
    untold: usize,
    missing: bool,
}

impl Error {
    pub(super) fn one(what: impl Into<String>) -> Error {
        Error::from(Mistake {
            origin: None,
            what: what.into(),
            excerpt: None,
        })
    }

    /// The file itself could not be read.
    pub(super) fn unread(file: &str, source: &std::io::Error) -> Error {
        Error {
            missing: source.kind() == std::io::ErrorKind::NotFound,
            ..Error::one(format!("cannot read {}: {source}", Escaped(file.as_bytes())))
        }
    }

    /// Whether the configuration file does not exist, which is all that is wrong.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.missing
    }

    /// The mistakes, in the order of the files.
    pub fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter()
    }
}

impl From<Mistake> for Error {
    fn from(mistake: Mistake) -> Error {
        Error {
            mistakes: vec![mistake],
            untold: 0,
            missing: false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            write!(f, "{}{mistake}", if number > 0 { "\n" } else { "" })?;
        }
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\nand {untold} more like these"),
        }
    }
}

impl std::error::Error for Error {}

/// Mistakes while they are being collected, so that a file is mended in one go.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    error: Option<Error>,
}

impl Mistakes {
    pub(super) fn push(&mut self, mistake: Mistake) {
        match &mut self.error {
            None => self.error = Some(Error::from(mistake)),
            // A mistake in `[DEFAULT]` shows in every jail; it is told once.
            Some(error) if error.mistakes().any(|told| *told == mistake) => {}
            Some(error) if error.mistakes.len() < CONFIG_MISTAKES_MAX => error.mistakes.push(mistake),
            Some(error) => error.untold += 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.error.is_none()
    }

    pub(super) fn result<T>(self, value: T) -> Result<T, Error> {
        let Some(mut error) = self.error else {
            return Ok(value);
        };
        // By place; what concerns the whole comes last, for it may follow from the others.
        let place = |mistake: &Mistake| {
            let origin = mistake.origin.as_ref();
            let place = origin.map(|origin| (origin.file.clone(), origin.line, origin.column));
            (place.is_none(), place)
        };
        error.mistakes.sort_by_key(place);
        Err(error)
    }
}

/// Something in the configuration that has no effect, or not the one it seems to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands; `None` if it concerns the configuration as a whole.
    pub origin: Option<Origin>,
    /// What it is about, one line, printable.
    pub what: String,
}

impl fmt::Display for Warning {
    /// `/etc/sipguard/jail.local:7: maxlines: lines are read one by one; …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
