//! Bytes with their length, compressed.

use std::io::Read as _;

use crate::{Damaged, varint, varint::Reader};

const ZSTD_LEVEL: i32 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Up to this length room is made for the whole before any of it was seen.
const AT_ONCE_BYTES_MAX: usize = 16 << 20;

/// Appends the bytes, compressed if that makes them fewer.
pub fn put(out: &mut Vec<u8>, plain: &[u8]) {
    varint::put(out, plain.len() as u64);
    // zstd only fails on a bad level or lack of memory; then the plain bytes are as good.
    match zstd::bulk::compress(plain, ZSTD_LEVEL) {
        Ok(compressed) if compressed.len() < plain.len() => {
            out.push(ZSTD);
            out.extend_from_slice(&compressed);
        }
        _ => {
            out.push(PLAIN);
            out.extend_from_slice(plain);
        }
    }
}

/// Reads what [`put`] wrote, which is all that is left.
pub fn take(mut reader: Reader<'_>) -> Result<Vec<u8>, Damaged> {
    let length: usize = reader.small()?;
    match reader.byte()? {
        PLAIN if reader.rest().len() == length => Ok(reader.rest().to_vec()),
        ZSTD => decompress(reader.rest(), length),
        _ => Err(Damaged("packed bytes of a form that this version does not know")),
    }
}

fn decompress(compressed: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    const DAMAGED: Damaged = Damaged("packed bytes that do not decompress");
    let plain = if length <= AT_ONCE_BYTES_MAX {
        zstd::bulk::decompress(compressed, length).map_err(|_| DAMAGED)?
    } else {
        // Grows with what is really there, so that a damaged length cannot claim memory.
        let decoder = zstd::stream::read::Decoder::new(compressed).map_err(|_| DAMAGED)?;
        let mut plain = Vec::new();
        decoder.take(length as u64).read_to_end(&mut plain).map_err(|_| DAMAGED)?;
        plain
    };
    if plain.len() == length { Ok(plain) } else { Err(DAMAGED) }
}
