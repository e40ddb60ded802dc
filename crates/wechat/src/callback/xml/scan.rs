//! Splits XML into tokens, in linear time. Broken markup is a token, too: the caller decides whether it matters in that
//! field.

use super::XmlError;

/// One token of a document.
pub(super) enum XmlToken<'a> {
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
    /// A reference; its name is between `&` and `;`.
    Reference(&'a [u8]),
    /// A comment or a processing instruction.
    Skipped,
    /// A `&` without a reference or a `<` without a tag.
    Odd,
    EndOfBody,
}

/// Longest name of a reference. The longest valid one is `#x10FFFF`, 8 bytes.
const REFERENCE_BYTES_MAX: usize = 16;
const CDATA: &[u8] = b"<![CDATA[";
const COMMENT: &[u8] = b"<!--";
const INSTRUCTION: &[u8] = b"<?";
const DECLARATION: &[u8] = b"<!DOCTYPE";

pub(super) struct XmlScanner<'a> {
    body: &'a [u8],
    at: usize,
    /// Whether a comment (0) or an instruction (1) without an end was found. The end is then not searched again, which keeps
    /// the time linear.
    endless: [bool; 2],
}

impl<'a> XmlScanner<'a> {
    pub(super) fn new(body: &'a [u8]) -> XmlScanner<'a> {
        XmlScanner { body, at: 0, endless: [false; 2] }
    }

    /// Number of bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn next_token(&mut self) -> Result<XmlToken<'a>, XmlError> {
        let rest = &self.body[self.at..];
        Ok(match rest {
            [] => XmlToken::EndOfBody,
            [b'<', ..] => return self.markup(rest),
            [b'&', after @ ..] => self.reference(after),
            _ => {
                let end = rest.iter().position(|byte| b"<&".contains(byte)).unwrap_or(rest.len());
                self.take(end, XmlToken::Text(&rest[..end]))
            }
        })
    }

    fn take(&mut self, bytes: usize, token: XmlToken<'a>) -> XmlToken<'a> {
        self.at += bytes;
        token
    }

    fn markup(&mut self, rest: &'a [u8]) -> Result<XmlToken<'a>, XmlError> {
        if let Some(text) = rest.strip_prefix(CDATA) {
            let end = find(text, b"]]>").ok_or(XmlError::Complaint("a CDATA section without its end"))?;
            return Ok(self.take(CDATA.len() + end + 3, XmlToken::CData(&text[..end])));
        }
        if is_declaration(rest) {
            return Err(XmlError::DocumentType);
        }
        if rest.starts_with(COMMENT) {
            return Ok(self.skip(rest, COMMENT, b"-->", 0));
        }
        if rest.starts_with(INSTRUCTION) {
            return Ok(self.skip(rest, INSTRUCTION, b"?>", 1));
        }
        Ok(self.tag(rest))
    }

    fn skip(&mut self, rest: &'a [u8], begin: &[u8], end: &[u8], kind: usize) -> XmlToken<'a> {
        let found = if self.endless[kind] { None } else { find(&rest[begin.len()..], end) };
        if let Some(at) = found {
            return self.take(begin.len() + at + end.len(), XmlToken::Skipped);
        }
        self.endless[kind] = true;
        self.take(1, XmlToken::Odd)
    }

    /// Reads a tag, which ends at `>`. A `<` before the `>` means that it is not a tag, because tags cannot contain one.
    fn tag(&mut self, rest: &'a [u8]) -> XmlToken<'a> {
        let is_end = rest.get(1) == Some(&b'/');
        let inside = &rest[1 + usize::from(is_end)..];
        let begins_name = |byte: &u8| byte.is_ascii_alphabetic() || b"_:".contains(byte) || !byte.is_ascii();
        let Some(length) = tag_length(inside).filter(|_| inside.first().is_some_and(begins_name)) else {
            return self.take(1, XmlToken::Odd);
        };
        let tag = &inside[..length];
        let name_end =
            tag.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'/').unwrap_or(length);
        let name = &tag[..name_end];
        let token = if is_end {
            XmlToken::End { name }
        } else {
            XmlToken::Start { name, is_empty: tag.last() == Some(&b'/') }
        };
        self.take(1 + usize::from(is_end) + length + 1, token)
    }

    fn reference(&mut self, after: &'a [u8]) -> XmlToken<'a> {
        let inside = &after[..after.len().min(REFERENCE_BYTES_MAX + 1)];
        let ends = |byte: &u8| b";<&".contains(byte) || byte.is_ascii_whitespace();
        match inside.iter().position(ends) {
            Some(end) if inside[end] == b';' => self.take(end + 2, XmlToken::Reference(&inside[..end])),
            _ => self.take(1, XmlToken::Odd),
        }
    }
}

/// Also true for an incomplete declaration at the end of the body, so that it is reported as a declaration, too.
fn is_declaration(rest: &[u8]) -> bool {
    let length = rest.len().min(DECLARATION.len());
    length > b"<!".len() && rest[..length].eq_ignore_ascii_case(&DECLARATION[..length])
}

/// Length of the text between `<` and `>`. A `>` in a quoted attribute does not end it. None if it is not a tag.
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
