//! A name server of the test's own, on 127.0.0.1, and a machine that asks it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses another part of it"
)]
#![allow(missing_docs, reason = "they are here, where they help")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::support::run;

/// What it says about a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// Nothing at all.
    Nothing,
    /// That there is no such name.
    NoSuchName,
    /// This, behind the id and the flags of an answer.
    Raw(Vec<u8>),
}

/// The server; it ends with the test.
#[derive(Clone)]
pub struct Dns {
    names: Arc<Mutex<BTreeMap<String, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// Starts it, and has this machine ask it and nobody else.
    pub fn start() -> Dns {
        run("mount -t tmpfs tmpfs /media");
        fs::write(
            "/media/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        )
        .unwrap();
        fs::write("/media/nsswitch.conf", "hosts: files dns\n").unwrap();
        fs::write("/media/hosts", "127.0.0.1 localhost\n").unwrap();
        for file in ["resolv.conf", "nsswitch.conf", "hosts"] {
            run(&format!("mount --bind /media/{file} /etc/{file}"));
        }
        let dns = Dns {
            names: Arc::default(),
            asked: Arc::default(),
        };
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let server = dns.clone();
        std::thread::spawn(move || server.serve(&socket));
        dns
    }

    /// From now on it says this about the name.
    pub fn says(&self, name: &str, says: Says) {
        self.names.lock().unwrap().insert(name.to_owned(), says);
    }

    pub fn has(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        self.says(name, Says::Addresses(addresses.collect()));
    }

    /// How often a name was asked for.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == name).count()
    }

    fn serve(&self, socket: &UdpSocket) {
        let mut buffer = [0; 512];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if let Some(answer) = self.answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    /// RFC 1035, section 4: one question, and the records that answer it.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut at = 12;
        let mut labels = Vec::new();
        while query[at] > 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
            at = end;
        }
        let name = labels.join(".");
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let question = &query[12..at + 5];
        self.asked.lock().unwrap().push(name.clone());
        let says = self.names.lock().unwrap().get(&name).cloned();
        let (code, addresses) = match says.unwrap_or(Says::NoSuchName) {
            Says::Nothing => return None,
            Says::Raw(bytes) => return Some([&query[..2], &[0x81, 0x80], &bytes].concat()),
            Says::NoSuchName => (3, Vec::new()),
            Says::Addresses(addresses) => (0, addresses),
        };
        let mut records = Vec::new();
        let mut count = 0_u16;
        for address in addresses {
            let (of, bytes) = match address {
                IpAddr::V4(v4) => (1_u16, v4.octets().to_vec()),
                IpAddr::V6(v6) => (28, v6.octets().to_vec()),
            };
            if of == kind {
                count += 1;
                records.extend([0xc0, 12]);
                records.extend(of.to_be_bytes());
                records.extend([0, 1, 0, 0, 0, 60]);
                records.extend((bytes.len() as u16).to_be_bytes());
                records.extend(bytes);
            }
        }
        let counts = [1_u16, count, 0, 0].map(u16::to_be_bytes).concat();
        Some([&query[..2], &[0x81, 0x80 | code], &counts, question, &records].concat())
    }
}
