//! Netlink bytes, both directions. Pure: opens nothing, knows no policy.
//!
//! [`nlmsg`] is the frame that all netlink messages share; [`nft`] and [`ipset`] are the two parts
//! of the kernel that can hold bans, [`xtables`] the rules that make ipset's sets drop packets.
//! Numbers and their names come from the kernel's headers through [`crate::sys::uapi`].
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod ipset;
pub mod nft;
pub mod nlmsg;
pub mod xtables;
