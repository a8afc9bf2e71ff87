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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{caps, landlock};

    /// What a child under the filter gets for this call: 0, or an errno. The arguments are numbers, or pointers to
    /// what lives in this process and so in its copy.
    fn result_of(number: libc::c_long, arguments: [usize; 4]) -> i32 {
        let filter = filter().expect("the tests run on an architecture with a list");
        // SAFETY: between fork and _exit the child makes system calls, and allocates a filter's worth of memory,
        // which the C library allows to the child of a program with threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let confined = caps::no_new_privileges().and_then(|()| install(&filter));
            let [a, b, c, d] = arguments;
            // SAFETY: the callers pass what the call wants, or the filter refuses it unseen.
            let result = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
            let code = if confined.is_err() {
                255
            } else if result == -1 {
                Errno::last() as i32
            } else {
                0
            };
            // SAFETY: it ends the child and runs nothing.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: it is our child, and it writes into an integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "a signal ended it: {status:#x}");
        libc::WEXITSTATUS(status)
    }

    #[track_caller]
    fn check(number: libc::c_long, arguments: &[usize], want: i32) {
        let mut all = [0; 4];
        all[..arguments.len()].copy_from_slice(arguments);
        assert_eq!(result_of(number, all), want, "call {number} {arguments:?}");
    }

    const DATAGRAM: usize = libc::SOCK_DGRAM as usize;

    /// ARM has only the call that counts pages.
    #[cfg(target_arch = "arm")]
    const MAP: libc::c_long = libc::SYS_mmap2;
    #[cfg(not(target_arch = "arm"))]
    const MAP: libc::c_long = libc::SYS_mmap;

    #[test]
    fn what_an_intruder_wants_is_refused() {
        let path = c"/bin/true".as_ptr() as usize;
        for number in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_setuid,
            libc::SYS_setresuid,
            libc::SYS_setgroups,
            libc::SYS_capset,
            libc::SYS_prctl,
            libc::SYS_bpf,
            libc::SYS_init_module,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_readv,
            libc::SYS_userfaultfd,
            libc::SYS_memfd_create,
            libc::SYS_kill,
            libc::SYS_reboot,
        ] {
            check(number, &[path], libc::EPERM);
        }
        for family in [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH] {
            check(libc::SYS_socket, &[family as usize, DATAGRAM], libc::EPERM);
        }
        let code = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
        let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        check(MAP, &[0, 4096, code, anonymous], libc::EPERM);
        check(libc::SYS_ioctl, &[0, libc::TIOCSTI as usize], libc::EPERM);
        check(libc::SYS_tgkill, &[1, 1], libc::EPERM);
        check(999, &[], libc::ENOSYS);
    }

    #[test]
    fn what_a_guard_needs_is_allowed() {
        check(libc::SYS_getpid, &[], 0);
        for family in [libc::AF_NETLINK, libc::AF_UNIX, libc::AF_INET] {
            check(libc::SYS_socket, &[family as usize, DATAGRAM], 0);
        }
        let (data, anonymous) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        check(MAP, &[0, 4096, data as usize, anonymous as usize], 0);
        let file = c"/etc/passwd".as_ptr() as usize;
        check(
            libc::SYS_openat,
            &[libc::AT_FDCWD as usize, file, libc::O_RDONLY as usize],
            0,
        );
    }

    #[test]
    fn the_kernel_is_asked_without_being_told() {
        assert!(is_available());
        assert_eq!(result_of(libc::SYS_getpid, [0; 4]), 0);
    }

    /// Here, because this is where children are made.
    #[test]
    fn landlock_leaves_the_writable_directories_and_reading() {
        let root = std::env::temp_dir().join(format!("sipguard-landlock-{}", std::process::id()));
        let [ours, other] = ["ours", "other"].map(|name| root.join(name));
        for directory in [&ours, &other] {
            std::fs::create_dir_all(directory).unwrap();
            std::fs::write(directory.join("old"), "old").unwrap();
        }
        // SAFETY: as in `result_of`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let confined =
                caps::no_new_privileges().and_then(|()| landlock::restrict(&[&ours, &root.join("none")]));
            let replaced = std::fs::write(ours.join("new"), "new")
                .and_then(|()| std::fs::rename(ours.join("new"), ours.join("old")));
            let refused = [
                std::fs::write(other.join("new"), ""),
                std::fs::write(other.join("old"), ""),
                std::fs::remove_file(other.join("old")),
                std::fs::create_dir(other.join("directory")),
                std::fs::rename(ours.join("old"), other.join("moved")),
                std::os::unix::net::UnixListener::bind(other.join("socket")).map(drop),
            ];
            let all_refused = refused.iter().all(|done| {
                done.as_ref()
                    .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            });
            let read = std::fs::read(other.join("old")).is_ok_and(|text| text == b"old");
            let listens = std::os::unix::net::UnixListener::bind(ours.join("socket")).is_ok();
            let good = replaced.is_ok() && all_refused && read && listens;
            let code = match confined {
                Err(_) => 2,
                Ok(()) => i32::from(!good),
            };
            // SAFETY: as above.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: as above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        std::fs::remove_dir_all(&root).unwrap();
        if landlock::version().is_ok() {
            assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
        } else {
            println!("this kernel has no Landlock");
        }
    }
}
