//! The system calls that the filter allows, a list for each architecture.
//!
//! What is on it was seen with strace over the tests that start the program (daemon, hostile, power), on x86-64
//! with glibc and with static musl; or is what the other architectures, or the standard library, use in its place.
//! Each part says which. What may be done with files is not decided here but by user, group and Landlock.

use crate::power::bpf::{Call, Machine, Only};

/// Numbers that libc lacks: the calls with 64-bit times of 32-bit machines (asm/unistd.h, Linux 5.1).
#[cfg(target_arch = "arm")]
mod time64 {
    pub(super) const CLOCK_GETTIME: i64 = 403;
    pub(super) const CLOCK_NANOSLEEP: i64 = 407;
    pub(super) const TIMERFD_GETTIME: i64 = 410;
    pub(super) const TIMERFD_SETTIME: i64 = 411;
    pub(super) const PPOLL: i64 = 414;
    pub(super) const FUTEX: i64 = 422;
}

/// The calls of the loop, first because they are decided first. Seen (`ppoll` is what others call `poll`).
const LOOP: &[libc::c_long] = &[
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_write,
];

/// Files, directories and their watches, memory, sockets: what was seen beside them.
const SEEN: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_statx,
    libc::SYS_getdents64,
    // Descriptors are duplicated with it, and directories opened.
    libc::SYS_fcntl,
    // /run/xtables.lock
    libc::SYS_flock,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // Pipes given as logs.
    libc::SYS_epoll_ctl,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_recvmsg,
    // iptables' lock is waited for in steps.
    libc::SYS_clock_nanosleep,
    // The end of `main`.
    libc::SYS_sigaltstack,
    libc::SYS_exit_group,
];

/// The control socket and its clients.
const CONTROL: &[libc::c_long] = &[
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_accept,
    libc::SYS_shutdown,
    libc::SYS_getpeername,
    // A log at /dev/log.
    libc::SYS_connect,
];

/// The store: append, write anew, sync, rename, remove; permissions of what is our own.
const STORE: &[libc::c_long] = &[
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
];

/// What the standard library or a C library may call at any time.
const RESERVE: &[libc::c_long] = &[
    // Metadata where statx(2) is missing (before Linux 4.11) or not used (musl); links on the way to a log.
    libc::SYS_fstat,
    libc::SYS_readlinkat,
    libc::SYS_lseek,
    // Large tables that grow, and memory given back.
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_sendmsg,
    // Keys of hash tables.
    libc::SYS_getrandom,
    // A wait that a stop and a continue interrupted; returning from a signal's handler.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    // Locks and once-cells of std and malloc, contended.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Clocks where the vDSO cannot tell the time (Raspberry Pi 1, some virtual machines), and timers.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    // Who we are: nothing is learned that is a secret.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_exit,
];

/// By which names x86-64 has, and its glibc and musl use, what stands above.
#[cfg(target_arch = "x86_64")]
const OWN: &[libc::c_long] = &[
    libc::SYS_poll,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_chmod,
    libc::SYS_time,
];

/// aarch64 has only the newer calls.
#[cfg(target_arch = "aarch64")]
const OWN: &[libc::c_long] = &[libc::SYS_newfstatat];

/// 32-bit ARM has most calls twice or thrice: offsets and times of 32 and of 64 bits. musl tries the newest first
/// and falls back on ENOSYS alone, so none may be missing.
#[cfg(target_arch = "arm")]
const OWN: &[libc::c_long] = &[
    time64::PPOLL as libc::c_long,
    time64::CLOCK_GETTIME as libc::c_long,
    time64::CLOCK_NANOSLEEP as libc::c_long,
    time64::TIMERFD_GETTIME as libc::c_long,
    time64::TIMERFD_SETTIME as libc::c_long,
    time64::FUTEX as libc::c_long,
    libc::SYS_poll,
    libc::SYS_recv,
    libc::SYS_send,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_stat64,
    libc::SYS_lstat64,
    libc::SYS_fstat64,
    libc::SYS_fstatat64,
    libc::SYS__llseek,
    libc::SYS_fcntl64,
    libc::SYS_ftruncate64,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_chmod,
    libc::SYS_sigreturn,
    libc::SYS_getuid32,
    libc::SYS_geteuid32,
    libc::SYS_getgid32,
    libc::SYS_getegid32,
];

/// Where memory is asked for; 32-bit ARM counts its offsets in pages.
#[cfg(not(target_arch = "arm"))]
const MMAP: libc::c_long = libc::SYS_mmap;
#[cfg(target_arch = "arm")]
const MMAP: libc::c_long = libc::SYS_mmap2;

/// `AUDIT_ARCH_*` of linux/audit.h: the ELF machine, and bits for little-endian and 64 bits.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
#[cfg(target_arch = "arm")]
const ARCH: u32 = 0x4000_0028;

/// The first number that nothing had in Linux 6.18. All three architectures have the same since 424. ARM's own
/// calls, from 0xf0000 on, are only made when a thread begins.
const UNKNOWN_FROM: u32 = 470;

/// `__X32_SYSCALL_BIT` of x86-64.
const X32: u32 = 0x4000_0000;

pub(super) const MACHINE: Machine = Machine {
    arch: ARCH,
    refused_from: if cfg!(target_arch = "x86_64") {
        Some(X32)
    } else {
        None
    },
    unknown_from: UNKNOWN_FROM,
};

/// What is allowed to this process.
pub(super) fn calls() -> Vec<Call> {
    let plain = |&number: &libc::c_long| Call {
        number: number as u32,
        only: None,
    };
    let only = |number: libc::c_long, only| Call {
        number: number as u32,
        only: Some(only),
    };
    let own = std::process::id();
    let words = |words: &[libc::c_int]| words.iter().map(|&word| word as u32).collect();
    let families = [libc::AF_NETLINK, libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
    let asks = [libc::FIONBIO as libc::c_int, libc::FIOCLEX as libc::c_int];
    // Nobody writes code into our memory and runs it.
    let no_code = libc::PROT_EXEC as u32;
    let lists = [LOOP, OWN, SEEN, CONTROL, STORE, RESERVE];
    let mut calls: Vec<Call> = lists.into_iter().flatten().map(plain).collect();
    calls.extend([
        only(MMAP, Only::Without(2, no_code)),
        only(libc::SYS_mprotect, Only::Without(2, no_code)),
        only(libc::SYS_socket, Only::OneOf(0, words(&families))),
        // std makes its sockets non-blocking so.
        only(libc::SYS_ioctl, Only::OneOf(1, words(&asks))),
        // abort() is a signal to oneself: by glibc with the first, by musl with the second. We are one thread.
        only(libc::SYS_tgkill, Only::OneOf(0, vec![own])),
        only(libc::SYS_tkill, Only::OneOf(0, vec![own])),
    ]);
    calls
}
