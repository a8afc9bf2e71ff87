//! sipguard keeps SIP attackers off the box that people's phones depend on.
//!
//! It reads Asterisk's log, counts failures per source, and writes bans straight into the
//! kernel over netlink. ARCHITECTURE.md has the picture; in short:
//!
//! * the **pure core** takes bytes, events and a `now`, and returns values: [`action`], [`addr`], [`advice`],
//!   [`config`], [`escape`], [`filter`], [`glob`], [`guard`], [`limits`], [`lines`], [`replay`], [`time`],
//!   [`wire`], [`zone`];
//! * the **rim** touches the system and holds no policy: [`control`], [`daemon`], [`feed`], [`firewall`], [`notify`],
//!   [`power`], [`store`], [`sys`], [`tail`].

pub mod action;
pub mod addr;
pub mod advice;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod escape;
pub mod feed;
pub mod filter;
pub mod firewall;
pub mod glob;
pub mod guard;
pub mod limits;
pub mod lines;
pub mod notify;
pub mod power;
pub mod replay;
pub mod store;
pub mod sys;
pub mod tail;
pub mod time;
pub mod wire;
pub mod zone;
