//! The system, one file a kind of descriptor. The only folder that names `nix` or `libc`.

pub mod caps;
pub mod clock;
pub mod clock_set;
pub mod disk;
mod fault;
pub mod file;
pub mod group;
pub mod instance;
mod kernel;
pub mod landlock;
pub mod log;
pub mod memory;
pub mod netlink;
pub mod own;
pub mod pages;
pub mod poll;
pub mod program;
pub mod routes;
pub mod seccomp;
pub mod seqpacket;
pub mod signals;
pub mod stream;
pub mod uapi;
pub mod unix;
pub mod watch;
pub mod xtables;

pub use fault::Fault;
pub use kernel::kernel_is_at_least;
