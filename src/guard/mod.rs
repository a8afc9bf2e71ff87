//! The truth about failures and bans.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod effect;

pub use effect::{Change, Effect, JailId, Slot};
