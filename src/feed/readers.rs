//! The guard's end: which feeds are read by which child, and how far.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Child;

use log::{error, info, warn};

use super::message::{self, Order, Report};
use super::{Kind, start};
use crate::config::{Config, Feed};
use crate::limits::{FEED_MESSAGE_BYTES_MAX, FEED_MESSAGES_PER_TURN, FEEDS_FROM, FEEDS_MAX};
use crate::notify::TARGET;
use crate::sys::Fault;
use crate::sys::seqpacket::{self, Received};
use crate::tail::cursor::Position;
use crate::tail::{Counts, FileId, FileStatus, Line, State};

/// All feeds, and the children that read them.
pub struct Readers {
    links: Vec<Link>,
    /// By slot: a feed's number among the files is [`FEEDS_FROM`] and its slot.
    feeds: Vec<Option<Followed>>,
    /// Where feeds were read to before the last stop.
    remembered: Vec<(PathBuf, Position)>,
    /// The last number that was given to an order.
    number: u32,
    /// A place became known that the state file does not have.
    has_news: bool,
    buffer: Vec<u8>,
}

/// A child.
struct Link {
    kind: Kind,
    socket: Option<OwnedFd>,
    nanny: Child,
    /// The worker that greeted last.
    worker: Option<u32>,
    /// Something may be there to read.
    ready: bool,
}

/// One feed.
struct Followed {
    feed: Feed,
    kind: Kind,
    name: PathBuf,
    readers: u32,
    /// The number of the order to follow it.
    number: u32,
    /// Whether that order reached the worker.
    ordered: bool,
    position: Option<Position>,
    runs: bool,
    counts: Counts,
}

impl Readers {
    /// Starts the children that this configuration needs, while we may still start something.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start(config: &Config) -> Result<Readers, Fault> {
        let mut links = Vec::new();
        for kind in Kind::ALL {
            if !config.jails.iter().any(|jail| Kind::of(&jail.feed) == Some(kind)) {
                continue;
            }
            let link = Link::start(kind, &config.notifyuser);
            links.push(link.map_err(|source| {
                Fault::new(format!("cannot start the child for the {}", kind.name()), source)
            })?);
        }
        Ok(Readers {
            buffer: vec![
                0;
                if links.is_empty() {
                    0
                } else {
                    FEED_MESSAGE_BYTES_MAX
                }
            ],
            links,
            feeds: Vec::new(),
            remembered: Vec::new(),
            number: 0,
            has_news: false,
        })
    }

    /// Whether a name in the state file is one of a feed.
    #[must_use]
    pub fn is_theirs(path: &Path) -> bool {
        path.is_relative()
    }

    /// Tells where a feed was read to before the last stop, to be called before [`Readers::follow`].
    pub fn remember(&mut self, path: &Path, position: Position) {
        if self.remembered.len() < FEEDS_MAX {
            self.remembered.push((path.to_owned(), position));
        }
    }

    /// Reads a feed for these readers (a bit each). One that is read already keeps its place.
    ///
    /// # Errors
    /// If its child was not started, or there are [`FEEDS_MAX`].
    pub fn follow(&mut self, feed: &Feed, readers: u32) -> Result<(), Fault> {
        let Some(kind) = Kind::of(feed) else { return Ok(()) };
        let known = self.feeds.iter_mut().flatten().find(|known| known.feed == *feed);
        if let Some(known) = known {
            known.readers = readers;
            return Ok(());
        }
        let refuse = |what: &str, kind| {
            Fault::new(
                format!("cannot read the {}", feed.name()),
                io::Error::new(kind, what.to_owned()),
            )
        };
        if self.links.iter().all(|link| link.kind != kind) {
            let what = "a running guard can start no child any more";
            return Err(refuse(what, io::ErrorKind::Unsupported).hint("restart it"));
        }
        let free = self.feeds.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.feeds.len());
        if slot >= FEEDS_MAX {
            return Err(refuse("too many feeds", io::ErrorKind::StorageFull));
        }
        if slot == self.feeds.len() {
            self.feeds.push(None);
        }
        let name = PathBuf::from(feed.name());
        let place = self.remembered.iter().position(|(path, _)| *path == name);
        let position = place.map(|place| self.remembered.swap_remove(place).1);
        self.number = self.number.wrapping_add(1);
        if let Some(free) = self.feeds.get_mut(slot) {
            *free = Some(Followed {
                feed: feed.clone(),
                kind,
                name,
                readers,
                number: self.number,
                ordered: false,
                position,
                runs: false,
                counts: Counts::default(),
            });
        }
        self.order();
        Ok(())
    }

    /// Reads no feed but these any more.
    pub fn keep_only(&mut self, wanted: &[&Feed]) {
        let mut bytes = Vec::new();
        for place in &mut self.feeds {
            let Some(gone) = place.take_if(|known| !wanted.contains(&&known.feed)) else {
                continue;
            };
            let link = self.links.iter().find(|link| link.kind == gone.kind);
            let socket = link.and_then(|link| link.socket.as_ref());
            message::encode(&Order::Unfollow { number: gone.number }, &mut bytes);
            // A child that does not hear of it goes on, and what it says has no reader.
            let _ = socket.map(|socket| seqpacket::send(socket, &bytes));
        }
    }

    /// What is readable when a child says something.
    #[must_use]
    pub fn fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [0, 1].map(|number| Some(self.links.get(number)?.socket.as_ref()?.as_fd()))
    }

    /// Something can be read.
    pub fn wake(&mut self) {
        for link in &mut self.links {
            link.ready = true;
        }
    }

    /// Gives the lines that are there, up to a bound. Returns whether more may be.
    pub fn read(&mut self, each: &mut dyn FnMut(Line<'_>)) -> bool {
        let mut greeted = false;
        for link in self.links.iter_mut().filter(|link| link.ready) {
            link.ready = false;
            for _ in 0..FEED_MESSAGES_PER_TURN {
                let Some(socket) = &link.socket else { break };
                let length = match seqpacket::receive(socket, &mut self.buffer) {
                    Ok(Received::Nothing) => {
                        link.ready = false;
                        break;
                    }
                    Ok(Received::Message(length)) => length,
                    Ok(Received::End) | Err(_) => {
                        link.end(&mut self.feeds);
                        break;
                    }
                };
                link.ready = true;
                let report = self.buffer.get(..length).and_then(message::decode_report);
                match report {
                    Some(Report::Hello(worker)) => {
                        link.greet(worker, &mut self.feeds);
                        greeted = true;
                    }
                    Some(report) => {
                        self.has_news |= hear(&mut self.feeds, link.kind, &report, each);
                    }
                    None => {}
                }
            }
        }
        if greeted {
            self.order();
        }
        self.links.iter().any(|link| link.ready)
    }

    /// Whether a place became known since the last call, that a crash should not forget.
    pub fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.has_news)
    }

    /// How far each feed was read: all lines before it were given.
    pub fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        for followed in self.feeds.iter().flatten() {
            if let Some(position) = followed.position {
                each(&followed.name, position);
            }
        }
    }

    /// Every feed, for `status`.
    pub fn files(&self) -> impl Iterator<Item = FileStatus<'_>> {
        (0..).zip(&self.feeds).filter_map(|(slot, followed)| {
            let followed = followed.as_ref()?;
            Some(FileStatus {
                file: file(slot),
                path: &followed.name,
                readers: followed.readers,
                state: match followed.runs {
                    true => State::Open,
                    false => State::Refused(match followed.kind {
                        Kind::Journal => "journalctl does not run",
                        Kind::Logread => "logread does not run",
                    }),
                },
                position: None,
                counts: followed.counts,
            })
        })
    }

    /// Tells the workers what to follow, as far as they do not know.
    fn order(&mut self) {
        let mut bytes = Vec::new();
        for followed in self.feeds.iter_mut().flatten().filter(|feed| !feed.ordered) {
            let link = self.links.iter().find(|link| link.kind == followed.kind);
            let Some((worker, socket)) = link.and_then(|link| Some((link.worker?, link.socket.as_ref()?)))
            else {
                continue;
            };
            let terms = match &followed.feed {
                Feed::Journal(terms) => terms.join(" "),
                Feed::Files | Feed::Logread => String::new(),
            };
            let order = Order::Follow {
                worker,
                number: followed.number,
                position: followed.position,
                terms: terms.as_bytes(),
            };
            message::encode(&order, &mut bytes);
            // A worker that has just come has an empty socket; one that is gone is replaced, and greets.
            followed.ordered = seqpacket::send(socket, &bytes).unwrap_or(false);
        }
    }
}

fn file(slot: usize) -> FileId {
    FileId(u16::try_from(FEEDS_FROM + slot).unwrap_or(u16::MAX))
}

/// Takes what a worker says of a feed. Returns whether a place is the first that is known of it.
fn hear(
    feeds: &mut [Option<Followed>],
    kind: Kind,
    report: &Report<'_>,
    each: &mut dyn FnMut(Line<'_>),
) -> bool {
    let wanted = match *report {
        Report::Lines { number, .. } | Report::Running { number, .. } => number,
        Report::Hello(_) => return false,
    };
    let found = feeds.iter_mut().enumerate().find_map(|(slot, followed)| {
        let followed = followed.as_mut()?;
        (followed.kind == kind && followed.number == wanted).then_some((slot, followed))
    });
    let Some((slot, followed)) = found else {
        return false;
    };
    match *report {
        Report::Hello(_) => false,
        Report::Running { runs, .. } => {
            if runs && !core::mem::replace(&mut followed.runs, runs) {
                info!(target: TARGET, "reading {}", followed.name.display());
            }
            followed.runs = runs;
            false
        }
        Report::Lines {
            position,
            long,
            lines,
            ..
        } => {
            let is_first = followed.position.replace(position).is_none();
            followed.counts.lines += u64::from(long);
            followed.counts.long_lines += u64::from(long);
            for (backlog, bytes) in lines {
                followed.counts.lines += 1;
                each(Line {
                    file: file(slot),
                    readers: followed.readers,
                    bytes,
                    end_offset: 0,
                    backlog,
                });
            }
            is_first
        }
    }
}

impl Link {
    fn start(kind: Kind, notifyuser: &str) -> io::Result<Link> {
        let (ours, theirs) = seqpacket::pair()?;
        let nanny = start(kind, notifyuser, theirs)?;
        Ok(Link {
            kind,
            socket: Some(ours),
            nanny,
            worker: None,
            ready: false,
        })
    }

    /// A worker is there, and follows nothing yet. All that the one before it said has been heard.
    fn greet(&mut self, worker: u32, feeds: &mut [Option<Followed>]) {
        if self.worker.replace(worker).is_some() {
            warn!(target: TARGET, "the {} child is back, and goes on where it was", self.kind.name());
        }
        for followed in feeds.iter_mut().flatten().filter(|feed| feed.kind == self.kind) {
            followed.ordered = false;
            followed.runs = false;
        }
    }

    /// The child is gone for good.
    fn end(&mut self, feeds: &mut [Option<Followed>]) {
        self.socket = None;
        self.worker = None;
        for followed in feeds.iter_mut().flatten().filter(|feed| feed.kind == self.kind) {
            followed.runs = false;
        }
        error!(target: TARGET, "the {} child and its nanny are gone: what they read is not guarded; restart the guard", self.kind.name());
        // It may still be on its way out; a zombie does no harm.
        let _ = self.nanny.try_wait();
    }
}
