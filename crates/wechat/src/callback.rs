//! Opens message callbacks: checks the signature, decrypts, and reads the fields that count. Pure: uses no clock, socket
//! or file.

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
pub use fields::MalformedBody;
use fields::{CallbackField, CallbackFields, WantedFields};
pub use keys::{AccountKeys, KeyError, KeySettings};
pub use query::Query;
pub use refusal::{Cause, Proof, Refusal, is_refused_as_plain};

/// Largest accepted callback body in bytes. WeChat's own bodies stay under 4 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The UTF-8 byte order mark, which some programs put before a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Answers WeChat's check of the callback address. Returns `echostr`, which must be sent back unchanged.
///
/// # Errors
/// The signature is wrong, or `echostr` is missing.
pub fn verify_get(keys: &AccountKeys, query: &Query<'_>) -> Result<Vec<u8>, Refusal> {
    if !signature::is_plain_signature_valid(keys, query) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: false }));
    }
    let echostr = query.echostr.as_deref().ok_or(Refusal::proven(Cause::EchostrMissing, None))?;
    Ok(echostr.to_vec())
}

/// Opens a POSTed callback: plain, compatible or safe mode, XML or JSON.
///
/// `now_s` is in Unix seconds. `max_age_s` limits the age of plain callbacks, in both directions; None or 0: no limit.
/// `CreateTime` may have any value; the caller checks it.
///
/// # Errors
/// Why the callback is refused, and whether it is authentic.
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

/// Whether the body's root has `Encrypt`. False for a body that cannot be parsed; `open_plain` then refuses it.
fn has_ciphertext(body: &[u8]) -> bool {
    // Most plain bodies are parsed only once thanks to this check. Only JSON can write the name in another way, with a
    // backslash.
    let may_have = || body.windows(7).any(|part| part == b"Encrypt") || body.contains(&b'\\');
    may_have() && read(body, WantedFields::OnlyEncrypt).is_ok_and(|fields| fields.has(CallbackField::Encrypt))
}

/// Checks and decrypts an encrypted body without reading its content: first the signature, then key and appid. For bodies
/// that are not messages, such as a platform's ticket.
///
/// # Errors
/// Why the callback is refused, and whether it is authentic.
pub fn open_envelope(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
) -> Result<cipher::Envelope, Refusal> {
    let outer = read(body, WantedFields::OnlyEncrypt).map_err(|error| Refusal::unproven(error.into()))?;
    if !outer.has(CallbackField::Encrypt) {
        return Err(Refusal::unproven(Cause::NoCiphertext));
    }
    let encrypt =
        outer.text(CallbackField::Encrypt).map_err(|error| Refusal::unproven(error.into()))?.trim_ascii();
    if !signature::is_encrypted_signature_valid(keys, query, encrypt.as_bytes()) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: true }));
    }
    decrypt(keys, encrypt.as_bytes())
}

fn open_encrypted(keys: &AccountKeys, query: &Query<'_>, body: &[u8]) -> Result<Message, Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), WantedFields::Everything);
    let fields = fields.map_err(|error| Refusal::proven(error.into(), None).decrypted())?;
    accept(keys, &fields).map_err(Refusal::decrypted)
}

/// Opens a message that came through a third-party platform; it is always encrypted. Also returns `ToUserName`. Only this
/// field proves which account the message belongs to, because the URL is not signed.
///
/// # Errors
/// Why the callback is refused, and whether it is authentic.
pub fn open_platform_message(
    keys: &AccountKeys,
    query: &Query<'_>,
    body: &[u8],
) -> Result<(Message, Box<str>), Refusal> {
    let envelope = open_envelope(keys, query, body)?;
    let fields = read(envelope.message(), WantedFields::Everything);
    let fields = fields.map_err(|error| Refusal::proven(error.into(), None).decrypted())?;
    let refuse = |error: MalformedBody| Refusal::proven(error.into(), fields.create_time().ok()).decrypted();
    let to_user = fields.name(CallbackField::ToUser).map_err(refuse)?;
    Ok((accept(keys, &fields).map_err(Refusal::decrypted)?, to_user))
}

/// Decrypts with the current key, then with the previous one. If both fail, returns the error of the current key, unless
/// the previous key decrypted the body and only the appid is wrong.
fn decrypt(keys: &AccountKeys, encrypt: &[u8]) -> Result<cipher::Envelope, Refusal> {
    let ciphertext = cipher::decode(encrypt).map_err(|e| Refusal::signed(Cause::Undecryptable(e)))?;
    let tried = keys.aes_keys().try_fold(None, |cause, key| match cipher::decrypt(key, &ciphertext) {
        Ok(envelope) if envelope.appid() == keys.ciphertext_appid().as_bytes() => {
            ControlFlow::Break(envelope)
        }
        Ok(_) => ControlFlow::Continue(Some(Cause::WrongAppid)),
        Err(error) => ControlFlow::Continue(cause.or(Some(Cause::Undecryptable(error)))),
    });
    match tried {
        ControlFlow::Break(envelope) => Ok(envelope),
        ControlFlow::Continue(cause) => Err(Refusal::signed(cause.unwrap_or(Cause::KeyMissing))),
    }
}

struct Freshness {
    now_s: i64,
    max_age_s: u32,
}

impl Freshness {
    /// False for a timestamp that is not a number.
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
    if !signature::is_plain_signature_valid(keys, query) {
        return Err(Refusal::unproven(Cause::WrongSignature { encrypted: false }));
    }
    let is_fresh = freshness.is_fresh(query);
    let read = read(body, WantedFields::Everything);
    // A refusal carries CreateTime if it can be read, so that the time of a lost message is known.
    let create_time = read.as_ref().ok().and_then(|fields| fields.create_time().ok());
    let refuse = |cause| Err(Refusal::proven(cause, create_time));
    // Checked first: a plain signature covers no content, so a callback that is refused for being plain is never passed on.
    if keys.require_encryption() {
        let refused = refuse(Cause::EncryptionRequired);
        return if is_fresh { refused } else { refused.map_err(Refusal::stale) };
    }
    if !is_fresh {
        return refuse(Cause::StaleTimestamp { max_age_s: freshness.max_age_s }).map_err(Refusal::stale);
    }
    let fields = read.map_err(|error| Refusal::proven(error.into(), None))?;
    if fields.has(CallbackField::Encrypt) && !fields.has(CallbackField::FromUser) {
        return refuse(Cause::KeyMissing);
    }
    accept(keys, &fields)
}

/// Checks the receiver and reads the message. The last step for plain and encrypted callbacks.
fn accept(keys: &AccountKeys, fields: &CallbackFields<'_>) -> Result<Message, Refusal> {
    let refuse = |cause| Refusal::proven(cause, fields.create_time().ok());
    if let Some(original_id) = keys.original_id() {
        let to_user = fields.text(CallbackField::ToUser).map_err(|error| refuse(error.into()))?;
        if to_user != original_id {
            return Err(refuse(Cause::WrongToUser));
        }
    }
    fields.message().map_err(|error| refuse(error.into()))
}

/// Parses a body that begins with `{` as JSON, any other as XML.
fn read(body: &[u8], wanted: WantedFields) -> Result<CallbackFields<'_>, MalformedBody> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii_start().starts_with(b"{") {
        json::fields(body, wanted)
    } else {
        xml::fields(body, wanted)
    }
}
