//! Any bytes at all.

use super::Tree;
use crate::advice::{Directory, advise};
use crate::config::Config;

/// What the files are put together from: `~` is a newline, `_` a blank, `§` an underscore, `^` a NUL.
const WORDS: &str = "[ ] ( ) ! + = > ; -- #include_ #tryinclude_ \" * ? \\ ~ ^ % q ü [general]~ [logfiles]~ \
    [modules]~ [global]~ type=endpoint~ type=global~ type=user~ [anonymous](a)~ [a](!)~ messages.log => \
    [json] security dateformat=% endpoint§identifier§order= auth§username sip.conf { } /var/log/asterisk/ \
    enabled=yes~ bindaddr= logger§queue§limit= 9 autoload=yes~ appendhostname=yes~ verbose( , _ \
    syslog console notice";

const NAMES: [&str; 9] = [
    "logger", "sip", "pjsip", "iax", "http", "ari", "manager", "modules", "asterisk",
];

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn file(&mut self, words: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(40) {
            bytes.extend_from_slice(words[self.below(words.len())].as_bytes());
            if self.below(20) == 0 {
                bytes.push(u8::try_from(self.below(256)).unwrap());
            }
        }
        bytes
    }
}

#[test]
fn no_bytes_make_it_panic_or_print_control_characters() {
    let plain = |word: &str| {
        word.replace('~', "\n")
            .replace('_', " ")
            .replace('^', "\0")
            .replace('§', "_")
    };
    let words: Vec<String> = WORDS.split_whitespace().map(plain).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut said = 0;
    for _ in 0..2_000 {
        let mut tree = Tree::default();
        for name in NAMES {
            let path = format!("/etc/asterisk/{name}.conf");
            tree.files.insert(path, random.file(&words));
        }
        let rule = "/etc/logrotate.d/asterisk".to_owned();
        tree.files.insert(rule, random.file(&words));
        for advice in advise(&Config::built_in(), Directory::Usual, "pbx", &mut tree) {
            let line = advice.to_string();
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
            said += 1;
        }
    }
    assert!(said > 2_000, "the files are read: {said}");
}
