//! A file for redb that is never changed. What redb writes, for example to repair the file after a kill, stays in
//! memory.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt as _, sync::Mutex};

use redb::StorageBackend;
use system::sync::lock;

/// Writes are kept in blocks of this size.
const BLOCK_BYTES: u64 = 4096;

/// The file and what was written over it.
#[derive(Debug)]
pub struct Overlay {
    file: File,
    written: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Written {
    length: u64,
    /// Bytes of the file after this do not count, because the length was once set to this.
    file_length: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// Nothing is written over it yet.
    pub fn new(file: File) -> Overlay {
        Overlay { file, written: Mutex::new(None) }
    }

    fn with<T>(&self, call: impl FnOnce(&mut Written) -> io::Result<T>) -> io::Result<T> {
        let mut written = lock(&self.written);
        if let Some(written) = written.as_mut() {
            return call(written);
        }
        let length = self.file.metadata()?.len();
        call(written.insert(Written { length, file_length: length, blocks: BTreeMap::new() }))
    }

    fn block<'a>(&self, written: &'a mut Written, number: u64) -> io::Result<&'a mut Vec<u8>> {
        if !written.blocks.contains_key(&number) {
            let mut bytes = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or_default()];
            self.read_file(written.file_length, number * BLOCK_BYTES, &mut bytes)?;
            written.blocks.insert(number, bytes);
        }
        Ok(written.blocks.entry(number).or_default())
    }

    /// Reads from the file. After its end there are zeros.
    fn read_file(&self, file_length: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let there = usize::try_from(file_length.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        self.file.read_exact_at(&mut out[..there], offset)
    }
}

/// Splits a stretch of bytes by block. For each part: number of the block, start within the block, and range within the
/// stretch.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (number, inside) = (at / BLOCK_BYTES, usize::try_from(at % BLOCK_BYTES).unwrap_or_default());
        let end = (done + usize::try_from(BLOCK_BYTES).unwrap_or_default() - inside).min(length);
        let part = (done < length).then_some((number, inside, done..end));
        done = end;
        part
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        self.with(|written| Ok(written.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|written| {
            if offset + out.len() as u64 > written.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read_file(written.file_length, offset, out)?;
            for (number, inside, part) in parts(offset, out.len()) {
                if let Some(block) = written.blocks.get(&number) {
                    let length = part.len();
                    out[part].copy_from_slice(&block[inside..inside + length]);
                }
            }
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|written| {
            if length < written.length {
                let last = length / BLOCK_BYTES;
                written.blocks.split_off(&(last + 1));
                let inside = usize::try_from(length % BLOCK_BYTES).unwrap_or_default();
                if let Some(block) = written.blocks.get_mut(&last) {
                    block[inside..].fill(0);
                }
                written.file_length = written.file_length.min(length);
            }
            written.length = length;
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|written| {
            for (number, inside, part) in parts(offset, data.len()) {
                let block = self.block(written, number)?;
                block[inside..inside + part.len()].copy_from_slice(&data[part]);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn writes_are_read_back_and_the_file_stays_as_it_was() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let overlay = Overlay::new(file.try_clone().unwrap());
        overlay.write(4090, &[1; 5000]).unwrap();
        let mut model = vec![7; 10_000];
        model[4090..9090].fill(1);
        let read = |length: usize| {
            let mut out = vec![9; length];
            overlay.read(0, &mut out).unwrap();
            out
        };
        assert!(read(10_000) == model);
        overlay.set_len(5000).unwrap();
        overlay.set_len(12_000).unwrap();
        model.truncate(5000);
        model.resize(12_000, 0);
        assert!(read(12_000) == model);
        assert!(overlay.read(11_999, &mut [0; 2]).is_err());
        let mut bytes = vec![0; 10_000];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == [7; 10_000]);
    }
}
