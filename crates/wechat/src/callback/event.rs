//! What a third-party platform is told that is no message: its ticket, and who authorises it. Pure, as all of opening.

use secrecy::SecretString;

use super::{
    AccountKeys, Query, Refusal,
    fields::{BodyError, CallbackField, CallbackFields, WantedFields},
    open_envelope, read,
};

/// The `InfoType` of an event that `msgcube doctor` plays. WeChat has none of this name.
pub const PROBE: &str = "msgcube_doctor";

/// An event of a platform.
#[derive(Clone, Debug)]
pub struct PlatformEvent {
    /// `CreateTime`, Unix seconds: what was decided later holds, in whatever order events arrive.
    pub create_time: i64,
    /// What it says.
    pub info: Info,
}

/// What an event says, as far as it matters here.
#[derive(Clone, Debug)]
pub enum Info {
    /// `component_verify_ticket`
    Ticket(SecretString),
    /// `authorized` or `updateauthorized`, by this account.
    Authorized(String),
    /// `unauthorized`, by this account.
    Unauthorized(String),
    /// `msgcube doctor` asks whether events arrive: it changes nothing, and nobody behind hears of it.
    Probe,
    /// Anything else: it changes nothing.
    Other,
}

impl Info {
    /// The label in metrics.
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

/// Opens an event: always encrypted, with the platform's own appid inside.
pub fn open_event(keys: &AccountKeys, query: &Query<'_>, body: &[u8]) -> Result<PlatformEvent, Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), WantedFields::Everything);
    let event = fields.and_then(|fields| event(&fields));
    event.map_err(|error| Refusal::proven(error.into(), None).decrypted())
}

fn event(fields: &CallbackFields<'_>) -> Result<PlatformEvent, BodyError> {
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
