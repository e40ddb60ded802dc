//! Callbacks as JSON, and the lines of a bulk import. Borrows from the bytes; of fields that are not read only the end is
//! looked for, whatever they hold.

use std::borrow::Cow;

use counting::Message;

use super::{
    fields::{Field, Fields, Flaw, Value, Wanted, text_of},
    xml,
};

/// Reads one line of a bulk import: a callback's JSON object, or an XML document, which may be several lines.
/// `ToUserName` is not compared.
pub fn bulk_line(line: &[u8]) -> Result<Message, Flaw> {
    let read = match line.trim_ascii_start().first() {
        Some(b'<') => xml::fields(line, Wanted::Everything),
        Some(b'{') => fields(line, Wanted::Everything),
        _ if std::str::from_utf8(line).is_err() => Err(Flaw::NotUtf8),
        _ => Err(Flaw::NotAnObject),
    };
    read.and_then(|fields| fields.message()).map_err(Flaw::of_line)
}

pub(super) fn fields(body: &[u8], wanted: Wanted) -> Result<Fields<'_>, Flaw> {
    let mut scanner = Scanner { body, at: 0 };
    scanner.blanks();
    if !scanner.takes(b'{') {
        return Err(Flaw::NotAnObject);
    }
    let fields = scanner.members(wanted).and_then(|fields| scanner.end().map(|()| fields));
    fields.map_err(|complaint| Flaw::Json { complaint, byte: Some(scanner.at) })
}

type Read<T> = Result<T, &'static str>;

const ENDS_EARLY: &str = "it ends early";

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// What stands in an object, up to its end.
    fn members(&mut self, wanted: Wanted) -> Read<Fields<'a>> {
        let mut fields = Fields::default();
        self.blanks();
        if self.takes(b'}') {
            return Ok(fields);
        }
        loop {
            self.member(wanted, &mut fields)?;
            self.blanks();
            if self.takes(b'}') {
                return Ok(fields);
            }
            self.needs(b',', "no comma between two fields")?;
            self.blanks();
        }
    }

    fn member(&mut self, wanted: Wanted, fields: &mut Fields<'a>) -> Read<()> {
        let field = field(wanted, self.string("a field without a name")?);
        self.blanks();
        self.needs(b':', "no colon after a name")?;
        self.blanks();
        let value = match self.peek() {
            Some(b'"') => Token::String(self.string("")?),
            Some(b'{' | b'[') => self.nested().map(|()| Token::Nested)?,
            _ => Token::Bare(self.bare()?),
        };
        if let Some(field) = field {
            fields.put(field, value.value());
        }
        Ok(())
    }

    /// What stands between quotes, as it is written.
    fn string(&mut self, otherwise: &'static str) -> Read<&'a [u8]> {
        self.needs(b'"', otherwise)?;
        let start = self.at;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let found = rest.iter().position(|byte| b"\"\\".contains(byte)).ok_or(ENDS_EARLY)?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(&self.body[start..self.at - 1]);
            }
            // What a backslash stands before is no end.
            self.at += 1;
        }
    }

    /// Passes over a list or an object.
    fn nested(&mut self) -> Read<()> {
        let mut open = Vec::new();
        loop {
            match self.peek().ok_or(ENDS_EARLY)? {
                b'"' => {
                    self.string("")?;
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

    /// A number, or `true`, `false`, `null`.
    fn bare(&mut self) -> Read<&'a [u8]> {
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

    fn end(&mut self) -> Read<()> {
        self.blanks();
        if self.peek().is_none() { Ok(()) } else { Err("something follows the object") }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn needs(&mut self, byte: u8, otherwise: &'static str) -> Read<()> {
        match self.peek() {
            None => Err(ENDS_EARLY),
            Some(_) => self.takes(byte).then_some(()).ok_or(otherwise),
        }
    }
}

fn field(wanted: Wanted, name: &[u8]) -> Option<Field> {
    if name.contains(&b'\\') { wanted.field(&unescaped(name)?) } else { wanted.field(name) }
}

/// A value as it is written.
enum Token<'a> {
    String(&'a [u8]),
    Bare(&'a [u8]),
    Nested,
}

impl<'a> Token<'a> {
    fn value(self) -> Value<'a> {
        match self {
            Token::String(text) if text.contains(&b'\\') => {
                unescaped(text).map_or(Value::Broken, |text| text_of(Cow::Owned(text)))
            }
            Token::String(text) => text_of(Cow::Borrowed(text)),
            Token::Bare(text) => number(text).unwrap_or(Value::Unusable),
            Token::Nested => Value::Unusable,
        }
    }
}

/// An integer; anything else is nothing that is read.
fn number(text: &[u8]) -> Option<Value<'static>> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_one =
        digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let text = std::str::from_utf8(text).ok().filter(|_| is_one)?;
    text.parse().map(Value::Unsigned).or_else(|_| text.parse().map(Value::Negative)).ok()
}

/// None if an escape stands for nothing, or for half a character.
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

/// What `\u` stands for, both halves of it if it has two.
fn character(rest: &mut &[u8]) -> Option<char> {
    let first = unit(rest)?;
    let mut units = vec![first];
    if (0xd800..0xdc00).contains(&first) {
        *rest = rest.strip_prefix(b"\\u")?;
        units.push(unit(rest)?);
    }
    char::decode_utf16(units).next()?.ok()
}

fn unit(rest: &mut &[u8]) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}
