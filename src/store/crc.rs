//! CRC-32 of a line (IEEE 802.3, reflected, polynomial 0x04c11db7): the one of gzip and PNG, so that a line of the
//! state file can be checked with common tools. It finds every change of up to 32 neighbouring bits, and misses one
//! other damage in four milliards.

/// What half a byte does to the remainder, for each half of the last four bytes: half a kilobyte of tables, where the
/// usual ones for whole bytes take one kilobyte for one byte, and four for four.
const TABLES: [[u32; 16]; 8] = {
    let mut tables = [[0; 16]; 8];
    let mut half = 0;
    while half < 8 * 16 {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            tables[half / 16][half % 16] = remainder((half as u32 % 16) << (half / 16 * 4));
        }
        half += 1;
    }
    tables
};

/// The remainder of four bytes.
const fn remainder(mut bytes: u32) -> u32 {
    let mut bit = 0;
    while bit < 32 {
        let odd = bytes & 1 == 1;
        bytes >>= 1;
        if odd {
            bytes ^= 0xedb8_8320;
        }
        bit += 1;
    }
    bytes
}

/// The checksum of these bytes.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "half a byte is below 16")]
pub fn crc32(bytes: &[u8]) -> u32 {
    let look = |table: usize, word: u32| TABLES[table][(word >> (table * 4)) as usize & 0xf];
    let (mut sum, mut rest) = (!0, bytes);
    while let Some((four, after)) = rest.split_first_chunk() {
        let word = sum ^ u32::from_le_bytes(*four);
        sum = (0..8).fold(0, |sum, table| sum ^ look(table, word));
        rest = after;
    }
    for &byte in rest {
        let last = (sum ^ u32::from(byte)) << 24;
        sum = (sum >> 8) ^ look(6, last) ^ look(7, last);
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_divided_bit_by_bit() {
        let bytes: Vec<u8> = (0..40_u8).map(|byte| byte.wrapping_mul(0x5d) ^ 0xa7).collect();
        for length in 0..bytes.len() {
            let mut slow = !0_u32;
            for &byte in &bytes[..length] {
                slow ^= u32::from(byte);
                for _ in 0..8 {
                    slow = (slow >> 1) ^ if slow & 1 == 1 { 0xedb8_8320 } else { 0 };
                }
            }
            assert_eq!(crc32(&bytes[..length]), !slow, "{length}");
        }
    }

    #[test]
    fn the_checksum_is_the_one_that_others_compute() {
        assert_eq!(crc32(b""), 0);
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }
}
