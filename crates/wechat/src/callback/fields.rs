//! The few fields of a callback that are read, and how they become a message. Other fields are ignored.

use std::borrow::Cow;

use counting::{Content, Kind, Message};

/// Longest name of a user, an event or an account, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A field of a callback that is read.
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

    /// The field with this name. None if it is not read. Upper and lower case differ: `MsgID` of events is not `MsgId`.
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

/// Which fields to read from a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedFields {
    Everything,
    /// Nothing else is read before the signature is checked.
    OnlyEncrypt,
}

impl WantedFields {
    pub(super) fn field(self, name: &[u8]) -> Option<CallbackField> {
        CallbackField::from_name(name)
            .filter(|field| self == WantedFields::Everything || *field == CallbackField::Encrypt)
    }
}

/// The value of a field. Numbers stay integers, because a float cannot hold every `MsgId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldValue<'a> {
    Text(Cow<'a, str>),
    Unsigned(u64),
    Negative(i64),
    /// A fraction, a list, an object or nested elements. An error only if the field is required.
    Unusable,
    /// Text that cannot be decoded: not UTF-8, an unknown reference or half a surrogate pair.
    Broken,
    /// The field is in the body twice. Parsers would disagree about which one is valid, so neither is used.
    Repeated,
}

/// Decodes UTF-8.
pub(super) fn text_value(bytes: Cow<'_, [u8]>) -> FieldValue<'_> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .map_or(FieldValue::Broken, FieldValue::Text)
}

/// What is wrong with a callback body or a line of a bulk import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBody {
    /// A line that is not XML or JSON and not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The body has a document type declaration. WeChat never sends one; it is a way to attack XML parsers.
    #[error("has a document type declaration")]
    DocumentType,
    /// The body is not well-formed XML.
    #[error("not well-formed XML: {complaint}{}", near(*.byte))]
    Xml {
        /// What is wrong. Does not quote the body, which is private.
        complaint: &'static str,
        /// Near which byte, counted from the start of the body.
        byte: Option<usize>,
    },
    /// The body does not begin a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The body is not JSON.
    #[error("not JSON: {complaint}{}", near(*.byte))]
    Json {
        /// What is wrong. Does not quote the body.
        complaint: &'static str,
        /// Near which byte, counted from the start of the body.
        byte: Option<usize>,
    },
    /// A required field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A required field is in the body twice.
    #[error("{0} appears twice")]
    Repeated(&'static str),
    /// A required field has a wrong value: the field, and what it should be.
    #[error("{0} is not {1}")]
    Invalid(&'static str, &'static str),
}

fn near(byte: Option<usize>) -> String {
    byte.map(|byte| format!(", near byte {byte}")).unwrap_or_default()
}

impl MalformedBody {
    /// This error without its position. A bulk import names the line instead.
    pub(super) fn without_position(self) -> MalformedBody {
        match self {
            MalformedBody::Xml { complaint, .. } => MalformedBody::Xml { complaint, byte: None },
            MalformedBody::Json { complaint, .. } => MalformedBody::Json { complaint, byte: None },
            error => error,
        }
    }

    /// Kind of error and field, as two names. They are fixed texts and contain nothing of the body.
    pub(super) fn kind(&self) -> (&'static str, &'static str) {
        match self {
            MalformedBody::NotUtf8 => ("not_utf8", ""),
            MalformedBody::DocumentType => ("document_type", ""),
            MalformedBody::Xml { complaint, .. } => ("xml", complaint),
            MalformedBody::NotAnObject => ("not_an_object", ""),
            MalformedBody::Json { complaint, .. } => ("json", complaint),
            MalformedBody::Missing(field) => ("missing", field),
            MalformedBody::Repeated(field) => ("repeated", field),
            MalformedBody::Invalid(field, complaint) => (complaint, field),
        }
    }
}

/// The fields of one body.
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

    fn required(&self, field: CallbackField) -> Result<&FieldValue<'a>, MalformedBody> {
        match &self.0[field as usize] {
            None => Err(MalformedBody::Missing(field.name())),
            Some(FieldValue::Repeated) => Err(MalformedBody::Repeated(field.name())),
            Some(FieldValue::Broken) => Err(MalformedBody::Invalid(
                field.name(),
                "readable: it holds bytes that are not UTF-8, a lone & or an unknown reference",
            )),
            Some(value) => Ok(value),
        }
    }

    /// The text of a required field.
    pub(super) fn text(&self, field: CallbackField) -> Result<&str, MalformedBody> {
        match self.required(field)? {
            FieldValue::Text(text) => Ok(text),
            _ => Err(MalformedBody::Invalid(field.name(), "text")),
        }
    }

    /// The text of a required field that is a name: 1 to 128 bytes long.
    pub(super) fn name(&self, field: CallbackField) -> Result<Box<str>, MalformedBody> {
        let text = self.text(field)?;
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits { Ok(text.into()) } else { Err(MalformedBody::Invalid(field.name(), "1 to 128 bytes long")) }
    }

    /// `CreateTime` in Unix seconds. May have any value.
    pub(super) fn create_time(&self) -> Result<i64, MalformedBody> {
        let time = match self.required(CallbackField::CreateTime)? {
            FieldValue::Text(text) => integer(text),
            FieldValue::Unsigned(number) => i64::try_from(*number).ok(),
            FieldValue::Negative(number) => Some(*number),
            FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => None,
        };
        time.ok_or(MalformedBody::Invalid("CreateTime", "an integer"))
    }

    fn msg_id(&self) -> Result<u64, MalformedBody> {
        let id = match self.required(CallbackField::MsgId)? {
            FieldValue::Text(text) => integer(text),
            FieldValue::Unsigned(number) => Some(*number),
            FieldValue::Negative(_) | FieldValue::Unusable | FieldValue::Broken | FieldValue::Repeated => {
                None
            }
        };
        id.ok_or(MalformedBody::Invalid("MsgId", "an unsigned 64-bit number"))
    }

    /// `EventKey` as text. Empty if it is missing, a list or an object.
    fn event_key(&self) -> Result<Box<str>, MalformedBody> {
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

    /// `MsgID` of an event. None if it is missing, empty, a list or an object.
    fn event_msg_id(&self) -> Result<Option<u64>, MalformedBody> {
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
        id.map(Some).ok_or(MalformedBody::Invalid("MsgID", "an unsigned 64-bit number"))
    }

    /// Builds the message from the fields.
    pub(super) fn message(&self) -> Result<Message, MalformedBody> {
        let user = self.name(CallbackField::FromUser)?;
        let create_time = self.create_time()?;
        let msg_type = self.text(CallbackField::MsgType)?;
        if msg_type.is_empty() {
            return Err(MalformedBody::Missing("MsgType"));
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

/// Parses an integer, which may have blanks around it. A plus sign, a fraction or an exponent is not accepted.
fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_ascii();
    if text.starts_with('+') { None } else { text.parse().ok() }
}
