//! Lines of an export in chunks of bounded size, whatever it is packed with. Blocking; runs on its own thread.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

/// Bytes of lines after which a chunk is sent.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Lines after which a chunk is sent.
const CHUNK_LINES: u64 = 20_000;
/// A longer line is not even read whole. The server's own bound is 64 KiB.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Some lines of a file, ready to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The lines, each with its line break; a line that was too long is blank, so that the count stays right.
    pub body: Vec<u8>,
    /// Number of the first line in the file, from 1.
    pub first_line: u64,
    /// How many lines, blank ones included.
    pub lines: u64,
    /// Numbers in the file of lines over 1 MiB.
    pub too_long: Vec<u64>,
    /// Bytes of the file (packed, if it is) read so far.
    pub file_bytes: u64,
}

/// Reads chunks. `R` is the unpacked text.
pub struct Lines<R> {
    input: R,
    next_line: u64,
    file_bytes: Arc<AtomicU64>,
}

/// What one line was.
enum Line {
    Whole,
    TooLong,
    End,
}

/// Counts what the unpacking reader takes, for the progress bar.
struct Counted<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a file, or stdin for `-`.
pub fn open(path: &Path) -> io::Result<Lines<Box<dyn BufRead + Send>>> {
    if path.as_os_str() == "-" { unpack(io::stdin()) } else { unpack(File::open(path)?) }
}

/// Looks at the first bytes, not at the name: gzip, zstd, or plain text with or without a byte order mark.
pub fn unpack(input: impl Read + Send + 'static) -> io::Result<Lines<Box<dyn BufRead + Send>>> {
    let bytes = Arc::new(AtomicU64::new(0));
    let mut counted = Counted { input, bytes: bytes.clone() };
    let mut head = Vec::new();
    counted.by_ref().take(4).read_to_end(&mut head)?;
    let text: Box<dyn Read + Send> = match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(Cursor::new(head).chain(counted))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(Cursor::new(head).chain(counted))?),
        [0xef, 0xbb, 0xbf, rest @ ..] => Box::new(Cursor::new(rest.to_vec()).chain(counted)),
        _ => Box::new(Cursor::new(head).chain(counted)),
    };
    Ok(Lines::new(Box::new(BufReader::with_capacity(256 * 1024, text)), bytes))
}

impl<R: BufRead> Lines<R> {
    fn new(input: R, file_bytes: Arc<AtomicU64>) -> Self {
        Self { input, next_line: 1, file_bytes }
    }

    /// Passes over the first `count` lines.
    pub fn skip(&mut self, count: u64) -> io::Result<()> {
        let mut scrap = Vec::new();
        for _ in 0..count {
            scrap.clear();
            if matches!(self.line(&mut scrap)?, Line::End) {
                break;
            }
            self.next_line += 1;
        }
        Ok(())
    }

    /// The next lines; none at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk { first_line: self.next_line, ..Chunk::default() };
        while chunk.lines < CHUNK_LINES && chunk.body.len() < CHUNK_BYTES {
            match self.line(&mut chunk.body)? {
                Line::Whole => {}
                Line::TooLong => chunk.too_long.push(self.next_line),
                Line::End => break,
            }
            self.next_line += 1;
            chunk.lines += 1;
        }
        chunk.file_bytes = self.file_bytes.load(Ordering::Relaxed);
        Ok((chunk.lines > 0).then_some(chunk))
    }

    /// Appends one line with its line break; of a line that is too long only the break.
    fn line(&mut self, body: &mut Vec<u8>) -> io::Result<Line> {
        let start = body.len();
        let mut length = 0;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let at_end = buffer.is_empty();
            let line_break = buffer.iter().position(|byte| *byte == b'\n');
            let taken = line_break.unwrap_or(buffer.len());
            length += taken;
            if length <= LINE_BYTES_MAX {
                body.extend_from_slice(&buffer[..taken]);
            }
            self.input.consume(taken + usize::from(line_break.is_some()));
            if at_end && length == 0 {
                return Ok(Line::End);
            }
            if at_end || line_break.is_some() {
                return Ok(finish(body, start, length));
            }
        }
    }
}

fn finish(body: &mut Vec<u8>, start: usize, length: usize) -> Line {
    let too_long = length > LINE_BYTES_MAX;
    if too_long {
        body.truncate(start);
    }
    body.push(b'\n');
    if too_long { Line::TooLong } else { Line::Whole }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn chunks(bytes: Vec<u8>) -> Vec<Chunk> {
        let mut lines = unpack(Cursor::new(bytes)).unwrap();
        std::iter::from_fn(|| lines.next_chunk().unwrap()).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn plain_gzip_and_zstd_give_the_same_lines() {
        let text = b"{\"a\":1}\r\n\n{\"b\":2}";
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let marked = [b"\xef\xbb\xbf".as_slice(), text].concat();
        let members = [gzip(&text[..10]), gzip(&text[10..])].concat();
        for bytes in [text.to_vec(), gzip(text), zstd, marked, members] {
            let read = bytes.len() as u64;
            let [chunk] = chunks(bytes).try_into().unwrap();
            assert_eq!(String::from_utf8(chunk.body).unwrap(), "{\"a\":1}\r\n\n{\"b\":2}\n");
            assert_eq!((chunk.first_line, chunk.lines, chunk.file_bytes), (1, 3, read));
        }
    }

    #[test]
    fn short_and_empty_input_is_no_special_case() {
        assert_eq!(chunks(Vec::new()), []);
        assert_eq!(chunks(b"{}".to_vec())[0].body, b"{}\n");
        assert_eq!(chunks(b"\n".to_vec())[0].lines, 1);
        assert_eq!(chunks(gzip(b"")), []);
    }

    #[test]
    fn chunks_end_after_twenty_thousand_lines_or_four_mebibytes() {
        let many = chunks(b"{}\n".repeat(45_000));
        let places: Vec<_> = many.iter().map(|chunk| (chunk.first_line, chunk.lines)).collect();
        assert_eq!(places, [(1, 20_000), (20_001, 20_000), (40_001, 5_000)]);
        let long = [vec![b'x'; 60_000], b"\n".to_vec()].concat();
        assert!(chunks(long.repeat(200)).iter().all(|chunk| chunk.body.len() < CHUNK_BYTES + 60_001));
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_keeps_its_number() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let text = [b"{}\n".as_slice(), &long, b"\n{}\n", &long[1..], b"\n", &long].concat();
        let [chunk] = chunks(text).try_into().unwrap();
        assert_eq!((chunk.lines, chunk.too_long), (5, vec![2, 5]));
        assert_eq!(chunk.body.len(), 3 + 1 + 3 + LINE_BYTES_MAX + 1 + 1);
    }

    #[test]
    fn skipping_keeps_the_line_numbers() {
        let mut lines = unpack(Cursor::new(b"a\n\nc\nd\n")).unwrap();
        lines.skip(2).unwrap();
        let chunk = lines.next_chunk().unwrap().unwrap();
        assert_eq!((chunk.body.as_slice(), chunk.first_line, chunk.lines), (b"c\nd\n".as_slice(), 3, 2));
        lines.skip(9).unwrap();
        assert_eq!(lines.next_chunk().unwrap(), None);
    }

    #[test]
    fn a_cut_off_archive_is_an_error_and_not_an_end() {
        let mut packed = gzip(&b"{\"a\":1}\n".repeat(1000));
        packed.truncate(packed.len() - 5);
        assert!(unpack(Cursor::new(packed)).unwrap().next_chunk().is_err());
    }
}
