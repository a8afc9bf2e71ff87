//! seccomp (Linux 3.5): the system calls that are left to us.
#![allow(unsafe_code, reason = "seccomp(2), which neither nix nor libc wraps")]

use std::io;

use nix::errno::Errno;

use crate::power::bpf::Instruction;

#[cfg(all(
    target_endian = "little",
    any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64",
        target_arch = "arm"
    )
))]
mod calls;

/// The filter for this process.
#[cfg(all(
    target_endian = "little",
    any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64",
        target_arch = "arm"
    )
))]
#[must_use]
pub fn filter() -> Option<Vec<Instruction>> {
    Some(crate::power::bpf::program(calls::MACHINE, &calls::calls()))
}

/// Nobody has made a list of calls for this architecture.
#[cfg(not(all(
    target_endian = "little",
    any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64",
        target_arch = "arm"
    )
)))]
#[must_use]
pub fn filter() -> Option<Vec<Instruction>> {
    None
}

/// Whether the kernel has filters: asked for one at address 0, it says EFAULT if it would have read it.
#[must_use]
pub fn is_available() -> bool {
    let nothing = core::ptr::null::<libc::sock_fprog>();
    // SAFETY: the kernel reads a filter at the address if it can, and takes none from address 0.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, nothing) };
    result == -1 && Errno::last() == Errno::EFAULT
}

/// From here on every call goes through this filter, which cannot be taken away. Needs `no_new_privileges`.
pub fn install(filter: &[Instruction]) -> io::Result<()> {
    let mut instructions: Vec<libc::sock_filter> = filter
        .iter()
        .map(|&Instruction { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: instructions.as_mut_ptr(),
    };
    // Kernels up to 5.15 make a filtered process slower, against code that others give it to run (Linux 4.17 lets
    // us say that there is none).
    let mut done = 0;
    for flags in [libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0] {
        // SAFETY: the structure has a pointer to so many instructions as it says, and both live until we are back.
        done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        if done == 0 {
            return Ok(());
        }
    }
    if Errno::last() == Errno::ENOSYS {
        // Before Linux 3.17.
        // SAFETY: as above.
        done = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
            .into()
        };
    }
    if done == 0 {
        Ok(())
    } else {
        Err(Errno::last().into())
    }
}
