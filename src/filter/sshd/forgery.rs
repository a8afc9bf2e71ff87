//! Lines that a client would forge: his text planted with the address of somebody else.

use super::tests::{PEER, read};
use super::*;

/// Whom the forger wants to have banned.
const VICTIM: &str = "198.51.100.7";

const MAXIMUM: &str = "maximum authentication attempts exceeded";
const CHANGE: &str = "Change of username or service not allowed";
const KEY: &str = "Failed publickey for invalid user";
const HOST: &str = "Failed hostbased for invalid user";

/// A small generator (Vigna's SplitMix64); a failure prints the line it made.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (end as u64)).unwrap()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// What a client may send: pieces of every grammar around the victim's address, cut to `most` bytes.
    fn text(&mut self, most: usize) -> String {
        const PIECES: [&str; 27] = [
            VICTIM,
            VICTIM,
            VICTIM,
            " from ",
            " from ",
            " port 22",
            " port 6",
            " ssh2",
            ": ",
            " ",
            "invalid user ",
            "authenticating user ",
            " not allowed because ",
            "listed in DenyUsers",
            "not listed in AllowUsers",
            " rhost=",
            "  user=",
            "Failed password for ",
            "Invalid user ",
            " [preauth]",
            "RSA SHA256:abc",
            "'",
            "x",
            ": Change of username or service not allowed: (",
            ":11: ",
            ": no matching ",
            "UNKNOWN",
        ];
        let mut text = String::new();
        for _ in 0..self.below(14) {
            text.push_str(self.pick(&PIECES));
        }
        text.truncate(most);
        text
    }
}

#[test]
fn no_text_of_a_client_makes_another_the_culprit() {
    let mut random = Random(20_261_122);
    let (mut found, rounds) = (0, 60_000);
    for _ in 0..rounds {
        let user = random.text(100);
        let other = random.text(400);
        let form = random.below(15);
        let mut message = match form {
            0 => format!("Failed password for invalid user {user} from {PEER} port 5 ssh2"),
            1 => format!("Invalid user {user} from {PEER} port 5"),
            2 => format!("Invalid user {user} from {PEER}"),
            3 => format!("error: {MAXIMUM} for invalid user {user} from {PEER} port 5 ssh2"),
            4 => format!("error: PAM: Authentication failure for illegal user {user} from {PEER}"),
            5 => format!("Failed keyboard-interactive/pam for {user} from {PEER} port 5 ssh2"),
            6 => format!("Connection closed by authenticating user {user} {PEER} port 5"),
            7 => format!("Bad protocol version identification '{user}' from {PEER} port 5"),
            8 => format!("Disconnected from invalid user {user} {PEER} port 5"),
            9 => format!("Received disconnect from {PEER} port 5:3: {other}: Auth fail"),
            10 => format!("Received disconnect from {PEER}: 14: {other}"),
            11 => format!(
                "Unable to negotiate with {PEER} port 5: no matching cipher found. Their offer: {other}"
            ),
            12 => format!(
                "Disconnecting invalid user {user} {PEER} port 5: {CHANGE}: ({user},x) -> ({other},x)"
            ),
            13 => format!("{KEY} {user} from {PEER} port 5 ssh2: RSA-CERT SHA256:a ID {other} (serial 0) CA"),
            _ => format!(
                "{HOST} {user} from {PEER} port 5 ssh2: RSA SHA256:a, client user \"{other}\", client"
            ),
        };
        // Where the client's text is on the right and long, `do_log` cuts the message.
        if form >= 9 {
            message.truncate(message.len() - random.below(message.len() / 3));
        }
        if random.below(2) == 0 {
            message.push_str(" [preauth]");
        }
        match read(Mode::Aggressive, &message) {
            Reading::Failure(failure) => {
                assert_eq!(failure.addr.to_string(), PEER, "{message}");
                found += 1;
            }
            Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => {}
        }
    }
    assert!(
        found > rounds / 3,
        "only {found} of {rounds} forged lines were read"
    );
}

#[test]
fn random_bytes_do_no_harm() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let mut line = b"Nov 22 11:21:11 edge sshd[990]: ".to_vec();
        line.truncate(random.below(60));
        line.extend_from_slice(random.text(300).as_bytes());
        for _ in 0..random.below(8) {
            let at = random.below(line.len() + 1);
            line.insert(at, u8::try_from(random.below(256)).unwrap());
        }
        let _ = Sshd {
            mode: Mode::Aggressive,
        }
        .read(&line, &Context::default());
    }
}
