//! The few fields of a callback that are read, and what makes a message of them. The rest is never looked at.

use std::borrow::Cow;

use counting::{Content, Kind, Message};

/// Longest name of a user or an event, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A field that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallbackField {
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

impl CallbackField {
    const COUNT: usize = 12;

    /// The field of this name, if it is read. Names are compared as WeChat writes them: `MsgID` of events is not
    /// `MsgId`.
    pub(super) fn from_name(name: &[u8]) -> Option<CallbackField> {
        Some(match name {
            b"ToUserName" => CallbackField::ToUser,
            b"FromUserName" => CallbackField::FromUser,
            b"CreateTime" => CallbackField::CreateTime,
            b"MsgType" => CallbackField::MsgType,
            b"MsgId" => CallbackField::MsgId,
            b"Event" => CallbackField::Event,
            b"EventKey" => CallbackField::EventKey,
            b"MsgID" => CallbackField::EventMsgId,
            b"Encrypt" => CallbackField::Encrypt,
            b"InfoType" => CallbackField::InfoType,
            b"AuthorizerAppid" => CallbackField::AuthorizerAppid,
            b"ComponentVerifyTicket" => CallbackField::ComponentVerifyTicket,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            CallbackField::ToUser => "ToUserName",
            CallbackField::FromUser => "FromUserName",
            CallbackField::CreateTime => "CreateTime",
            CallbackField::MsgType => "MsgType",
            CallbackField::MsgId => "MsgId",
            CallbackField::Event => "Event",
            CallbackField::EventKey => "EventKey",
            CallbackField::EventMsgId => "MsgID",
            CallbackField::Encrypt => "Encrypt",
            CallbackField::InfoType => "InfoType",
            CallbackField::AuthorizerAppid => "AuthorizerAppid",
            CallbackField::ComponentVerifyTicket => "ComponentVerifyTicket",
        }
    }
}

/// Which fields to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedFields {
    Everything,
    /// Before a signature is checked nothing else is read.
    OnlyEncrypt,
}

impl WantedFields {
    pub(super) fn field(self, name: &[u8]) -> Option<CallbackField> {
        CallbackField::from_name(name)
            .filter(|field| self == WantedFields::Everything || *field == CallbackField::Encrypt)
    }
}

/// What a field says. Numbers stay integers: a `MsgId` does not survive a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldValue<'a> {
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
pub(super) fn text_value(bytes: Cow<'_, [u8]>) -> FieldValue<'_> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .map_or(FieldValue::Broken, FieldValue::Text)
}

/// What is wrong with a body or a bulk line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
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

impl BodyError {
    /// The same without the place in the body: whoever names a line has named a place.
    pub(super) fn without_position(self) -> BodyError {
        match self {
            BodyError::Xml { complaint, .. } => BodyError::Xml { complaint, byte: None },
            BodyError::Json { complaint, .. } => BodyError::Json { complaint, byte: None },
            error => error,
        }
    }

    /// What sort of error it is, and of which field: a closed set, none of it from outside.
    pub(super) fn kind(&self) -> (&'static str, &'static str) {
        match self {
            BodyError::NotUtf8 => ("not_utf8", ""),
            BodyError::DocumentType => ("document_type", ""),
            BodyError::Xml { complaint, .. } => ("xml", complaint),
            BodyError::NotAnObject => ("not_an_object", ""),
            BodyError::Json { complaint, .. } => ("json", complaint),
            BodyError::Missing(field) => ("missing", field),
            BodyError::Repeated(field) => ("repeated", field),
            BodyError::Invalid(field, complaint) => (complaint, field),
        }
    }
}

/// The fields found in one body.
#[derive(Debug, Default)]
pub(super) struct CallbackFields<'a>([Option<FieldValue<'a>>; CallbackField::COUNT]);

impl<'a> CallbackFields<'a> {
    pub(super) fn insert(&mut self, field: CallbackField, value: FieldValue<'a>) {
        let slot = &mut self.0[field as usize];
        *slot = Some(if slot.is_none() { value } else { FieldValue::Repeated });
    }

    pub(super) fn has(&self, field: CallbackField) -> bool {
        self.0[field as usize].is_some()
    }

    fn required(&self, field: CallbackField) -> Result<&FieldValue<'a>, BodyError> {
        match &self.0[field as usize] {
            None => Err(BodyError::Missing(field.name())),
            Some(FieldValue::Repeated) => Err(BodyError::Repeated(field.name())),
            Some(FieldValue::Broken) => Err(BodyError::Invalid(
                field.name(),
                "readable: it holds bytes that are not UTF-8, a lone & or an unknown reference",
            )),
            Some(value) => Ok(value),
        }
    }

    /// The text of a field that has to be there.
    pub(super) fn text(&self, field: CallbackField) -> Result<&str, BodyError> {
        match self.required(field)? {
            FieldValue::Text(text) => Ok(text),
            _ => Err(BodyError::Invalid(field.name(), "text")),
        }
    }

    /// The same if it is a name: 1 to 128 bytes.
    pub(super) fn name(&self, field: CallbackField) -> Result<Box<str>, BodyError> {
        let text = self.text(field)?;
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits { Ok(text.into()) } else { Err(BodyError::Invalid(field.name(), "1 to 128 bytes long")) }
    }

    /// `CreateTime` in Unix seconds, whether plausible or not.
    pub(super) fn create_time(&self) -> Result<i64, BodyError> {
        let time = match self.required(CallbackField::CreateTime)? {
            FieldValue::Text(text) => integer(text),
            FieldValue::Unsigned(number) => i64::try_from(*number).ok(),
            FieldValue::Negative(number) => Some(*number),
            FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => None,
        };
        time.ok_or(BodyError::Invalid("CreateTime", "an integer"))
    }

    fn msg_id(&self) -> Result<u64, BodyError> {
        let id = match self.required(CallbackField::MsgId)? {
            FieldValue::Text(text) => integer(text),
            FieldValue::Unsigned(number) => Some(*number),
            FieldValue::Negative(_) | FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => {
                None
            }
        };
        id.ok_or(BodyError::Invalid("MsgId", "an unsigned 64-bit number"))
    }

    /// Empty if absent, or if it is nothing that could be told apart.
    fn event_key(&self) -> Result<Box<str>, BodyError> {
        if !self.has(CallbackField::EventKey) {
            return Ok("".into());
        }
        Ok(match self.required(CallbackField::EventKey)? {
            FieldValue::Text(text) => text.as_ref().into(),
            FieldValue::Unsigned(number) => number.to_string().into(),
            FieldValue::Negative(number) => number.to_string().into(),
            FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => "".into(),
        })
    }

    /// `MsgID` of an event. None if absent, empty, or nothing that could be told apart.
    fn event_msg_id(&self) -> Result<Option<u64>, BodyError> {
        if !self.has(CallbackField::EventMsgId) {
            return Ok(None);
        }
        let id = match self.required(CallbackField::EventMsgId)? {
            FieldValue::Text(text) if text.trim_ascii().is_empty() => return Ok(None),
            FieldValue::Text(text) => integer(text),
            FieldValue::Unsigned(number) => Some(*number),
            FieldValue::Negative(_) => None,
            FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => return Ok(None),
        };
        id.map(Some).ok_or(BodyError::Invalid("MsgID", "an unsigned 64-bit number"))
    }

    /// The message that these fields make.
    pub(super) fn message(&self) -> Result<Message, BodyError> {
        let user = self.name(CallbackField::FromUser)?;
        let create_time = self.create_time()?;
        let msg_type = self.text(CallbackField::MsgType)?;
        if msg_type.is_empty() {
            return Err(BodyError::Missing("MsgType"));
        }
        let content = match Kind::of_msg_type(msg_type) {
            Kind::Event => Content::Event {
                name: self.name(CallbackField::Event)?,
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
