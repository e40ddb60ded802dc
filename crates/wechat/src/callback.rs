//! Opening message callbacks: who sent it, is it allowed, what counts. Pure: bytes and values in, a message or a
//! refusal out; never a clock, a socket or a file.

pub mod cipher;
pub mod cutter;
mod event;
mod fields;
pub mod json;
mod keys;
mod query;
mod refusal;
pub mod seal;
pub mod signature;
mod xml;

use std::ops::ControlFlow;

use counting::Message;

pub use event::{Info, PROBE, PlatformEvent, open_event};
pub use fields::Flaw;
use fields::{Field, Fields, Wanted};
pub use keys::{AccountKeys, KeyError, KeySettings};
pub use query::Query;
pub use refusal::{Cause, Proof, Refusal, is_refused_as_plain};

/// Largest callback body. Source: the interface's contract; WeChat's own stay under 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// What some programs put before UTF-8 text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Answers WeChat's check of the callback address: the bytes of `echostr`, to be sent back as they are.
pub fn verify_get(keys: &AccountKeys, query: &Query<'_>) -> Result<Vec<u8>, Refusal> {
    if !signature::plain_is_right(keys, query) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: false }));
    }
    let echostr = query.echostr.as_deref().ok_or(Refusal::proven(Cause::EchostrMissing, None))?;
    Ok(echostr.to_vec())
}

/// Opens a POSTed callback: plain, compatible or safe mode, XML or JSON.
///
/// `now_s` is Unix seconds; `max_age_s` (none or 0: no limit) holds for plain callbacks only, in both directions.
/// Whether `CreateTime` is plausible is not checked here.
pub fn open(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
    now_s: i64,
    max_age_s: Option<u32>,
) -> Result<Message, Refusal> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Refusal::unproven(Cause::BodyTooLarge));
    }
    if keys.has_aes_key() && (query.says_encrypted() || has_ciphertext(body)) {
        return open_encrypted(keys, query, body);
    }
    open_plain(keys, query, body, &Freshness { now_s, max_age_s: max_age_s.unwrap_or(0) })
}

/// Whether the body's root has `Encrypt`. A body that cannot be read has not; the rules for plain then refuse it.
fn has_ciphertext(body: &[u8]) -> bool {
    // Saves most plain bodies from being read twice: only JSON can write the name otherwise, with a backslash.
    let may_have = || body.windows(7).any(|part| part == b"Encrypt") || body.contains(&b'\\');
    may_have() && read(body, Wanted::OnlyEncrypt).is_ok_and(|fields| fields.has(Field::Encrypt))
}

/// Opens an encrypted body as far as its decrypted content, whatever that is: signature first, then key and appid.
/// For what a third-party platform is sent that is no message, such as its ticket.
pub fn open_envelope(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
) -> Result<cipher::Envelope, Refusal> {
    let outer = read(body, Wanted::OnlyEncrypt).map_err(|flaw| Refusal::unproven(flaw.into()))?;
    if !outer.has(Field::Encrypt) {
        return Err(Refusal::unproven(Cause::NoCiphertext));
    }
    let encrypt = outer.text(Field::Encrypt).map_err(|flaw| Refusal::unproven(flaw.into()))?.trim_ascii();
    if !signature::encrypted_is_right(keys, query, encrypt.as_bytes()) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: true }));
    }
    decrypt(keys, encrypt.as_bytes())
}

fn open_encrypted(keys: &AccountKeys, query: &Query<'_>, body: &[u8]) -> Result<Message, Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), Wanted::Everything);
    let fields = fields.map_err(|flaw| Refusal::proven(flaw.into(), None).decrypted())?;
    accept(keys, &fields).map_err(Refusal::decrypted)
}

/// Opens a message that came through a third-party platform, always encrypted; with it the `ToUserName`, which alone
/// says whose message it is: the address is not signed.
pub fn open_through(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
) -> Result<(Message, Box<str>), Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), Wanted::Everything);
    let fields = fields.map_err(|flaw| Refusal::proven(flaw.into(), None).decrypted())?;
    let refuse = |flaw: Flaw| Refusal::proven(flaw.into(), fields.create_time().ok()).decrypted();
    let to_user = fields.name(Field::ToUser).map_err(refuse)?;
    Ok((accept(keys, &fields).map_err(Refusal::decrypted)?, to_user))
}

/// Decrypts with the current key, then the previous one; the current key's complaint is the one worth reading,
/// unless the previous key got as far as the appid.
fn decrypt(keys: &AccountKeys, encrypt: &[u8]) -> Result<cipher::Envelope, Refusal> {
    let ciphertext = cipher::decode(encrypt).map_err(|e| Refusal::signed(Cause::Undecryptable(e)))?;
    let tried = keys.aes_keys().try_fold(None, |complaint, key| match cipher::decrypt(key, &ciphertext) {
        Ok(envelope) if envelope.appid() == keys.ciphertext_appid().as_bytes() => {
            ControlFlow::Break(envelope)
        }
        Ok(_) => ControlFlow::Continue(Some(Cause::WrongAppid)),
        Err(error) => ControlFlow::Continue(complaint.or(Some(Cause::Undecryptable(error)))),
    });
    match tried {
        ControlFlow::Break(envelope) => Ok(envelope),
        ControlFlow::Continue(complaint) => Err(Refusal::signed(complaint.unwrap_or(Cause::KeyMissing))),
    }
}

struct Freshness {
    now_s: i64,
    max_age_s: u32,
}

impl Freshness {
    /// A timestamp that is no number is not fresh: nothing shows that it is.
    fn is_fresh(&self, query: &Query<'_>) -> bool {
        let age_s = query.timestamp_s().map(|timestamp_s| timestamp_s.abs_diff(self.now_s));
        self.max_age_s == 0 || age_s.is_some_and(|age_s| age_s <= u64::from(self.max_age_s))
    }
}

fn open_plain(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
    freshness: &Freshness,
) -> Result<Message, Refusal> {
    if !signature::plain_is_right(keys, query) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: false }));
    }
    let is_fresh = freshness.is_fresh(query);
    let read = read(body, Wanted::Everything);
    // Refused or not, it may say which moment it is about.
    let create_time = read.as_ref().ok().and_then(|fields| fields.create_time().ok());
    let refuse = |cause| Err(Refusal::proven(cause, create_time));
    // First: a plain signature covers no content, so what is refused for that is never passed on.
    if keys.require_encryption() {
        let refused = refuse(Cause::EncryptionRequired);
        return if is_fresh { refused } else { refused.map_err(Refusal::stale) };
    }
    if !is_fresh {
        return refuse(Cause::StaleTimestamp { max_age_s: freshness.max_age_s }).map_err(Refusal::stale);
    }
    let fields = read.map_err(|flaw| Refusal::proven(flaw.into(), None))?;
    if fields.has(Field::Encrypt) && !fields.has(Field::FromUser) {
        return refuse(Cause::KeyMissing);
    }
    accept(keys, &fields)
}

/// The last step of both ways: the right receiver, and everything that counting needs.
fn accept(keys: &AccountKeys, fields: &Fields<'_>) -> Result<Message, Refusal> {
    let refuse = |cause| Refusal::proven(cause, fields.create_time().ok());
    if let Some(original_id) = keys.original_id() {
        let to_user = fields.text(Field::ToUser).map_err(|flaw| refuse(flaw.into()))?;
        if to_user != original_id {
            return Err(refuse(Cause::WrongToUser));
        }
    }
    fields.message().map_err(|flaw| refuse(flaw.into()))
}

/// Reads XML or JSON, whichever the first character says it is.
fn read(body: &[u8], wanted: Wanted) -> Result<Fields<'_>, Flaw> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii_start().starts_with(b"{") {
        json::fields(body, wanted)
    } else {
        xml::fields(body, wanted)
    }
}
