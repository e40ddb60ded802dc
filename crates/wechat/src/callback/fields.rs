//! The few fields of a callback that are read, and what makes a message of them. The rest is never looked at.

use std::borrow::Cow;

use counting::{Content, Kind, Message};

/// Longest name of a user or an event, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A field that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    ToUser,
    FromUser,
    CreateTime,
    MsgType,
    MsgId,
    Event,
    EventKey,
    EventMsgId,
    Encrypt,
    InfoType,
    AuthorizerAppid,
    ComponentVerifyTicket,
}

impl Field {
    const COUNT: usize = 12;

    /// The field of this name, if it is read. Names are compared as WeChat writes them: `MsgID` of events is not
    /// `MsgId`.
    pub(super) fn of(name: &[u8]) -> Option<Field> {
        Some(match name {
            b"ToUserName" => Field::ToUser,
            b"FromUserName" => Field::FromUser,
            b"CreateTime" => Field::CreateTime,
            b"MsgType" => Field::MsgType,
            b"MsgId" => Field::MsgId,
            b"Event" => Field::Event,
            b"EventKey" => Field::EventKey,
            b"MsgID" => Field::EventMsgId,
            b"Encrypt" => Field::Encrypt,
            b"InfoType" => Field::InfoType,
            b"AuthorizerAppid" => Field::AuthorizerAppid,
            b"ComponentVerifyTicket" => Field::ComponentVerifyTicket,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Field::ToUser => "ToUserName",
            Field::FromUser => "FromUserName",
            Field::CreateTime => "CreateTime",
            Field::MsgType => "MsgType",
            Field::MsgId => "MsgId",
            Field::Event => "Event",
            Field::EventKey => "EventKey",
            Field::EventMsgId => "MsgID",
            Field::Encrypt => "Encrypt",
            Field::InfoType => "InfoType",
            Field::AuthorizerAppid => "AuthorizerAppid",
            Field::ComponentVerifyTicket => "ComponentVerifyTicket",
        }
    }
}

/// Which fields to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Everything,
    /// Before a signature is checked nothing else is read.
    OnlyEncrypt,
}

impl Wanted {
    pub(super) fn field(self, name: &[u8]) -> Option<Field> {
        Field::of(name).filter(|field| self == Wanted::Everything || *field == Field::Encrypt)
    }
}

/// What a field says. Numbers stay integers: a `MsgId` does not survive a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Unsigned(u64),
    Negative(i64),
    /// A fraction, a list, an object, nested elements: a complaint only if the field is needed.
    Unusable,
    /// Text that cannot be read: bytes that are not UTF-8, an unknown reference, half a character.
    Broken,
    /// Twice in one body: readers would disagree which one counts, so neither does.
    Repeated,
}

/// A text, if it is one.
pub(super) fn text_of(bytes: Cow<'_, [u8]>) -> Value<'_> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .map_or(Value::Broken, Value::Text)
}

/// What is wrong with a body or a bulk line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Invalid UTF-8 where neither XML nor JSON begins.
    #[error("not UTF-8")]
    NotUtf8,
    /// A document type declaration: never needed, always suspect.
    #[error("has a document type declaration")]
    DocumentType,
    /// Not XML.
    #[error("not well-formed XML: {complaint}{}", near(*.byte))]
    Xml {
        /// What is wrong. Never quotes the body, which may be long and is nobody's business.
        complaint: &'static str,
        /// Where, in bytes from the start.
        byte: Option<usize>,
    },
    /// JSON, but a list, a number, …
    #[error("not a JSON object")]
    NotAnObject,
    /// Not JSON.
    #[error("not JSON: {complaint}{}", near(*.byte))]
    Json {
        /// What is wrong. Never quotes the body.
        complaint: &'static str,
        /// Where, in bytes from the start.
        byte: Option<usize>,
    },
    /// A needed field is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("{0} is there twice")]
    Repeated(&'static str),
    /// A field is not what it should be.
    #[error("{0} is not {1}")]
    Invalid(&'static str, &'static str),
}

fn near(byte: Option<usize>) -> String {
    byte.map(|byte| format!(", near byte {byte}")).unwrap_or_default()
}

impl Flaw {
    /// The same without the place in the body: whoever names a line has named a place.
    pub(super) fn of_line(self) -> Flaw {
        match self {
            Flaw::Xml { complaint, .. } => Flaw::Xml { complaint, byte: None },
            Flaw::Json { complaint, .. } => Flaw::Json { complaint, byte: None },
            flaw => flaw,
        }
    }

    /// What sort of flaw it is, and of which field: a closed set, none of it from outside.
    pub(super) fn sort(&self) -> (&'static str, &'static str) {
        match self {
            Flaw::NotUtf8 => ("not_utf8", ""),
            Flaw::DocumentType => ("document_type", ""),
            Flaw::Xml { complaint, .. } => ("xml", complaint),
            Flaw::NotAnObject => ("not_an_object", ""),
            Flaw::Json { complaint, .. } => ("json", complaint),
            Flaw::Missing(field) => ("missing", field),
            Flaw::Repeated(field) => ("repeated", field),
            Flaw::Invalid(field, complaint) => (complaint, field),
        }
    }
}

/// The fields found in one body.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>([Option<Value<'a>>; Field::COUNT]);

impl<'a> Fields<'a> {
    pub(super) fn put(&mut self, field: Field, value: Value<'a>) {
        let slot = &mut self.0[field as usize];
        *slot = Some(if slot.is_none() { value } else { Value::Repeated });
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.0[field as usize].is_some()
    }

    fn needed(&self, field: Field) -> Result<&Value<'a>, Flaw> {
        match &self.0[field as usize] {
            None => Err(Flaw::Missing(field.name())),
            Some(Value::Repeated) => Err(Flaw::Repeated(field.name())),
            Some(Value::Broken) => Err(Flaw::Invalid(
                field.name(),
                "readable: it holds bytes that are not UTF-8, a lone & or an unknown reference",
            )),
            Some(value) => Ok(value),
        }
    }

    /// The text of a field that has to be there.
    pub(super) fn text(&self, field: Field) -> Result<&str, Flaw> {
        match self.needed(field)? {
            Value::Text(text) => Ok(text),
            _ => Err(Flaw::Invalid(field.name(), "text")),
        }
    }

    /// The same if it is a name: 1 to 128 bytes.
    pub(super) fn name(&self, field: Field) -> Result<Box<str>, Flaw> {
        let text = self.text(field)?;
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits { Ok(text.into()) } else { Err(Flaw::Invalid(field.name(), "1 to 128 bytes long")) }
    }

    /// `CreateTime` in Unix seconds, whether plausible or not.
    pub(super) fn create_time(&self) -> Result<i64, Flaw> {
        let time = match self.needed(Field::CreateTime)? {
            Value::Text(text) => integer(text),
            Value::Unsigned(number) => i64::try_from(*number).ok(),
            Value::Negative(number) => Some(*number),
            Value::Unusable | Value::Broken | Value::Repeated => None,
        };
        time.ok_or(Flaw::Invalid("CreateTime", "an integer"))
    }

    fn msg_id(&self) -> Result<u64, Flaw> {
        let id = match self.needed(Field::MsgId)? {
            Value::Text(text) => integer(text),
            Value::Unsigned(number) => Some(*number),
            Value::Negative(_) | Value::Unusable | Value::Broken | Value::Repeated => None,
        };
        id.ok_or(Flaw::Invalid("MsgId", "an unsigned 64-bit number"))
    }

    /// Empty if absent, or if it is nothing that could be told apart.
    fn event_key(&self) -> Result<Box<str>, Flaw> {
        if !self.has(Field::EventKey) {
            return Ok("".into());
        }
        Ok(match self.needed(Field::EventKey)? {
            Value::Text(text) => text.as_ref().into(),
            Value::Unsigned(number) => number.to_string().into(),
            Value::Negative(number) => number.to_string().into(),
            Value::Unusable | Value::Broken | Value::Repeated => "".into(),
        })
    }

    /// `MsgID` of an event. None if absent, empty, or nothing that could be told apart.
    fn event_msg_id(&self) -> Result<Option<u64>, Flaw> {
        if !self.has(Field::EventMsgId) {
            return Ok(None);
        }
        let id = match self.needed(Field::EventMsgId)? {
            Value::Text(text) if text.trim_ascii().is_empty() => return Ok(None),
            Value::Text(text) => integer(text),
            Value::Unsigned(number) => Some(*number),
            Value::Negative(_) => None,
            Value::Unusable | Value::Broken | Value::Repeated => return Ok(None),
        };
        id.map(Some).ok_or(Flaw::Invalid("MsgID", "an unsigned 64-bit number"))
    }

    /// The message that these fields make.
    pub(super) fn message(&self) -> Result<Message, Flaw> {
        let user = self.name(Field::FromUser)?;
        let create_time = self.create_time()?;
        let msg_type = self.text(Field::MsgType)?;
        if msg_type.is_empty() {
            return Err(Flaw::Missing("MsgType"));
        }
        let content = match Kind::of_msg_type(msg_type) {
            Kind::Event => Content::Event {
                name: self.name(Field::Event)?,
                key: self.event_key()?,
                msg_id: self.event_msg_id()?,
            },
            kind => Content::Message { kind, msg_id: self.msg_id()? },
        };
        Ok(Message { user, create_time, content })
    }
}

/// An integer written as digits alone (blanks around it allowed): no plus sign, fraction or exponent.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_ascii();
    if text.starts_with('+') { None } else { text.parse().ok() }
}
