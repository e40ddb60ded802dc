//! Cuts a stream of bytes into callbacks: lines of JSON, and XML documents, which may span lines. Keeps one of them at
//! most, beside what was pushed last.

use super::BYTE_ORDER_MARK;

/// Of a line, and of an XML document. Source: the contract.
pub const ITEM_BYTES_MAX: usize = 64 << 10;

const TOO_LONG: &str = "longer than 64 KiB";
const NO_END: &str = "an XML document without </xml>";
const NO_END_WITHIN: &str = "an XML document without </xml> within 64 KiB";

/// What was cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A line without its break, which may be blank, or a document.
    Whole(&'a [u8]),
    /// Too long, or without an end: why it is left out.
    Bad(&'static str),
}

/// What is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    Nothing,
    /// The rest of a line that is too long.
    Line,
    /// Everything up to a line that begins a callback: a document before it had no end.
    Lines,
    /// The same, where a line begins.
    AtLine,
    /// Blanks behind a document, on its last line.
    Blanks,
}

/// What of a document was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    in_cdata: bool,
    root: bool,
}

/// How an item begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Line,
    Document,
}

/// The cutter.
#[derive(Debug)]
pub struct Cutter {
    buffer: Vec<u8>,
    /// Where the next item begins.
    start: usize,
    /// How far that was looked at.
    at: usize,
    sort: Option<Sort>,
    seen: Seen,
    skipped: Skipped,
    /// Number of the line that `start` lies in, from 1.
    line: u64,
    number: u64,
    /// Whether something of that line is behind.
    is_in_line: bool,
    ended: bool,
}

impl Default for Cutter {
    fn default() -> Cutter {
        Cutter {
            buffer: Vec::new(),
            start: 0,
            at: 0,
            sort: None,
            seen: Seen::default(),
            skipped: Skipped::Nothing,
            line: 1,
            number: 0,
            is_in_line: false,
            ended: false,
        }
    }
}

/// How a document goes on.
enum Next {
    /// It ends here.
    End(usize),
    /// Another one begins here instead.
    Other(usize),
    More,
}

impl Cutter {
    /// Takes further bytes. All items of those before have to be taken out first.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// There are no further bytes: what stands behind the last line break is an item, too.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The first line of the item given out last; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many lines are wholly behind, once [`Cutter::is_between`].
    pub fn lines_done(&self) -> u64 {
        let is_last_over = self.ended && self.is_in_line && self.start == self.buffer.len();
        self.line - 1 + u64::from(is_last_over)
    }

    /// Whether it is known if the line of the last item holds another one.
    pub fn is_between(&mut self) -> bool {
        self.ended || self.skip()
    }

    /// The next item, with the number of its first line. None: more bytes are needed, or there are none.
    pub fn next_item(&mut self) -> Option<(u64, Item<'_>)> {
        if !self.skip() {
            return None;
        }
        let sort = match self.sort {
            Some(sort) => sort,
            None => self.begin()?,
        };
        match sort {
            Sort::Line => self.line(),
            Sort::Document => self.document(),
        }
    }

    /// Finds out what begins here.
    fn begin(&mut self) -> Option<Sort> {
        while self.buffer[self.start..].starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
            self.at = self.start;
        }
        let rest = &self.buffer[self.start..];
        if rest.is_empty() {
            return None;
        }
        let sort = match sort_of(rest) {
            Some(sort) => sort,
            None if self.ended || rest.len() > ITEM_BYTES_MAX => Sort::Line,
            None => return None,
        };
        (self.sort, self.at, self.seen) = (Some(sort), self.start, Seen::default());
        Some(sort)
    }

    fn line(&mut self) -> Option<(u64, Item<'_>)> {
        let found = self.buffer[self.at..].iter().position(|byte| *byte == b'\n');
        let end = found.map_or(self.buffer.len(), |found| self.at + found);
        self.at = end;
        let is_long = end - self.start > ITEM_BYTES_MAX;
        if found.is_none() && !is_long && !self.ended {
            return None;
        }
        self.skipped = if found.is_none() && is_long { Skipped::Line } else { Skipped::Nothing };
        let next = end + usize::from(found.is_some());
        Some(self.give(end, next, is_long.then_some(TOO_LONG)))
    }

    fn document(&mut self) -> Option<(u64, Item<'_>)> {
        let limit = self.buffer.len().min(self.start + ITEM_BYTES_MAX);
        match self.scan(limit) {
            Next::End(end) => {
                self.skipped = Skipped::Blanks;
                Some(self.give(end, end, None))
            }
            Next::Other(at) => Some(self.give(at, at, Some(NO_END))),
            Next::More if limit < self.buffer.len() => {
                let is_at_line = self.buffer[limit - 1] == b'\n';
                self.skipped = if is_at_line { Skipped::AtLine } else { Skipped::Lines };
                Some(self.give(limit, limit, Some(NO_END_WITHIN)))
            }
            Next::More if self.ended => Some(self.give(limit, limit, Some(NO_END))),
            Next::More => None,
        }
    }

    /// Looks for the end of a document. What stands in CDATA is a user's text, whatever it looks like.
    fn scan(&mut self, limit: usize) -> Next {
        loop {
            let rest = &self.buffer[self.at..limit];
            if self.seen.in_cdata {
                let Some(end) = rest.windows(3).position(|part| part == b"]]>") else {
                    // The last two may be the first of an end.
                    self.at = self.at.max(limit.saturating_sub(2));
                    return Next::More;
                };
                (self.at, self.seen.in_cdata) = (self.at + end + 3, false);
                continue;
            }
            let Some(found) = rest.iter().position(|byte| *byte == b'<') else {
                self.at = limit;
                return Next::More;
            };
            self.at += found;
            let rest = &self.buffer[self.at..limit];
            let Some(tag) = tag(rest) else { return Next::More };
            match tag {
                Tag::CData => self.seen.in_cdata = true,
                Tag::End(length) => return Next::End(self.at + length),
                Tag::Root if self.seen.root && self.is_first_of_line() => return Next::Other(self.at),
                Tag::Root => self.seen.root = true,
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

    /// Gives out what stands before `end`; the next item begins at `next`.
    fn give(&mut self, end: usize, next: usize, bad: Option<&'static str>) -> (u64, Item<'_>) {
        let from = self.start;
        self.number = self.line;
        self.pass(next);
        (self.start, self.at, self.sort) = (next, next, None);
        let item = bad.map_or(Item::Whole(&self.buffer[from..end]), Item::Bad);
        (self.number, item)
    }

    fn pass(&mut self, next: usize) {
        let passed = &self.buffer[self.start..next];
        self.line += line_breaks(passed);
        self.is_in_line = passed.last().map_or(self.is_in_line, |last| *last != b'\n');
        self.start = next;
    }

    /// Passes over what belongs to no item; false if that needs more bytes.
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
            self.pass(self.start + passed);
            self.at = self.start;
            if bytes.is_none() {
                return false;
            }
            self.skipped = then;
        }
    }
}

/// How many lines end in these bytes.
pub fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).count() as u64
}

/// What begins with `<`, as far as it matters here.
enum Tag {
    CData,
    /// `<xml>`
    Root,
    /// `</xml>`, so many bytes long.
    End(usize),
    Other,
}

/// None: more bytes are needed to tell.
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

/// None: more bytes are needed to tell.
fn begins(rest: &[u8], with: &[u8]) -> Option<bool> {
    if rest.len() < with.len() && with.starts_with(rest) { None } else { Some(rest.starts_with(with)) }
}

/// What an item is by how it begins; None: more bytes are needed to tell.
fn sort_of(rest: &[u8]) -> Option<Sort> {
    if !rest.is_empty() && begins(rest, BYTE_ORDER_MARK).is_none() {
        return None;
    }
    let blanks = rest.iter().take_while(|byte| b" \t\r".contains(byte)).count();
    let rest = &rest[blanks..];
    match rest.first()? {
        b'<' => {
            let is_document = begins_root(rest)? || begins(rest, b"<?xml")?;
            Some(if is_document { Sort::Document } else { Sort::Line })
        }
        _ => Some(Sort::Line),
    }
}

/// Whether reading resumes with this line.
fn begins_callback(rest: &[u8]) -> Option<bool> {
    let rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
    match sort_of(rest)? {
        Sort::Document => Some(true),
        Sort::Line => Some(rest.trim_ascii_start().starts_with(b"{")),
    }
}

#[cfg(test)]
mod tests;
