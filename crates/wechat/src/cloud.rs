//! Cloud calls as wx-server-sdk makes them: their signature, their protobuf messages, and reasons for a refusal.

pub mod message;
mod refusal;
pub mod signature;

use bytes::Bytes;

pub use refusal::CloudRefusal;

/// One field of a multipart form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in lower case, as in the signature.
    pub name: String,
    /// The value as it is signed: a text without surrounding blanks, other content unchanged.
    pub value: Bytes,
}

/// The fields that the signature covers. Other fields are ignored.
#[derive(Clone, Copy, Debug)]
pub struct SignedFields<'a> {
    fields: &'a [Field],
    names: &'a [&'a str],
}

impl<'a> SignedFields<'a> {
    /// The fields among `fields` whose names are in `names`.
    pub fn new(fields: &'a [Field], names: &'a [&'a str]) -> SignedFields<'a> {
        SignedFields { fields, names }
    }

    /// The value of a field. None if the field is missing or not signed.
    pub fn value(&self, name: &str) -> Option<&'a Bytes> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        self.names.contains(&name).then_some(&field.value)
    }

    /// The value of a field as text. None if the field is missing, not signed, or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}
