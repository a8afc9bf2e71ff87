//! The system, one file a kind of descriptor. The only folder that names `nix` or `libc`.

pub mod clock;
mod fault;
pub mod file;
mod kernel;
pub mod log;
pub mod netlink;
pub mod own;
pub mod poll;
pub mod program;
pub mod seqpacket;
pub mod signals;
pub mod uapi;
pub mod user;
pub mod watch;
pub mod xtables;

pub use fault::Fault;
pub use kernel::kernel_is_at_least;
