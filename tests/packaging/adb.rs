//! A reader of packages of apk 3 (apk-tools, doc/apk-v3.5.scd, src/adb.h, src/apk_adb.h), that takes nothing from
//! the writer: values are found by their tags, contents by the numbers in front of them.

use std::collections::BTreeMap;

/// What a package says.
#[derive(Default)]
pub(crate) struct Apk {
    pub(crate) info: BTreeMap<&'static str, String>,
    pub(crate) depends: Vec<String>,
    pub(crate) directories: Vec<String>,
    pub(crate) files: Vec<File>,
    pub(crate) scripts: BTreeMap<&'static str, String>,
}

pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) mode: u64,
    pub(crate) user: String,
    pub(crate) group: String,
    pub(crate) mtime: u64,
    pub(crate) sha256: String,
    pub(crate) contents: Vec<u8>,
}

const INFO: [(usize, &str); 8] = [
    (1, "name"),
    (2, "version"),
    (4, "description"),
    (5, "arch"),
    (6, "license"),
    (7, "origin"),
    (8, "maintainer"),
    (9, "url"),
];
const SCRIPTS: [&str; 7] = [
    "trigger",
    "pre-install",
    "post-install",
    "pre-deinstall",
    "post-deinstall",
    "pre-upgrade",
    "post-upgrade",
];

/// Reads the whole of an uncompressed package.
pub(crate) fn read(bytes: &[u8]) -> Apk {
    assert_eq!(&bytes[..8], b"ADB.pckg");
    let blocks = blocks(&bytes[8..]);
    let (kind, body) = blocks[0];
    assert_eq!(kind, 0, "the first block is the ADB");
    assert_eq!(&body[..4], [0; 4], "version of the format");
    let adb = Adb(body);
    let package = adb.slots(word(body, 4));
    let info = adb.slots(package[1]);
    let mut apk = Apk::default();
    for (slot, name) in INFO {
        apk.info.insert(name, adb.text(info[slot]));
    }
    assert_eq!(adb.blob(info[3]).len(), 20, "the identity");
    for &dependency in &adb.slots(info[15])[1..] {
        apk.depends.push(adb.text(adb.slots(dependency)[1]));
    }
    for (slot, &script) in adb.slots(package[3]).iter().enumerate().skip(1) {
        if script != 0 {
            apk.scripts.insert(SCRIPTS[slot - 1], adb.text(script));
        }
    }
    let mut data = blocks[1..].iter();
    for (number, &directory) in adb.slots(package[2]).iter().enumerate().skip(1) {
        adb.directory(directory, number, &mut data, &mut apk);
    }
    assert!(data.next().is_none(), "contents of no file");
    let installed: usize = apk.files.iter().map(|file| file.contents.len()).sum();
    assert_eq!(adb.int(info[12]), installed as u64);
    apk
}

/// Kind and contents of every block: two bits, thirty of size with this word, filled up to eight bytes.
fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let head = word(bytes, 0);
        let size = (head & 0x3fff_ffff) as usize;
        blocks.push((head >> 30, &bytes[4..size]));
        let padded = size.next_multiple_of(8);
        assert!(bytes[size..padded].iter().all(|&byte| byte == 0));
        bytes = &bytes[padded..];
    }
    blocks
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The body of an ADB block; values are tagged with four bits.
struct Adb<'b>(&'b [u8]);

impl Adb<'_> {
    /// An object or array: slot 0 is their number.
    fn slots(&self, value: u32) -> Vec<u32> {
        assert!(matches!(value >> 28, 0xd | 0xe), "{value:#x} is an object");
        let at = (value & 0x0fff_ffff) as usize;
        assert_eq!(at % 4, 0, "it is aligned");
        (0..word(self.0, at) as usize)
            .map(|slot| word(self.0, at + 4 * slot))
            .collect()
    }

    fn blob(&self, value: u32) -> &[u8] {
        let at = (value & 0x0fff_ffff) as usize;
        let (head, length) = match value >> 28 {
            0 => return &[],
            8 => (1, usize::from(self.0[at])),
            9 => (2, usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))),
            10 => (4, word(self.0, at) as usize),
            _ => panic!("{value:#x} is no blob"),
        };
        assert_eq!(at % head, 0, "it is aligned");
        &self.0[at + head..at + head + length]
    }

    fn text(&self, value: u32) -> String {
        String::from_utf8(self.blob(value).to_vec()).unwrap()
    }

    fn int(&self, value: u32) -> u64 {
        match value >> 28 {
            0 => 0,
            1 => u64::from(value & 0x0fff_ffff),
            2 => u64::from(word(self.0, (value & 0x0fff_ffff) as usize)),
            _ => panic!("{value:#x} is no number"),
        }
    }

    fn directory<'d>(
        &self,
        value: u32,
        number: usize,
        data: &mut impl Iterator<Item = &'d (u32, &'d [u8])>,
        apk: &mut Apk,
    ) {
        let directory = self.slots(value);
        let path = format!("/{}", self.text(directory[1]));
        let acl = self.slots(directory[2]);
        assert_eq!(self.int(acl[1]), 0o755, "{path}");
        assert_eq!(
            (self.text(acl[2]), self.text(acl[3])),
            ("root".into(), "root".into()),
            "{path}"
        );
        let files = directory.get(3).map_or_else(Vec::new, |&files| self.slots(files));
        let mut names = Vec::new();
        for (index, &file) in files.iter().enumerate().skip(1) {
            let file = self.slots(file);
            let name = self.text(file[1]);
            let (kind, contents) = data.next().expect("contents of every file");
            assert_eq!(*kind, 2, "a block of data");
            assert_eq!(
                (word(contents, 0), word(contents, 4)),
                (number as u32, index as u32)
            );
            let contents = contents[8..].to_vec();
            assert_eq!(self.int(file[3]), contents.len() as u64);
            let acl = self.slots(file[2]);
            apk.files.push(File {
                path: format!("{}/{name}", path.trim_end_matches('/')),
                mode: self.int(acl[1]),
                user: self.text(acl[2]),
                group: self.text(acl[3]),
                mtime: self.int(file[4]),
                sha256: self
                    .blob(file[5])
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                contents,
            });
            names.push(name);
        }
        assert!(names.is_sorted(), "{names:?}");
        apk.directories.push(path);
    }
}
