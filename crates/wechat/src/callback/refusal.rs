//! Refused callbacks: the cause, whether the callback is authentic, and what an operator can do.

use super::cipher::CipherError;
use super::fields::MalformedBody;

/// A refused callback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Refusal {
    cause: Cause,
    proof: Proof,
    create_time: Option<i64>,
    /// The body was decrypted, so its content is authentic, too.
    decrypted: bool,
}

/// How far it is proven that WeChat sent a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Not at all: anyone may have sent it.
    Nothing,
    /// `msg_signature` is correct. The ciphertext could not be decrypted or has another appid.
    Signature,
    /// Plain callback with a correct but old signature. Anyone who has seen the request could have sent it again.
    Stale,
    /// Plain callback with a correct, recent signature, or encrypted callback with correct msg_signature and appid.
    Full,
}

/// Why a callback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The body is over 64 KiB.
    #[error(
        "the body is over 64 KiB; WeChat's callbacks are far smaller: check what else posts to this address"
    )]
    BodyTooLarge,
    /// `signature` or `msg_signature` is missing or wrong.
    #[error(
        "{} does not match the account's (or platform's) token: set token to the Token of its server configuration \
         (while changing it, keep the former one as token_previous)",
        if *.encrypted { "msg_signature" } else { "signature" }
    )]
    WrongSignature {
        /// True if `msg_signature` was checked, false if `signature` was.
        encrypted: bool,
    },
    /// The request is a GET without `echostr`.
    #[error("the query has no echostr: this address accepts only WeChat's check and its POSTs")]
    EchostrMissing,
    /// The query says that the body is encrypted, and the body has no `Encrypt`.
    #[error(
        "the query says encrypted, but the body has no Encrypt: check that the proxy passes both on unchanged"
    )]
    NoCiphertext,
    /// `msg_signature` is correct, and no key decrypts the body.
    #[error(
        "no key of this account decrypts it ({0}): set encoding_aes_key to the EncodingAESKey of the account's server \
         configuration (while changing it, keep the former one as encoding_aes_key_previous)"
    )]
    Undecryptable(CipherError),
    /// The ciphertext contains another appid.
    #[error(
        "it is encrypted for another appid: check that each account's callback address ends with its own appid, and that \
         of a platform has the platform's"
    )]
    WrongAppid,
    /// The body has a document type declaration.
    #[error("it has a document type declaration; WeChat's callbacks never have one, so nothing more is read")]
    DocumentType,
    /// The body is in safe mode and the account has no key.
    #[error(
        "it is in safe mode and the account has no key: set encoding_aes_key, or choose plain text at WeChat"
    )]
    KeyMissing,
    /// The callback is plain and the account requires encryption.
    #[error(
        "it is plain and require_encryption is true, so nothing is counted or passed on: choose safe mode at WeChat, \
         or set require_encryption = false"
    )]
    EncryptionRequired,
    /// The callback is plain and its timestamp is too old or too far in the future.
    #[error(
        "it is plain and its timestamp is more than {max_age_s} s from this machine's time, so nothing is counted or \
         passed on: check the clock, raise callback_max_age_s if it was delayed, or choose safe mode at WeChat, which \
         has no such limit"
    )]
    StaleTimestamp {
        /// The limit in seconds.
        max_age_s: u32,
    },
    /// `ToUserName` is not the account's original id.
    #[error(
        "its ToUserName is not the account's original_id: correct original_id, or the callback address at WeChat"
    )]
    WrongToUser,
    /// The message came through a platform whose messages this account does not accept.
    #[error(
        "this account does not accept messages through the platform {component}: to accept them, add it to components of \
         its [[account]], or run `msgcube account set APPID 'components=[\"{component}\"]'`"
    )]
    NotOfPlatform {
        /// The appid of the platform.
        component: String,
    },
    /// The body is not a callback message.
    #[error("the body is not a callback message: {0}")]
    Malformed(MalformedBody),
}

impl From<MalformedBody> for Cause {
    fn from(error: MalformedBody) -> Cause {
        if error == MalformedBody::DocumentType { Cause::DocumentType } else { Cause::Malformed(error) }
    }
}

impl Cause {
    /// The label value in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Cause::BodyTooLarge => "body_too_large",
            Cause::WrongSignature { .. } => "wrong_signature",
            Cause::EchostrMissing => "echostr_missing",
            Cause::NoCiphertext => "no_ciphertext",
            Cause::Undecryptable(_) => "undecryptable",
            Cause::WrongAppid => "wrong_appid",
            Cause::DocumentType => "document_type",
            Cause::KeyMissing => "key_missing",
            Cause::EncryptionRequired => "encryption_required",
            Cause::StaleTimestamp { .. } => "stale_timestamp",
            Cause::WrongToUser => "wrong_to_user",
            Cause::NotOfPlatform { .. } => "not_of_platform",
            Cause::Malformed(_) => "malformed",
        }
    }

    /// The HTTP status code of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Cause::WrongSignature { .. }
            | Cause::EchostrMissing
            | Cause::EncryptionRequired
            | Cause::StaleTimestamp { .. } => 401,
            Cause::WrongAppid | Cause::WrongToUser | Cause::NotOfPlatform { .. } => 403,
            Cause::BodyTooLarge => 413,
            _ => 400,
        }
    }
}

impl Refusal {
    pub(super) fn unproven(cause: Cause) -> Refusal {
        Refusal { cause, proof: Proof::Nothing, create_time: None, decrypted: false }
    }

    pub(super) fn signed(cause: Cause) -> Refusal {
        Refusal { cause, proof: Proof::Signature, create_time: None, decrypted: false }
    }

    pub(super) fn proven(cause: Cause, create_time: Option<i64>) -> Refusal {
        Refusal { cause, proof: Proof::Full, create_time, decrypted: false }
    }

    /// The account has no token to check callbacks with.
    pub fn without_keys() -> Refusal {
        Refusal::unproven(Cause::KeyMissing)
    }

    /// A message that came through a platform belongs to another account. `create_time` is in Unix seconds.
    pub fn of_another_account(create_time: i64) -> Refusal {
        Refusal::proven(Cause::WrongToUser, Some(create_time)).decrypted()
    }

    /// A message came through the platform with appid `component`, and the account does not accept messages from it.
    /// `create_time` is in Unix seconds.
    pub fn not_of_platform(component: &str, create_time: i64) -> Refusal {
        let cause = Cause::NotOfPlatform { component: component.to_owned() };
        Refusal::proven(cause, Some(create_time)).decrypted()
    }

    /// Marks the refused message as decrypted.
    pub(super) fn decrypted(self) -> Refusal {
        Refusal { decrypted: true, ..self }
    }

    /// Marks the signature as too old to prove who sent the callback.
    pub(super) fn stale(self) -> Refusal {
        Refusal { proof: self.proof.min(Proof::Stale), ..self }
    }

    /// Why the callback is refused.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The label value in metrics, such as `wrong_signature`.
    pub fn reason(&self) -> &'static str {
        self.cause.reason()
    }

    /// Two names that tell apart refusals of the same reason. They are fixed texts and contain nothing of the callback.
    pub fn detail(&self) -> (&'static str, &'static str) {
        match &self.cause {
            Cause::Malformed(error) => error.kind(),
            Cause::Undecryptable(error) => ("undecryptable", error.name()),
            Cause::WrongSignature { encrypted: true } => ("encrypted", ""),
            _ => ("", ""),
        }
    }

    /// The HTTP status code of the answer, always 4xx.
    pub fn status(&self) -> u16 {
        self.cause.status()
    }

    /// How far it is proven that WeChat sent the callback.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Whether WeChat sent the callback: the signature is correct and recent, or msg_signature and appid are correct. If so,
    /// a real message is lost, and its time must be recorded as a gap.
    pub fn is_authentic(&self) -> bool {
        self.proof == Proof::Full
    }

    /// Whether the content is proven, too. A plain signature does not cover the content.
    pub fn is_content_authentic(&self) -> bool {
        self.is_authentic() && self.decrypted
    }

    /// Whether the relay may pass the callback on: it is authentic and has no document type declaration. Plain callbacks are
    /// not passed on if they are too old or encryption is required: their signature covers no content, so anyone who has
    /// seen one URL could send messages to the bot.
    pub fn may_be_relayed(&self) -> bool {
        self.is_authentic() && !matches!(self.cause, Cause::DocumentType | Cause::EncryptionRequired)
    }

    /// `CreateTime` in Unix seconds. None if the body is not authentic or has no such field. May have any value.
    pub fn create_time(&self) -> Option<i64> {
        self.create_time
    }
}

/// How the texts of refusals begin that reject a callback because it is plain.
const PLAIN: &str = "it is plain and ";

/// Whether the answer of a server says that it refused a callback because it is plain, or plain and too old.
pub fn is_refused_as_plain(answer: &[u8]) -> bool {
    answer.starts_with(PLAIN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_plain_callback_is_recognised_by_its_text() {
        for cause in [Cause::EncryptionRequired, Cause::StaleTimestamp { max_age_s: 9 }] {
            assert!(is_refused_as_plain(cause.to_string().as_bytes()), "{cause}");
        }
        assert!(!is_refused_as_plain(Cause::KeyMissing.to_string().as_bytes()));
    }
}
