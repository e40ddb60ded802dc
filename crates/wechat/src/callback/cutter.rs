//! Splits a stream of bytes into callbacks: lines of JSON, and XML documents, which may span lines. Buffers at most one item
//! and the bytes of the last `push`.

use super::{BODY_BYTES_MAX, BYTE_ORDER_MARK};

/// Largest line or XML document in bytes: that of a callback body.
pub const ITEM_BYTES_MAX: usize = BODY_BYTES_MAX;

const TOO_LONG: &str = "longer than 64 KiB";
const NO_END: &str = "an XML document without </xml>";
const NO_END_WITHIN: &str = "an XML document without </xml> within 64 KiB";

/// One item of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutItem<'a> {
    /// An XML document, or a line without its line break. The line may be blank.
    Whole(&'a [u8]),
    /// An item that is skipped, with the reason: too long or without an end.
    Bad(&'static str),
}

/// What is skipped before the next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    Nothing,
    /// The rest of a line that was too long.
    Line,
    /// After a document without an end: everything up to a line that begins a callback.
    Lines,
    /// As `Lines`, at the beginning of a line.
    AtLine,
    /// Blanks after a document, up to the end of its last line.
    Blanks,
}

/// The state of scanning a document.
#[derive(Clone, Copy, Debug, Default)]
struct DocumentState {
    in_cdata: bool,
    root: bool,
}

/// The kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemKind {
    Line,
    Document,
}

/// Splits a stream of bytes into callbacks.
#[derive(Debug)]
pub struct Cutter {
    buffer: Vec<u8>,
    /// Position in `buffer` where the next item begins.
    start: usize,
    /// Position in `buffer` up to which the item was scanned.
    at: usize,
    kind: Option<ItemKind>,
    document: DocumentState,
    skipped: Skipped,
    /// Number of the line that contains `start`, from 1.
    line: u64,
    number: u64,
    /// Whether `start` is after the beginning of that line.
    is_in_line: bool,
    ended: bool,
}

impl Default for Cutter {
    fn default() -> Cutter {
        Cutter {
            buffer: Vec::new(),
            start: 0,
            at: 0,
            kind: None,
            document: DocumentState::default(),
            skipped: Skipped::Nothing,
            line: 1,
            number: 0,
            is_in_line: false,
            ended: false,
        }
    }
}

/// Result of searching the end of a document.
enum DocumentEnd {
    /// The document ends at this position.
    End(usize),
    /// Another document begins at this position; the first has no end.
    Other(usize),
    More,
}

impl Cutter {
    /// Adds bytes. The caller must have taken all items of the earlier bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Ends the stream. The text after the last line break becomes an item, too.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Number of the first line of the last item; 0 before the first item.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Number of lines that are completely read. Valid only if [`Cutter::is_between`] is true.
    pub fn lines_done(&self) -> u64 {
        let is_last_over = self.ended && self.is_in_line && self.start == self.buffer.len();
        self.line - 1 + u64::from(is_last_over)
    }

    /// Whether the cutter stands between two items, with the blanks after the last one skipped. If false, more bytes are
    /// needed to tell whether the line of the last item holds another one.
    pub fn is_between(&mut self) -> bool {
        self.ended || self.skip()
    }

    /// The next item and the number of its first line. None: more bytes are needed, or the stream has ended.
    pub fn next_item(&mut self) -> Option<(u64, CutItem<'_>)> {
        if !self.skip() {
            return None;
        }
        let kind = match self.kind {
            Some(kind) => kind,
            None => self.begin()?,
        };
        match kind {
            ItemKind::Line => self.next_line(),
            ItemKind::Document => self.next_document(),
        }
    }

    /// Finds the kind of the item that begins at `start`. None: more bytes are needed.
    fn begin(&mut self) -> Option<ItemKind> {
        while self.buffer[self.start..].starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
            self.at = self.start;
        }
        let rest = &self.buffer[self.start..];
        if rest.is_empty() {
            return None;
        }
        let kind = match item_kind(rest) {
            Some(kind) => kind,
            None if self.ended || rest.len() > ITEM_BYTES_MAX => ItemKind::Line,
            None => return None,
        };
        (self.kind, self.at, self.document) = (Some(kind), self.start, DocumentState::default());
        Some(kind)
    }

    fn next_line(&mut self) -> Option<(u64, CutItem<'_>)> {
        let found = self.buffer[self.at..].iter().position(|byte| *byte == b'\n');
        let end = found.map_or(self.buffer.len(), |found| self.at + found);
        self.at = end;
        let is_long = end - self.start > ITEM_BYTES_MAX;
        if found.is_none() && !is_long && !self.ended {
            return None;
        }
        self.skipped = if found.is_none() && is_long { Skipped::Line } else { Skipped::Nothing };
        let next = end + usize::from(found.is_some());
        Some(self.take_item(end, next, is_long.then_some(TOO_LONG)))
    }

    fn next_document(&mut self) -> Option<(u64, CutItem<'_>)> {
        let limit = self.buffer.len().min(self.start + ITEM_BYTES_MAX);
        match self.scan(limit) {
            DocumentEnd::End(end) => {
                self.skipped = Skipped::Blanks;
                Some(self.take_item(end, end, None))
            }
            DocumentEnd::Other(at) => Some(self.take_item(at, at, Some(NO_END))),
            DocumentEnd::More if limit < self.buffer.len() => {
                let is_at_line = self.buffer[limit - 1] == b'\n';
                self.skipped = if is_at_line { Skipped::AtLine } else { Skipped::Lines };
                Some(self.take_item(limit, limit, Some(NO_END_WITHIN)))
            }
            DocumentEnd::More if self.ended => Some(self.take_item(limit, limit, Some(NO_END))),
            DocumentEnd::More => None,
        }
    }

    /// Searches the end of a document. CDATA is skipped: it is a user's text and may look like markup.
    fn scan(&mut self, limit: usize) -> DocumentEnd {
        loop {
            let rest = &self.buffer[self.at..limit];
            if self.document.in_cdata {
                let Some(end) = rest.windows(3).position(|part| part == b"]]>") else {
                    // The last two bytes may begin a `]]>`.
                    self.at = self.at.max(limit.saturating_sub(2));
                    return DocumentEnd::More;
                };
                (self.at, self.document.in_cdata) = (self.at + end + 3, false);
                continue;
            }
            let Some(found) = rest.iter().position(|byte| *byte == b'<') else {
                self.at = limit;
                return DocumentEnd::More;
            };
            self.at += found;
            let rest = &self.buffer[self.at..limit];
            let Some(tag) = tag(rest) else { return DocumentEnd::More };
            match tag {
                Tag::CData => self.document.in_cdata = true,
                Tag::End(length) => return DocumentEnd::End(self.at + length),
                Tag::Root if self.document.root && self.is_first_of_line() => {
                    return DocumentEnd::Other(self.at);
                }
                Tag::Root => self.document.root = true,
                Tag::Other => {}
            }
            self.at += 1;
        }
    }

    fn is_first_of_line(&self) -> bool {
        let before = &self.buffer[self.start..self.at];
        before.rsplit(|byte| *byte == b'\n').next().is_some_and(|line| line.trim_ascii().is_empty())
            && before.contains(&b'\n')
    }

    /// Returns the bytes up to `end` as an item. The next item begins at `next`.
    fn take_item(&mut self, end: usize, next: usize, bad: Option<&'static str>) -> (u64, CutItem<'_>) {
        let from = self.start;
        self.number = self.line;
        self.advance(next);
        (self.start, self.at, self.kind) = (next, next, None);
        let item = bad.map_or(CutItem::Whole(&self.buffer[from..end]), CutItem::Bad);
        (self.number, item)
    }

    fn advance(&mut self, next: usize) {
        let passed = &self.buffer[self.start..next];
        self.line += line_breaks(passed);
        self.is_in_line = passed.last().map_or(self.is_in_line, |last| *last != b'\n');
        self.start = next;
    }

    /// Skips bytes that belong to no item. False if more bytes are needed.
    fn skip(&mut self) -> bool {
        loop {
            let rest = &self.buffer[self.start..];
            let line_break = || rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let (bytes, then) = match self.skipped {
                Skipped::Nothing => return true,
                Skipped::Line => (line_break(), Skipped::Nothing),
                Skipped::Lines => (line_break(), Skipped::AtLine),
                Skipped::AtLine => match begins_callback(rest) {
                    Some(true) => (Some(0), Skipped::Nothing),
                    Some(false) => (Some(0), Skipped::Lines),
                    None if self.ended => (None, Skipped::Nothing),
                    None => return false,
                },
                Skipped::Blanks => {
                    let blanks = rest.iter().take_while(|byte| b" \t\r".contains(byte)).count();
                    let is_break = rest.get(blanks) == Some(&b'\n');
                    let is_over = blanks < rest.len();
                    (is_over.then_some(blanks + usize::from(is_break)), Skipped::Nothing)
                }
            };
            let passed = bytes.unwrap_or(rest.len());
            self.advance(self.start + passed);
            self.at = self.start;
            if bytes.is_none() {
                return false;
            }
            self.skipped = then;
        }
    }
}

/// Number of line breaks in these bytes.
pub fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).count() as u64
}

/// The kinds of markup that matter here.
enum Tag {
    CData,
    /// `<xml>`
    Root,
    /// `</xml>`, with its length in bytes.
    End(usize),
    Other,
}

/// The markup at the beginning of `rest`. None: more bytes are needed.
fn tag(rest: &[u8]) -> Option<Tag> {
    if begins(rest, b"<![CDATA[")? {
        return Some(Tag::CData);
    }
    if begins(rest, b"</xml")? {
        let name = b"</xml".len();
        let blanks = rest[name..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let end = *rest.get(name + blanks)?;
        return Some(if end == b'>' { Tag::End(name + blanks + 1) } else { Tag::Other });
    }
    Some(if begins_root(rest)? { Tag::Root } else { Tag::Other })
}

fn begins_root(rest: &[u8]) -> Option<bool> {
    if !begins(rest, b"<xml")? {
        return Some(false);
    }
    rest.get(4).map(|byte| byte.is_ascii_whitespace() || b">/".contains(byte))
}

/// Whether `rest` begins with `with`. None: more bytes are needed.
fn begins(rest: &[u8], with: &[u8]) -> Option<bool> {
    if rest.len() < with.len() && with.starts_with(rest) { None } else { Some(rest.starts_with(with)) }
}

/// The kind of the item that begins with `rest`. None: more bytes are needed.
fn item_kind(rest: &[u8]) -> Option<ItemKind> {
    if !rest.is_empty() && begins(rest, BYTE_ORDER_MARK).is_none() {
        return None;
    }
    let blanks = rest.iter().take_while(|byte| b" \t\r".contains(byte)).count();
    let rest = &rest[blanks..];
    match rest.first()? {
        b'<' => {
            let is_document = begins_root(rest)? || begins(rest, b"<?xml")?;
            Some(if is_document { ItemKind::Document } else { ItemKind::Line })
        }
        _ => Some(ItemKind::Line),
    }
}

/// Whether this line begins a callback. None: more bytes are needed.
fn begins_callback(rest: &[u8]) -> Option<bool> {
    let rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
    match item_kind(rest)? {
        ItemKind::Document => Some(true),
        ItemKind::Line => Some(rest.trim_ascii_start().starts_with(b"{")),
    }
}

#[cfg(test)]
mod tests;
