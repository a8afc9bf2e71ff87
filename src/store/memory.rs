//! A disk in memory: the one of the simulator and of the tests. It is full, refuses, crashes and forgets as it is
//! told. Copies of it are the same disk, so that whoever holds one can crash it under a store.

use std::cell::{RefCell, RefMut};
use std::io;
use std::rc::Rc;

use super::disk::{Disk, Name};

/// What is on it. A crash leaves what was synced, and of the rest what the generator says.
#[derive(Clone, Debug, Default)]
pub struct Memory(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    /// The files by name, as programs see them: numbers of inodes.
    names: [Option<usize>; 3],
    /// The same on the medium.
    durable_names: [Option<usize>; 3],
    inodes: Vec<Inode>,
    capacity: Option<u64>,
    refuses: Option<io::ErrorKind>,
    sync_refuses: Option<io::ErrorKind>,
    changes: u64,
    crash_at: Option<u64>,
    crashed: bool,
    written: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What is on the medium.
    durable: Vec<u8>,
}

impl Memory {
    /// An empty disk, of any size.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// A disk on which the journal holds these bytes, all of them on the medium.
    #[must_use]
    pub fn with(bytes: &[u8]) -> Memory {
        let disk = Memory::new();
        disk.put(Name::Live, bytes);
        disk
    }

    /// Puts a file on the medium.
    pub fn put(&self, name: Name, bytes: &[u8]) {
        let mut state = self.state();
        state.inodes.push(Inode {
            bytes: bytes.to_vec(),
            durable: bytes.to_vec(),
        });
        let inode = Some(state.inodes.len() - 1);
        state.name(name, inode);
        state.durable_names = state.names;
    }

    /// What a file holds, as programs see it.
    #[must_use]
    pub fn bytes(&self, name: Name) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.inode(name).ok().map(|inode| inode.bytes.clone())
    }

    /// So many bytes fit on the disk, over all files.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Everything that would change the disk fails with this error: `ReadOnlyFilesystem`, or any other.
    pub fn refuse(&self, error: Option<io::ErrorKind>) {
        self.state().refuses = error;
    }

    /// Every sync fails with this error.
    pub fn refuse_sync(&self, error: Option<io::ErrorKind>) {
        self.state().sync_refuses = error;
    }

    /// Somebody removes a file.
    pub fn lose(&self, name: Name) {
        let mut state = self.state();
        state.name(name, None);
        state.durable_names = state.names;
    }

    /// How many changes were made so far: appends, syncs, creations, truncations, renames, removals.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// The power fails in the middle of this change, counted from the first: 0. Everything after it fails, until
    /// [`Memory::restart`].
    pub fn crash_at(&self, change: u64) {
        self.state().crash_at = Some(change);
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// From here on everything fails, as if the power had failed between two changes.
    pub fn halt(&self) {
        self.state().crashed = true;
    }

    /// It was the process that ended, not the power: everything that was written is there.
    pub fn resume(&self) {
        let mut state = self.state();
        (state.crashed, state.crash_at) = (false, None);
    }

    /// The power is back. Of each file there is what was synced; of what was written after that, the first bytes, as
    /// many as `random` says of those that there are; and names are those synced, or the latest, as it says.
    pub fn restart(&self, random: &mut dyn FnMut(u64) -> u64) {
        let mut state = self.state();
        for inode in &mut state.inodes {
            let kept = inode.durable.len();
            let more = inode
                .bytes
                .strip_prefix(inode.durable.as_slice())
                .unwrap_or_default();
            let more = more
                .get(..random(more.len() as u64 + 1) as usize)
                .unwrap_or(more)
                .to_vec();
            inode.durable.extend(more);
            // Some file systems have made room for what they had no time to write.
            if inode.durable.len() > kept && random(4) == 0 {
                let from = kept + random((inode.durable.len() - kept) as u64) as usize;
                inode.durable.iter_mut().skip(from).for_each(|byte| *byte = 0);
            }
            inode.bytes.clone_from(&inode.durable);
        }
        if random(2) == 0 {
            state.durable_names = state.names;
        }
        state.names = state.durable_names;
        (state.crashed, state.crash_at) = (false, None);
    }
}

impl State {
    fn name(&mut self, name: Name, inode: Option<usize>) {
        if let Some(entry) = self.names.get_mut(name as usize) {
            *entry = inode;
        }
    }

    /// An empty inode: one that no name stands for, if there is one.
    fn free_inode(&mut self) -> usize {
        let is_free = |number: &usize| {
            let is_it = |name: &Option<usize>| *name == Some(*number);
            !self.names.iter().chain(&self.durable_names).any(is_it)
        };
        let number = (0..self.inodes.len()).find(is_free).unwrap_or(self.inodes.len());
        match self.inodes.get_mut(number) {
            Some(inode) => *inode = Inode::default(),
            None => self.inodes.push(Inode::default()),
        }
        number
    }

    fn inode(&mut self, name: Name) -> io::Result<&mut Inode> {
        let number = self.names.get(name as usize).copied().flatten();
        number
            .and_then(|number| self.inodes.get_mut(number))
            .ok_or(io::ErrorKind::NotFound.into())
    }

    /// Counts a change. `Ok(true)`: it is the one in which the power fails.
    fn change(&mut self) -> io::Result<bool> {
        if self.crashed {
            return Err(io::ErrorKind::Other.into());
        }
        if let Some(error) = self.refuses {
            return Err(error.into());
        }
        self.crashed = self.crash_at == Some(self.changes);
        self.changes += 1;
        Ok(self.crashed)
    }

    /// A change that is made, or not, in a whole.
    fn whole_change(&mut self) -> io::Result<()> {
        if self.change()? {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        let inodes = self
            .names
            .iter()
            .flatten()
            .filter_map(|&number| self.inodes.get(number));
        inodes.map(|inode| inode.bytes.len() as u64).sum()
    }
}

impl Disk for Memory {
    fn read(&mut self, name: Name, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let bytes = &state.inode(name)?.bytes;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, &byte) in buffer.iter_mut().zip(rest) {
            *to = byte;
        }
        Ok(count)
    }

    fn size(&mut self, name: Name) -> io::Result<u64> {
        Ok(self.state().inode(name)?.bytes.len() as u64)
    }

    fn create(&mut self, name: Name) -> io::Result<()> {
        let mut state = self.state();
        state.whole_change()?;
        let inode = state.free_inode();
        state.name(name, Some(inode));
        Ok(())
    }

    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.change()?;
        let room = state
            .capacity
            .map(|capacity| capacity.saturating_sub(state.used()));
        let room = room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        let taken = bytes.get(..room).unwrap_or(bytes);
        state.written += taken.len() as u64;
        state.inode(name)?.bytes.extend_from_slice(taken);
        if crash {
            return Err(io::ErrorKind::Other.into());
        }
        if taken.len() < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn truncate(&mut self, name: Name, size: u64) -> io::Result<()> {
        let mut state = self.state();
        state.whole_change()?;
        let inode = state.inode(name)?;
        inode.bytes.truncate(size as usize);
        // What is cut off may come back in a crash: nobody has synced.
        Ok(())
    }

    fn sync(&mut self, name: Name) -> io::Result<()> {
        let mut state = self.state();
        state.whole_change()?;
        if let Some(error) = state.sync_refuses {
            return Err(error.into());
        }
        let inode = state.inode(name)?;
        inode.durable.clone_from(&inode.bytes);
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.whole_change()?;
        let [live, new, _] = &mut state.names;
        if new.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        *live = new.take();
        Ok(())
    }

    fn remove(&mut self, name: Name) -> io::Result<()> {
        let mut state = self.state();
        if state.inode(name).is_ok() {
            state.whole_change()?;
            state.name(name, None);
        }
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.whole_change()?;
        state.durable_names = state.names;
        Ok(())
    }

    fn path(&self) -> String {
        "bans".to_owned()
    }
}
