//! The system, one file a kind of descriptor. The only folder that names `nix` or `libc`.

pub mod clock;
mod fault;
pub mod own;
pub mod poll;
pub mod signals;
pub mod netlink;
pub mod uapi;
pub mod file;
pub mod watch;

pub use fault::Fault;
