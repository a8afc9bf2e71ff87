//! CRC-32 of a line (IEEE 802.3, reflected, polynomial 0x04c11db7): the one of gzip and PNG, so that a line of the
//! state file can be checked with common tools. It finds every change of up to 32 neighbouring bits, and misses one
//! other damage in four milliards.

/// What a byte does to the remainder is what its lower half does and what its upper half does, together: 128 bytes of
/// tables, where one for whole bytes takes a kilobyte.
const LOWER: [u32; 16] = halves(0);
const UPPER: [u32; 16] = halves(4);

const fn halves(shift: u32) -> [u32; 16] {
    let mut table = [0; 16];
    let mut half = 0;
    while half < 16 {
        let mut remainder = (half as u32) << shift;
        let mut bit = 0;
        while bit < 8 {
            let odd = remainder & 1 == 1;
            remainder >>= 1;
            if odd {
                remainder ^= 0xedb8_8320;
            }
            bit += 1;
        }
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[half] = remainder;
        }
        half += 1;
    }
    table
}

/// The checksum of these bytes.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "half a byte is below 16")]
pub fn crc32(bytes: &[u8]) -> u32 {
    let add = |remainder: u32, &byte: &u8| {
        let at = (remainder as u8 ^ byte) as usize;
        (remainder >> 8) ^ LOWER[at & 0xf] ^ UPPER[at >> 4]
    };
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
