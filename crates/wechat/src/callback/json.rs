//! Parses callbacks in JSON, and the lines of a bulk import. Borrows from the bytes. Values of unread fields are skipped
//! without being checked.

use std::borrow::Cow;

use counting::Message;

use super::{
    fields::{CallbackField, CallbackFields, FieldValue, MalformedBody, WantedFields, text_value},
    xml,
};

/// Parses one item of a bulk import: a callback as a JSON object or an XML document. Does not check `ToUserName`.
///
/// # Errors
/// The item is not a callback message. The error has no position.
pub fn read_bulk_line(line: &[u8]) -> Result<Message, MalformedBody> {
    let read = match line.trim_ascii_start().first() {
        Some(b'<') => xml::fields(line, WantedFields::Everything),
        Some(b'{') => fields(line, WantedFields::Everything),
        _ if std::str::from_utf8(line).is_err() => Err(MalformedBody::NotUtf8),
        _ => Err(MalformedBody::NotAnObject),
    };
    read.and_then(|fields| fields.message()).map_err(MalformedBody::without_position)
}

pub(super) fn fields(body: &[u8], wanted: WantedFields) -> Result<CallbackFields<'_>, MalformedBody> {
    let mut scanner = JsonScanner { body, at: 0 };
    scanner.skip_blanks();
    if !scanner.take_if(b'{') {
        return Err(MalformedBody::NotAnObject);
    }
    let fields = scanner.read_members(wanted).and_then(|fields| scanner.expect_end().map(|()| fields));
    fields.map_err(|complaint| MalformedBody::Json { complaint, byte: Some(scanner.at) })
}

type ReadResult<T> = Result<T, &'static str>;

const ENDS_EARLY: &str = "it ends early";

struct JsonScanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> JsonScanner<'a> {
    /// Reads the fields of an object, up to its closing brace.
    fn read_members(&mut self, wanted: WantedFields) -> ReadResult<CallbackFields<'a>> {
        let mut fields = CallbackFields::default();
        self.skip_blanks();
        if self.take_if(b'}') {
            return Ok(fields);
        }
        loop {
            self.read_member(wanted, &mut fields)?;
            self.skip_blanks();
            if self.take_if(b'}') {
                return Ok(fields);
            }
            self.expect_byte(b',', "no comma between two fields")?;
            self.skip_blanks();
        }
    }

    fn read_member(&mut self, wanted: WantedFields, fields: &mut CallbackFields<'a>) -> ReadResult<()> {
        let field = field(wanted, self.read_string("a field without a name")?);
        self.skip_blanks();
        self.expect_byte(b':', "no colon after a name")?;
        self.skip_blanks();
        let value = match self.peek() {
            Some(b'"') => JsonValue::String(self.read_string("")?),
            Some(b'{' | b'[') => self.skip_nested().map(|()| JsonValue::Nested)?,
            _ => JsonValue::Bare(self.read_bare()?),
        };
        if let Some(field) = field {
            fields.insert(field, value.value());
        }
        Ok(())
    }

    /// Reads a string in quotes and returns it with its escapes.
    fn read_string(&mut self, otherwise: &'static str) -> ReadResult<&'a [u8]> {
        self.expect_byte(b'"', otherwise)?;
        let start = self.at;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let found = rest.iter().position(|byte| b"\"\\".contains(byte)).ok_or(ENDS_EARLY)?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(&self.body[start..self.at - 1]);
            }
            // The byte after a backslash does not end the string.
            self.at += 1;
        }
    }

    /// Skips a list or an object.
    fn skip_nested(&mut self) -> ReadResult<()> {
        let mut open = Vec::new();
        loop {
            match self.peek().ok_or(ENDS_EARLY)? {
                b'"' => {
                    self.read_string("")?;
                    continue;
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                byte @ (b'}' | b']') if open.pop() != Some(byte) => return Err("brackets that do not fit"),
                _ => {}
            }
            self.at += 1;
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads a number, `true`, `false` or `null`.
    fn read_bare(&mut self) -> ReadResult<&'a [u8]> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| b",}]\":{[".contains(byte) || byte.is_ascii_whitespace();
        match rest.iter().position(ends) {
            Some(0) => Err("a name without a value"),
            Some(end) => {
                self.at += end;
                Ok(&rest[..end])
            }
            None => Err(ENDS_EARLY),
        }
    }

    fn expect_end(&mut self) -> ReadResult<()> {
        self.skip_blanks();
        if self.peek().is_none() { Ok(()) } else { Err("something follows the object") }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect_byte(&mut self, byte: u8, otherwise: &'static str) -> ReadResult<()> {
        match self.peek() {
            None => Err(ENDS_EARLY),
            Some(_) => self.take_if(byte).then_some(()).ok_or(otherwise),
        }
    }
}

fn field(wanted: WantedFields, name: &[u8]) -> Option<CallbackField> {
    if name.contains(&b'\\') { wanted.field(&unescaped(name)?) } else { wanted.field(name) }
}

/// A value before it is decoded.
enum JsonValue<'a> {
    String(&'a [u8]),
    Bare(&'a [u8]),
    Nested,
}

impl<'a> JsonValue<'a> {
    fn value(self) -> FieldValue<'a> {
        match self {
            JsonValue::String(text) if text.contains(&b'\\') => {
                unescaped(text).map_or(FieldValue::Broken, |text| text_value(Cow::Owned(text)))
            }
            JsonValue::String(text) => text_value(Cow::Borrowed(text)),
            JsonValue::Bare(text) => number(text).unwrap_or(FieldValue::Unusable),
            JsonValue::Nested => FieldValue::Unusable,
        }
    }
}

/// Parses an integer. None for anything else.
fn number(text: &[u8]) -> Option<FieldValue<'static>> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_integer =
        digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let text = std::str::from_utf8(text).ok().filter(|_| is_integer)?;
    text.parse().map(FieldValue::Unsigned).or_else(|_| text.parse().map(FieldValue::Negative)).ok()
}

/// Decodes escapes. None for an unknown escape or half a surrogate pair.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (&escape, after) = rest[at + 1..].split_first()?;
        rest = after;
        out.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = character(&mut rest)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// Decodes the digits after `\u`, and a second `\u` if the first is half a surrogate pair.
fn character(rest: &mut &[u8]) -> Option<char> {
    let first = utf16_unit(rest)?;
    let mut units = vec![first];
    if (0xd800..0xdc00).contains(&first) {
        *rest = rest.strip_prefix(b"\\u")?;
        units.push(utf16_unit(rest)?);
    }
    char::decode_utf16(units).next()?.ok()
}

fn utf16_unit(rest: &mut &[u8]) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}
