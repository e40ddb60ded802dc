//! The text of one field, put together from its pieces. Blanks around it go, except those in CDATA: these are WeChat's.

use std::borrow::Cow;

use crate::callback::fields::{Value, text_of};

/// What a field says so far.
#[derive(Default)]
pub(super) struct Text<'a> {
    so_far: Cow<'a, [u8]>,
    /// Blanks that may be the last.
    blanks: &'a [u8],
    /// The end of the last piece that is kept as it is, blanks and all.
    exact_to: Option<usize>,
    is_broken: bool,
}

impl<'a> Text<'a> {
    /// Text outside CDATA.
    pub(super) fn push(&mut self, piece: &'a [u8]) {
        let is_first = self.so_far.is_empty() && self.exact_to.is_none();
        let piece = if is_first { piece.trim_ascii_start() } else { piece };
        if piece.is_empty() {
            return;
        }
        if piece.trim_ascii().is_empty() && self.blanks.is_empty() {
            self.blanks = piece;
        } else {
            self.append(piece);
        }
    }

    /// What stands in CDATA.
    pub(super) fn push_exact(&mut self, piece: &'a [u8]) {
        self.append(piece);
        self.exact_to = Some(self.so_far.len());
    }

    /// The predefined references and numeric ones.
    pub(super) fn push_reference(&mut self, name: &[u8]) {
        let Some(character) = character(name) else { return self.spoil() };
        self.append(&[]);
        let mut bytes = [0; 4];
        self.so_far.to_mut().extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        self.exact_to = Some(self.so_far.len());
    }

    /// Something is there that cannot be read.
    pub(super) fn spoil(&mut self) {
        self.is_broken = true;
    }

    fn append(&mut self, piece: &'a [u8]) {
        let blanks = std::mem::take(&mut self.blanks);
        if self.so_far.is_empty() && blanks.is_empty() {
            self.so_far = Cow::Borrowed(piece);
        } else if !(blanks.is_empty() && piece.is_empty()) {
            let so_far = self.so_far.to_mut();
            so_far.extend_from_slice(blanks);
            so_far.extend_from_slice(piece);
        }
    }

    /// What the field says.
    pub(super) fn value(mut self) -> Value<'a> {
        if self.is_broken {
            return Value::Broken;
        }
        let length = self.so_far.trim_ascii_end().len().max(self.exact_to.unwrap_or(0));
        match &mut self.so_far {
            Cow::Borrowed(text) => *text = &text[..length],
            Cow::Owned(text) => text.truncate(length),
        }
        text_of(self.so_far)
    }
}

fn character(name: &[u8]) -> Option<char> {
    let number = match name {
        b"lt" => return Some('<'),
        b"gt" => return Some('>'),
        b"amp" => return Some('&'),
        b"quot" => return Some('"'),
        b"apos" => return Some('\''),
        [b'#', b'x', digits @ ..] => u32::from_str_radix(digits_of(digits)?, 16),
        [b'#', digits @ ..] => digits_of(digits)?.parse(),
        _ => return None,
    };
    char::from_u32(number.ok()?).filter(|character| *character != '\0')
}

/// Without a sign, which parsing would take.
fn digits_of(digits: &[u8]) -> Option<&str> {
    std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))
}
