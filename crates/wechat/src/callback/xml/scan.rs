//! XML cut into pieces, byte by byte, in time that grows with the length alone. What is no markup is a piece, too: only
//! who reads the field it stands in can say whether it matters.

use super::Stop;

/// One piece of a document.
pub(super) enum Piece<'a> {
    Start {
        name: &'a [u8],
        /// `<name/>`
        is_empty: bool,
    },
    End {
        name: &'a [u8],
    },
    Text(&'a [u8]),
    CData(&'a [u8]),
    /// What stands between `&` and `;`.
    Reference(&'a [u8]),
    /// A comment or a processing instruction.
    Skipped,
    /// A lone `&`, or a `<` that begins nothing.
    Odd,
    EndOfBody,
}

/// The longest reference; `&#x10FFFF;` has 8 characters inside.
const REFERENCE_BYTES_MAX: usize = 16;
const CDATA: &[u8] = b"<![CDATA[";
const COMMENT: &[u8] = b"<!--";
const INSTRUCTION: &[u8] = b"<?";
const DECLARATION: &[u8] = b"<!DOCTYPE";

pub(super) struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    /// A comment, an instruction without its end was met: none of the sort ends from here on, so none is looked for.
    endless: [bool; 2],
}

impl<'a> Scanner<'a> {
    pub(super) fn new(body: &'a [u8]) -> Scanner<'a> {
        Scanner { body, at: 0, endless: [false; 2] }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn next_piece(&mut self) -> Result<Piece<'a>, Stop> {
        let rest = &self.body[self.at..];
        Ok(match rest {
            [] => Piece::EndOfBody,
            [b'<', ..] => return self.markup(rest),
            [b'&', after @ ..] => self.reference(after),
            _ => {
                let end = rest.iter().position(|byte| b"<&".contains(byte)).unwrap_or(rest.len());
                self.take(end, Piece::Text(&rest[..end]))
            }
        })
    }

    fn take(&mut self, bytes: usize, piece: Piece<'a>) -> Piece<'a> {
        self.at += bytes;
        piece
    }

    fn markup(&mut self, rest: &'a [u8]) -> Result<Piece<'a>, Stop> {
        if let Some(text) = rest.strip_prefix(CDATA) {
            let end = find(text, b"]]>").ok_or(Stop::Complaint("a CDATA section without its end"))?;
            return Ok(self.take(CDATA.len() + end + 3, Piece::CData(&text[..end])));
        }
        if is_declaration(rest) {
            return Err(Stop::DocumentType);
        }
        if rest.starts_with(COMMENT) {
            return Ok(self.skip(rest, COMMENT, b"-->", 0));
        }
        if rest.starts_with(INSTRUCTION) {
            return Ok(self.skip(rest, INSTRUCTION, b"?>", 1));
        }
        Ok(self.tag(rest))
    }

    fn skip(&mut self, rest: &'a [u8], begin: &[u8], end: &[u8], sort: usize) -> Piece<'a> {
        let found = if self.endless[sort] { None } else { find(&rest[begin.len()..], end) };
        if let Some(at) = found {
            return self.take(begin.len() + at + end.len(), Piece::Skipped);
        }
        self.endless[sort] = true;
        self.take(1, Piece::Odd)
    }

    /// A tag ends at its `>`. A `<` before that shows that it is none: no tag may hold one.
    fn tag(&mut self, rest: &'a [u8]) -> Piece<'a> {
        let is_end = rest.get(1) == Some(&b'/');
        let inside = &rest[1 + usize::from(is_end)..];
        let begins_name = |byte: &u8| byte.is_ascii_alphabetic() || b"_:".contains(byte) || !byte.is_ascii();
        let Some(length) = tag_length(inside).filter(|_| inside.first().is_some_and(begins_name)) else {
            return self.take(1, Piece::Odd);
        };
        let tag = &inside[..length];
        let name_end =
            tag.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'/').unwrap_or(length);
        let name = &tag[..name_end];
        let piece = if is_end {
            Piece::End { name }
        } else {
            Piece::Start { name, is_empty: tag.last() == Some(&b'/') }
        };
        self.take(1 + usize::from(is_end) + length + 1, piece)
    }

    fn reference(&mut self, after: &'a [u8]) -> Piece<'a> {
        let inside = &after[..after.len().min(REFERENCE_BYTES_MAX + 1)];
        let ends = |byte: &u8| b";<&".contains(byte) || byte.is_ascii_whitespace();
        match inside.iter().position(ends) {
            Some(end) if inside[end] == b';' => self.take(end + 2, Piece::Reference(&inside[..end])),
            _ => self.take(1, Piece::Odd),
        }
    }
}

/// Also one that is cut off: nothing that begins one is ever called merely malformed.
fn is_declaration(rest: &[u8]) -> bool {
    let length = rest.len().min(DECLARATION.len());
    length > b"<!".len() && rest[..length].eq_ignore_ascii_case(&DECLARATION[..length])
}

/// How long a tag is inside, values of attributes in quotes considered. None: it is no tag.
fn tag_length(inside: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in inside.iter().enumerate() {
        match (byte, quote) {
            (b'<', _) => return None,
            (b'>', None) => return Some(at),
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
