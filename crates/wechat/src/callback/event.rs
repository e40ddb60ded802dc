//! WeChat's events for third-party platforms: the ticket, and changes of an account's authorization. Source: WeChat's
//! documentation of third-party platforms.

use secrecy::SecretString;

use super::{
    AccountKeys, Query, Refusal,
    fields::{CallbackField, CallbackFields, MalformedBody, WantedFields},
    open_envelope, read,
};

/// The `InfoType` of the test event that `msgcube doctor` sends. WeChat has no such event.
pub const PROBE: &str = "msgcube_doctor";

/// An event that WeChat sent to a platform.
#[derive(Clone, Debug)]
pub struct PlatformEvent {
    /// `CreateTime` in Unix seconds. Events may arrive in any order; the latest one is valid.
    pub create_time: i64,
    /// The content of the event.
    pub info: Info,
}

/// The content of a platform event.
#[derive(Clone, Debug)]
pub enum Info {
    /// `component_verify_ticket`, with the ticket.
    Ticket(SecretString),
    /// `authorized` or `updateauthorized`, with the account's appid.
    Authorized(String),
    /// `unauthorized`, with the account's appid.
    Unauthorized(String),
    /// The test event of `msgcube doctor`. It changes nothing and is not passed on.
    Probe,
    /// Any other event. It changes nothing.
    Other,
}

impl Info {
    /// The label value in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Info::Ticket(_) => "component_verify_ticket",
            Info::Authorized(_) => "authorized",
            Info::Unauthorized(_) => "unauthorized",
            Info::Probe => "probe",
            Info::Other => "other",
        }
    }
}

/// Opens an event. It is always encrypted, with the platform's appid inside.
///
/// # Errors
/// Why the event is refused, and whether it is authentic.
pub fn open_event(keys: &AccountKeys, query: &Query<'_>, body: &[u8]) -> Result<PlatformEvent, Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), WantedFields::Everything);
    let event = fields.and_then(|fields| event(&fields));
    event.map_err(|error| Refusal::proven(error.into(), None).decrypted())
}

fn event(fields: &CallbackFields<'_>) -> Result<PlatformEvent, MalformedBody> {
    let appid = || fields.name(CallbackField::AuthorizerAppid).map(String::from);
    let info = match fields.text(CallbackField::InfoType)? {
        "component_verify_ticket" => {
            Info::Ticket(SecretString::from(fields.text(CallbackField::ComponentVerifyTicket)?))
        }
        "authorized" | "updateauthorized" => Info::Authorized(appid()?),
        "unauthorized" => Info::Unauthorized(appid()?),
        PROBE => Info::Probe,
        _ => Info::Other,
    };
    let create_time = match (fields.create_time(), &info) {
        (Ok(create_time), _) => create_time,
        (Err(_), Info::Probe | Info::Other) => 0,
        (Err(error), _) => return Err(error),
    };
    Ok(PlatformEvent { create_time, info })
}
