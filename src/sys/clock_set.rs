//! Learning that the wall clock was set, without ever looking at it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A timer that never ends, and that the kernel cancels when the wall clock is set (`TFD_TIMER_CANCEL_ON_SET`): then,
/// and after a suspension of the machine, its descriptor is readable. The slow correction of a clock that runs wrong
/// cancels nothing.
pub struct ClockSet(TimerFd);

impl ClockSet {
    /// Begins to listen.
    ///
    /// # Errors
    /// What timerfd_create(2) and timerfd_settime(2) say.
    #[allow(deprecated, reason = "cross/recipe tells libc that musl's time_t has 64 bits")]
    pub fn new() -> io::Result<ClockSet> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let never = |seconds| Expiration::OneShot(TimeSpec::new(seconds, 0));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        timer
            .set(never(libc::time_t::MAX), flags)
            // A kernel whose seconds have 32 bits.
            .or_else(|_| timer.set(never(i32::MAX.into()), flags))?;
        Ok(ClockSet(timer))
    }

    /// Whether the clock was set since the last call.
    ///
    /// # Errors
    /// What read(2) says, which no kernel does.
    pub fn take(&mut self) -> io::Result<bool> {
        match nix::unistd::read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::ECANCELED) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for ClockSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Place, Waiting};

    #[test]
    fn a_clock_that_nobody_sets_wakes_nobody() {
        let mut clock_set = ClockSet::new().unwrap();
        let ready = Waiting::new(clock_set.as_fd()).wait(Some(1_500)).unwrap();
        assert!(!ready.has(Place::FIRST));
        assert!(!clock_set.take().unwrap());
    }
}
