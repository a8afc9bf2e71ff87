//! Real files, real inotify: every way in which a log file changes under a reader.
#![allow(clippy::disallowed_methods)] // writer threads, child processes, and the clock for their own deadlines
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod content;
mod limits;
mod names;
mod pipe;
mod rotation;
mod support;
mod writer;
