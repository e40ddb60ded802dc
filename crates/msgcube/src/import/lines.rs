//! Reads an export in chunks of bounded size; gzip and zstd are decompressed. Blocking; runs on its own thread.

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
use wechat::callback::cutter::{CutItem, Cutter, line_breaks};

/// Bytes of lines after which a chunk is sent.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Lines and documents after which a chunk is sent.
const CHUNK_ITEMS: usize = 20_000;

/// Some lines and documents of a file, ready to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The lines and documents, each with a line break at its end. Blank lines are left out.
    pub body: Vec<u8>,
    /// Where each item begins: its line in the body and in the file, both from 1.
    places: Vec<(u64, u64)>,
    body_lines: u64,
    /// Lines of the file that are done once this chunk is sent.
    pub lines_done: u64,
    /// Items that are not sent: the line in the file, and the reason.
    pub bad: Vec<(u64, &'static str)>,
    /// Bytes of the file read so far, before decompression.
    pub file_bytes: u64,
}

impl Chunk {
    /// The line number in the file for a line number in the body.
    pub fn file_line(&self, body_line: u64) -> u64 {
        let behind = self.places.partition_point(|(in_body, _)| *in_body <= body_line);
        self.places.get(behind.saturating_sub(1)).map_or(body_line, |(_, in_file)| *in_file)
    }

    fn add(&mut self, number: u64, item: &[u8]) {
        self.places.push((self.body_lines + 1, number));
        self.body.extend_from_slice(item);
        self.body.push(b'\n');
        self.body_lines += 1 + line_breaks(item);
    }
}

/// Reads chunks. `R` is the uncompressed text.
pub struct ChunkReader<R> {
    input: R,
    cutter: Cutter,
    has_ended: bool,
    /// Number of lines that an earlier run has sent.
    skipped: u64,
    file_bytes: Arc<AtomicU64>,
}

/// Counts the bytes read from the file, for the progress bar.
struct CountingReader<R> {
    input: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens a file, or standard input for `-`.
pub fn open(path: &Path) -> io::Result<ChunkReader<Box<dyn BufRead + Send>>> {
    if path.as_os_str() == "-" { decompress(io::stdin()) } else { decompress(File::open(path)?) }
}

/// Detects gzip, zstd or plain text by the first bytes, not by the name.
pub fn decompress(input: impl Read + Send + 'static) -> io::Result<ChunkReader<Box<dyn BufRead + Send>>> {
    let bytes = Arc::new(AtomicU64::new(0));
    let mut counted = CountingReader { input, bytes: bytes.clone() };
    let mut head = Vec::new();
    counted.by_ref().take(4).read_to_end(&mut head)?;
    let text: Box<dyn Read + Send> = match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(Cursor::new(head).chain(counted))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(Cursor::new(head).chain(counted))?),
        _ => Box::new(Cursor::new(head).chain(counted)),
    };
    Ok(ChunkReader::new(Box::new(BufReader::with_capacity(256 * 1024, text)), bytes))
}

impl<R: BufRead> ChunkReader<R> {
    fn new(input: R, file_bytes: Arc<AtomicU64>) -> Self {
        Self { input, cutter: Cutter::default(), has_ended: false, skipped: 0, file_bytes }
    }

    /// Skips the first `count` lines.
    pub fn skip(&mut self, count: u64) {
        self.skipped = count;
    }

    /// The next chunk. None at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let mut chunk = Chunk::default();
        let mut is_empty = true;
        loop {
            while chunk.places.len() + chunk.bad.len() < CHUNK_ITEMS && chunk.body.len() < CHUNK_BYTES {
                let Some((number, item)) = self.cutter.next_item() else { break };
                if number <= self.skipped {
                    continue;
                }
                is_empty = false;
                match item {
                    CutItem::Whole(item) if item.trim_ascii().is_empty() => {}
                    CutItem::Whole(item) => chunk.add(number, item),
                    CutItem::Bad(why) => chunk.bad.push((number, why)),
                }
            }
            let is_full =
                chunk.places.len() + chunk.bad.len() >= CHUNK_ITEMS || chunk.body.len() >= CHUNK_BYTES;
            if is_full && self.cutter.is_between() || !self.read_more()? {
                break;
            }
        }
        chunk.lines_done = self.cutter.lines_done();
        chunk.file_bytes = self.file_bytes.load(Ordering::Relaxed);
        Ok((!is_empty).then_some(chunk))
    }

    /// Reads more input into the cutter. False at the end of the input.
    fn read_more(&mut self) -> io::Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        let buffer = loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let length = buffer.len();
        self.cutter.push(buffer);
        self.input.consume(length);
        if length == 0 {
            self.cutter.end();
            self.has_ended = true;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn chunks(bytes: Vec<u8>) -> Vec<Chunk> {
        let mut lines = decompress(Cursor::new(bytes)).unwrap();
        std::iter::from_fn(|| lines.next_chunk().unwrap()).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn plain_gzip_and_zstd_give_the_same_lines() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n{\"b\":2}";
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let members = [gzip(&text[..2]), gzip(&text[2..])].concat();
        for bytes in [text.to_vec(), text[3..].to_vec(), gzip(text), zstd, members] {
            let read = bytes.len() as u64;
            let [chunk] = chunks(bytes).try_into().unwrap();
            assert_eq!(String::from_utf8(chunk.body.clone()).unwrap(), "{\"a\":1}\r\n{\"b\":2}\n");
            assert_eq!((chunk.file_line(1), chunk.file_line(2)), (1, 3));
            assert_eq!((chunk.lines_done, chunk.file_bytes), (3, read));
        }
    }

    #[test]
    fn short_and_empty_input_is_no_special_case() {
        assert_eq!(chunks(Vec::new()), []);
        assert_eq!(chunks(b"{}".to_vec())[0].body, b"{}\n");
        assert_eq!(chunks(b"\n".to_vec())[0].lines_done, 1);
        assert_eq!(chunks(gzip(b"")), []);
    }

    #[test]
    fn chunks_end_after_twenty_thousand_lines_or_four_mebibytes() {
        let many = chunks(b"{}\n".repeat(45_000));
        let places: Vec<_> = many.iter().map(|chunk| (chunk.file_line(1), chunk.lines_done)).collect();
        assert_eq!(places, [(1, 20_000), (20_001, 40_000), (40_001, 45_000)]);
        let long = [vec![b'x'; 60_000], b"\n".to_vec()].concat();
        assert!(chunks(long.repeat(200)).iter().all(|chunk| chunk.body.len() < CHUNK_BYTES + 60_001));
    }

    #[test]
    fn no_document_is_cut_in_two_and_its_number_is_that_of_its_first_line() {
        let document = "<xml>\n<a>1</a>\n</xml>\n";
        let many = chunks(document.repeat(45_000).into_bytes());
        let sent: Vec<_> =
            many.iter().map(|chunk| (chunk.body.len() / document.len(), chunk.lines_done)).collect();
        assert_eq!(sent, [(20_000, 60_000), (20_000, 120_000), (5_000, 135_000)]);
        assert_eq!(
            (many[1].file_line(1), many[1].file_line(4), many[1].file_line(6)),
            (60_001, 60_004, 60_004)
        );
        let one_line = chunks("<xml></xml>".repeat(45_000).into_bytes());
        assert_eq!(one_line.iter().map(|chunk| chunk.lines_done).collect::<Vec<_>>(), [0, 0, 1]);
        assert!(one_line.iter().all(|chunk| chunk.file_line(9_000) == 1));
    }

    #[test]
    fn what_is_too_long_is_left_out_and_keeps_its_number() {
        let long = vec![b'x'; 3 << 20];
        let text = [b"{}\n".as_slice(), &long, b"\n{}\n", &long[1..], b"\n", &long].concat();
        let [chunk] = chunks(text).try_into().unwrap();
        assert_eq!(chunk.bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!((chunk.body.as_slice(), chunk.file_line(2)), (b"{}\n{}\n".as_slice(), 3));
    }

    #[test]
    fn skipping_keeps_the_line_numbers() {
        let text = b"a\n\n<xml>\n</xml>\nd\n";
        let after = |count| {
            let mut lines = decompress(Cursor::new(text)).unwrap();
            lines.skip(count);
            lines.next_chunk().unwrap()
        };
        let chunk = after(2).unwrap();
        assert_eq!((chunk.body.as_slice(), chunk.file_line(1), chunk.file_line(3)), (&text[3..], 3, 5));
        assert_eq!(after(4).unwrap().body, b"d\n");
        assert_eq!(after(9), None);
    }

    #[test]
    fn a_cut_off_archive_is_an_error_and_not_an_end() {
        let mut packed = gzip(&b"{\"a\":1}\n".repeat(1000));
        packed.truncate(packed.len() - 5);
        assert!(decompress(Cursor::new(packed)).unwrap().next_chunk().is_err());
    }
}
