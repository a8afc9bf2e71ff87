//! CRC-32 of a line (IEEE 802.3, reflected, polynomial 0x04c11db7): the one of gzip and PNG, so that a line of the
//! state file can be checked with common tools. It finds every change of up to 32 neighbouring bits, and misses one
//! other damage in four milliards.

/// What each half byte does to the remainder: 64 bytes, where a table for whole bytes takes a kilobyte.
const NIBBLES: [u32; 16] = nibbles();

const fn nibbles() -> [u32; 16] {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut remainder = nibble as u32;
        let mut bit = 0;
        while bit < 4 {
            let odd = remainder & 1 == 1;
            remainder >>= 1;
            if odd {
                remainder ^= 0xedb8_8320;
            }
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[nibble] = remainder;
        }
        nibble += 1;
    }
    table
}

/// The checksum of these bytes.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |remainder: u32, nibble: u8| {
        let at = (remainder ^ u32::from(nibble)) & 0xf;
        (remainder >> 4) ^ NIBBLES.get(at as usize).copied().unwrap_or(0)
    };
    let add = |remainder: u32, &byte: &u8| step(step(remainder, byte), byte >> 4);
    !bytes.iter().fold(!0, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_others_compute() {
        assert_eq!(crc32(b""), 0);
        // The check value of the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }
}
