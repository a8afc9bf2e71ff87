//! The system, one file a kind of descriptor. The only folder that names `nix` or `libc`.

mod fault;
mod kernel;
pub mod netlink;
pub mod uapi;
pub mod xtables;

pub use fault::Fault;
pub use kernel::kernel_is_at_least;
