//! Builds the text of one field from its tokens. Removes blanks around the text, but not blanks in CDATA, which belong to
//! the value.

use std::borrow::Cow;

use crate::callback::fields::{FieldValue, text_value};

/// The text of a field so far.
#[derive(Default)]
pub(super) struct FieldText<'a> {
    so_far: Cow<'a, [u8]>,
    /// Blanks that are dropped if nothing follows.
    blanks: &'a [u8],
    /// Length of the text up to the end of the last CDATA section or reference. Blanks before it are kept.
    exact_to: Option<usize>,
    is_broken: bool,
}

impl<'a> FieldText<'a> {
    /// Adds text outside CDATA.
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

    /// Adds the content of a CDATA section.
    pub(super) fn push_exact(&mut self, piece: &'a [u8]) {
        self.append(piece);
        self.exact_to = Some(self.so_far.len());
    }

    /// Adds the character of a predefined or numeric reference.
    pub(super) fn push_reference(&mut self, name: &[u8]) {
        let Some(character) = character(name) else { return self.mark_broken() };
        self.append(&[]);
        let mut bytes = [0; 4];
        self.so_far.to_mut().extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
        self.exact_to = Some(self.so_far.len());
    }

    /// Marks the text as broken.
    pub(super) fn mark_broken(&mut self) {
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

    /// The value of the field.
    pub(super) fn value(mut self) -> FieldValue<'a> {
        if self.is_broken {
            return FieldValue::Broken;
        }
        let length = self.so_far.trim_ascii_end().len().max(self.exact_to.unwrap_or(0));
        match &mut self.so_far {
            Cow::Borrowed(text) => *text = &text[..length],
            Cow::Owned(text) => text.truncate(length),
        }
        text_value(self.so_far)
    }
}

fn character(name: &[u8]) -> Option<char> {
    let number = match name {
        b"lt" => return Some('<'),
        b"gt" => return Some('>'),
        b"amp" => return Some('&'),
        b"quot" => return Some('"'),
        b"apos" => return Some('\''),
        [b'#', b'x', digits @ ..] => u32::from_str_radix(unsigned_digits(digits)?, 16),
        [b'#', digits @ ..] => unsigned_digits(digits)?.parse(),
        _ => return None,
    };
    char::from_u32(number.ok()?).filter(|character| *character != '\0')
}

/// The digits as text. None if they begin with a plus sign, which `parse` would accept.
fn unsigned_digits(digits: &[u8]) -> Option<&str> {
    std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))
}
