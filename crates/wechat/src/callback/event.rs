//! What a third-party platform is told that is no message: its ticket, and who authorises it. Pure, as all of opening.

use system::secret::Secret;

use super::{
    AccountKeys, Query, Refusal,
    fields::{Field, Fields, Flaw, Wanted},
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
    Ticket(Secret),
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
    let fields = read(envelope.message(), Wanted::Everything);
    let event = fields.and_then(|fields| event(&fields));
    event.map_err(|flaw| Refusal::proven(flaw.into(), None).decrypted())
}

fn event(fields: &Fields<'_>) -> Result<PlatformEvent, Flaw> {
    let appid = || fields.name(Field::AuthorizerAppid).map(String::from);
    let info = match fields.text(Field::InfoType)? {
        "component_verify_ticket" => Info::Ticket(Secret::new(fields.text(Field::ComponentVerifyTicket)?)),
        "authorized" | "updateauthorized" => Info::Authorized(appid()?),
        "unauthorized" => Info::Unauthorized(appid()?),
        PROBE => Info::Probe,
        _ => Info::Other,
    };
    let create_time = match (fields.create_time(), &info) {
        (Ok(create_time), _) => create_time,
        (Err(_), Info::Probe | Info::Other) => 0,
        (Err(flaw), _) => return Err(flaw),
    };
    Ok(PlatformEvent { create_time, info })
}
