//! No input makes it panic, and whatever it says about one is printable.

use super::*;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

fn check(bytes: &[u8]) {
    let mut depth = 0;
    let result = load(Path::new("jail.local"), &mut |_| {
        depth += 1;
        if depth > 3 {
            Err(io::Error::from(io::ErrorKind::NotFound))
        } else {
            Ok(bytes.to_vec())
        }
    });
    let said = match result {
        Ok((config, warnings)) => {
            for block in config.jails.iter().flat_map(|jail| &jail.blocks) {
                assert!(block.ports.iter().all(|(first, last)| first <= last));
                assert!(block.ports.is_sorted() && block.ports.len() <= crate::limits::PORTS_MAX);
            }
            format!("{}\n{}", describe(&config), warned(&warnings))
        }
        Err(error) => error.to_string(),
    };
    let printable = |c: char| c == '\n' || c == '…' || (' '..='~').contains(&c);
    assert!(said.chars().all(printable), "{said}");
}

const PIECES: [&str; 40] = [
    "\n",
    "[",
    "]",
    "=",
    ":",
    "%",
    "%(",
    ")s",
    "%%",
    ";",
    "#",
    " ",
    "\t",
    "\"",
    "'",
    ",",
    "\r\n",
    "é",
    "　",
    "\u{1b}",
    "[asterisk]\nenabled=1\n",
    "[DEFAULT]\n",
    "[INCLUDES]\nbefore=",
    "\n  ",
    "action",
    "port",
    "%(action_)s",
    "-1",
    "%(known/port)s",
    "%(default/action_)s",
    "iptables[",
    "name=",
    "protocol=all",
    "logpath = /a",
    "ignoreip = 1.2.3.4/",
    "bantime = 1",
    "65535",
    "0:",
    "%(__name__)s",
    "filter = ",
];

#[test]
fn random_and_mutated_files_never_panic() {
    let mut random = Random(0x5eed_5196_aa17_0001);
    let corpus: Vec<Vec<u8>> = std::fs::read_dir("tests/data/howto")
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .chain(std::fs::read("tests/data/article/jail.local"))
        .collect();
    for _ in 0..4_000 {
        let mut bytes: Vec<u8> = match random.below(3) {
            0 => (0..random.below(80))
                .flat_map(|_| PIECES[random.below(PIECES.len())].bytes())
                .collect(),
            1 => (0..random.below(200))
                .map(|_| u8::try_from(random.below(256)).unwrap())
                .collect(),
            _ => corpus[random.below(corpus.len())].clone(),
        };
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len());
            let piece = PIECES[random.below(PIECES.len())];
            match random.below(3) {
                0 => drop(bytes.splice(at..at, piece.bytes())),
                1 => drop(bytes.drain(at..bytes.len().min(at + random.below(20)))),
                _ if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                _ => {}
            }
        }
        check(&bytes);
    }
}
