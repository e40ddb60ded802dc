//! Callbacks as JSON, and the lines of a bulk import. Borrows from the text; unknown fields are skipped unread.

use std::borrow::Cow;
use std::fmt;

use msgcube_cube::Message;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::fields::{Field, Fields, Flaw, Value, Wanted};

/// Reads one line of a bulk import: a callback's JSON object. `ToUserName` is not compared.
pub fn bulk_line(line: &[u8]) -> Result<Message, Flaw> {
    let text = std::str::from_utf8(line).map_err(|_| Flaw::NotUtf8)?;
    fields(text, Wanted::Everything)?.message()
}

pub(super) fn fields(text: &str, wanted: Wanted) -> Result<Fields<'_>, Flaw> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = ObjectVisitor(wanted).deserialize(&mut deserializer);
    let fields = read.and_then(|fields| deserializer.end().map(|()| fields));
    fields.map_err(|error| flaw_of(&error))
}

/// Complaints about data quote them, those about syntax do not; the only data that can be wrong is the whole.
fn flaw_of(error: &serde_json::Error) -> Flaw {
    if error.is_data() { Flaw::NotAnObject } else { Flaw::Json(error.to_string()) }
}

struct ObjectVisitor(Wanted);

impl<'de> DeserializeSeed<'de> for ObjectVisitor {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(field) = map.next_key_seed(NameVisitor(self.0))? {
            match field {
                Some(field) => fields.put(field, map.next_value_seed(ValueVisitor)?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

struct NameVisitor(Wanted);

impl<'de> DeserializeSeed<'de> for NameVisitor {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Field>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameVisitor {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(self.0.field(name))
    }
}

struct ValueVisitor;

impl<'de> DeserializeSeed<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Unsigned(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Negative(number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Unusable)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Unusable)
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Unusable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Unusable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Unusable)
    }
}
