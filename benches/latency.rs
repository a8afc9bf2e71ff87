//! Reaction: from the write of the deciding log line to the address in the kernel's set.
//!
//! `sipguard run` guards in a network namespace of its own. For each ban the clock starts right before the line
//! is written; then the set is asked for the element, over and over, until it is there. What is measured so
//! includes inotify, the reading, the decision, the kernel's work, and at most one question too many.
