//! The system, one file a kind of descriptor. The only folder that names `nix` or `libc`.

mod fault;
pub mod file;
pub mod watch;

pub use fault::Fault;
