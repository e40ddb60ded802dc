//! The fields of a query, a form or a JSON object, with the positions of their values. So a value can be replaced and the
//! rest stays byte for byte.

use std::ops::Range;

use percent_encoding::{percent_decode, utf8_percent_encode};
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use msgcube_client::http::UNRESERVED;

/// A field with its position.
#[derive(Debug, PartialEq, Eq)]
pub struct InputField {
    pub name: String,
    /// Decoded. In JSON only strings are fields.
    pub value: String,
    /// The byte range of the written value.
    position: Range<usize>,
}

/// All fields in order.
#[derive(Debug)]
pub struct InputFields {
    pub all: Vec<InputField>,
    is_json: bool,
}

impl InputFields {
    /// Fields of a query or of a form body.
    pub fn of_form(text: &[u8]) -> InputFields {
        let mut all = Vec::new();
        let mut at = 0;
        for pair in text.split(|byte| *byte == b'&') {
            let end = at + pair.len();
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = (at + equals + 1).min(end)..end;
            let (name, written) = (decoded(&pair[..equals]), decoded(&text[value.clone()]));
            all.push(InputField { name, value: written, position: value });
            at = end + 1;
        }
        InputFields { all, is_json: false }
    }

    /// Fields of a body, which is a JSON object or else a form.
    pub fn of_body(text: &[u8]) -> InputFields {
        let Ok(JsonMembers(texts)) = serde_json::from_slice(text) else { return InputFields::of_form(text) };
        // A raw value borrows from `text`, so its address gives its position.
        let position = |raw: &RawValue| {
            let at = raw.get().as_ptr().addr() - text.as_ptr().addr();
            at..at + raw.get().len()
        };
        let field = |(name, raw): (String, &RawValue)| {
            let value = serde_json::from_str(raw.get()).ok()?;
            Some(InputField { name, value, position: position(raw) })
        };
        InputFields { all: texts.into_iter().filter_map(field).collect(), is_json: true }
    }

    /// The text with `value` in the given fields. They must be in order.
    pub fn with(&self, text: &[u8], fields: &[&InputField], value: &str) -> Vec<u8> {
        let written = if self.is_json {
            serde_json::Value::from(value).to_string()
        } else {
            utf8_percent_encode(value, UNRESERVED).to_string()
        };
        let mut out = Vec::with_capacity(text.len() + fields.len() * written.len());
        let mut at = 0;
        for field in fields {
            out.extend_from_slice(&text[at..field.position.start]);
            out.extend_from_slice(written.as_bytes());
            at = field.position.end;
        }
        out.extend_from_slice(&text[at..]);
        out
    }
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// The members of a JSON object, including repeated names.
struct JsonMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonMembers<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<JsonMembers<'de>, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = JsonMembers<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonMembers<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(JsonMembers(all))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(fields: &InputFields, text: &str) -> String {
        let secrets: Vec<&InputField> = fields.all.iter().filter(|field| field.name == "secret").collect();
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
            assert_eq!(replaced(&InputFields::of_form(form.as_bytes()), form), expected);
        }
        let json = " {\"x\": [1, {\"secret\":\"in\"}],\n\"s\\u0065cret\" : \"a\\/b\" ,\"secret\":7,\"secret\":\"b\"} ";
        let fields = InputFields::of_body(json.as_bytes());
        assert_eq!(fields.all[0].value, "a/b");
        let expected = " {\"x\": [1, {\"secret\":\"in\"}],\n\"s\\u0065cret\" : \"N&\\\"w\" ,\"secret\":7,\"secret\":\"N&\\\"w\"} ";
        assert_eq!(replaced(&fields, json), expected);
        assert_eq!(InputFields::of_body(b"a=b&c=d+e").all[1].value, "d e");
        assert_eq!(InputFields::of_body(b"").all[0].value, "");
    }
}
