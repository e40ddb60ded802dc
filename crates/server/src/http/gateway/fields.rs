//! The fields of a query, a form or a JSON object, and where their values stand, so that one can be replaced and the rest
//! stays byte for byte.

use std::ops::Range;

use percent_encoding::{percent_decode, utf8_percent_encode};
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::head::UNRESERVED;

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Decoded. Of JSON only texts are fields.
    pub value: String,
    /// Where the value is written.
    place: Range<usize>,
}

/// All of them, in their order.
#[derive(Debug)]
pub struct Fields {
    pub all: Vec<Field>,
    is_json: bool,
}

impl Fields {
    /// Of a query, or of a body that is a form.
    pub fn of_form(text: &[u8]) -> Fields {
        let mut all = Vec::new();
        let mut at = 0;
        for pair in text.split(|byte| *byte == b'&') {
            let end = at + pair.len();
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = (at + equals + 1).min(end)..end;
            let (name, written) = (decoded(&pair[..equals]), decoded(&text[value.clone()]));
            all.push(Field { name, value: written, place: value });
            at = end + 1;
        }
        Fields { all, is_json: false }
    }

    /// Of a body: a JSON object, or else a form.
    pub fn of_body(text: &[u8]) -> Fields {
        let Ok(Texts(texts)) = serde_json::from_slice(text) else { return Fields::of_form(text) };
        // A raw value is a part of what was read.
        let place = |raw: &RawValue| {
            let at = raw.get().as_ptr().addr() - text.as_ptr().addr();
            at..at + raw.get().len()
        };
        let field = |(name, raw): (String, &RawValue)| {
            let value = serde_json::from_str(raw.get()).ok()?;
            Some(Field { name, value, place: place(raw) })
        };
        Fields { all: texts.into_iter().filter_map(field).collect(), is_json: true }
    }

    /// The text with another value in those fields.
    pub fn with(&self, text: &[u8], fields: &[&Field], value: &str) -> Vec<u8> {
        let written = if self.is_json {
            serde_json::Value::from(value).to_string()
        } else {
            utf8_percent_encode(value, UNRESERVED).to_string()
        };
        let mut out = Vec::with_capacity(text.len() + fields.len() * written.len());
        let mut at = 0;
        for field in fields {
            out.extend_from_slice(&text[at..field.place.start]);
            out.extend_from_slice(written.as_bytes());
            at = field.place.end;
        }
        out.extend_from_slice(&text[at..]);
        out
    }
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// The members of a JSON object, also those whose name stands twice.
struct Texts<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Texts<'de>, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Texts(all))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(fields: &Fields, text: &str) -> String {
        let secrets: Vec<&Field> = fields.all.iter().filter(|field| field.name == "secret").collect();
        String::from_utf8(fields.with(text.as_bytes(), &secrets, "N&\"w")).unwrap()
    }

    #[test]
    fn a_value_is_replaced_and_the_rest_stays_byte_for_byte() {
        for (form, expected) in [
            ("secret=a", "secret=N%26%22w"),
            ("x=%e4+1&s%65cret=a%2Fb&&secret=&=&y", "x=%e4+1&s%65cret=N%26%22w&&secret=N%26%22w&=&y"),
            ("", ""),
            ("xsecret=1", "xsecret=1"),
        ] {
            assert_eq!(replaced(&Fields::of_form(form.as_bytes()), form), expected);
        }
        let json = " {\"x\": [1, {\"secret\":\"in\"}],\n\"s\\u0065cret\" : \"a\\/b\" ,\"secret\":7,\"secret\":\"b\"} ";
        let fields = Fields::of_body(json.as_bytes());
        assert_eq!(fields.all[0].value, "a/b");
        let expected = " {\"x\": [1, {\"secret\":\"in\"}],\n\"s\\u0065cret\" : \"N&\\\"w\" ,\"secret\":7,\"secret\":\"N&\\\"w\"} ";
        assert_eq!(replaced(&fields, json), expected);
        assert_eq!(Fields::of_body(b"a=b&c=d+e").all[1].value, "d e");
        assert_eq!(Fields::of_body(b"").all[0].value, "");
    }
}
