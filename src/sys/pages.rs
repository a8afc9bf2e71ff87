//! Memory by the page: what is not touched costs nothing, and what is given back is gone.
//!
//! An allocator clears a large buffer that takes the place of an earlier one, and so touches all of it, and keeps it
//! when it is given back. Of a buffer that is large for the rare case, the usual one needs the first page.
#![allow(
    unsafe_code,
    reason = "mmap(2) and munmap(2), which nix does not wrap without them being unsafe"
)]

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

/// Zero bytes to begin with.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    /// So many bytes, at least one. Ends the program if there is no memory left, as every allocation does.
    #[must_use]
    pub fn new(bytes: usize) -> Pages {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place of the kernel's choice; nothing that is there is touched.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
        match NonNull::new(start.cast()) {
            Some(start) if start.as_ptr() != libc::MAP_FAILED.cast() => Pages { start, bytes },
            _ => handle_alloc_error(Layout::array::<u8>(bytes).unwrap_or(Layout::new::<u8>())),
        }
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is so long, initialised by the kernel, and ours until it is dropped.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else refers to it.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and of this length, and no reference outlives us. It cannot fail.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: it owns its memory alone, as a box does.
unsafe impl Send for Pages {}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pages of it there are.
    fn there(pages: &Pages) -> usize {
        let mut seen = vec![0_u8; pages.len().div_ceil(4096)];
        // SAFETY: the mapping is so long, and there is a byte for each page, which has 4 KiB or more.
        let done =
            unsafe { libc::mincore(pages.start.as_ptr().cast(), pages.len(), seen.as_mut_ptr().cast()) };
        assert_eq!(done, 0);
        seen.iter().filter(|&&byte| byte & 1 == 1).count()
    }

    #[test]
    fn what_is_touched_is_what_it_costs() {
        let mut pages = Pages::new(1 << 20);
        assert_eq!((pages.len(), there(&pages)), (1 << 20, 0));
        if let Some(last) = pages.last_mut() {
            *last = 7;
        }
        assert_eq!(there(&pages), 1);
        assert!(pages.iter().rev().skip(1).all(|&byte| byte == 0));
    }
}
