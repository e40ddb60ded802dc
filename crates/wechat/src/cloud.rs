//! Cloud calls as wx-server-sdk makes them: how they are signed, what they ask, and why one is refused. Pure: bytes and
//! values in; never a clock, a socket or a file.

pub mod message;
mod refusal;
pub mod signature;

use bytes::Bytes;

pub use refusal::Refusal;

/// One field of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// In small letters, as signatures name it.
    pub name: String,
    /// What was signed of it: a text without the blanks around it, anything else as it came.
    pub value: Bytes,
}

/// The fields that a signature covers. No other is ever looked at.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    fields: &'a [Field],
    names: &'a [&'a str],
}

impl<'a> Signed<'a> {
    /// Those of the fields that are named.
    pub fn new(fields: &'a [Field], names: &'a [&'a str]) -> Signed<'a> {
        Signed { fields, names }
    }

    /// The value of a field; nothing if it is not there or not signed.
    pub fn value(&self, name: &str) -> Option<&'a Bytes> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        self.names.contains(&name).then_some(&field.value)
    }

    /// The same as a text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}
