//! Why a callback is refused, how far it had proved itself, and what an operator can do about it.

use super::cipher::CipherError;
use super::fields::Flaw;

/// A refused callback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Refusal {
    cause: Cause,
    proof: Proof,
    create_time: Option<i64>,
    /// It was decrypted, so its content is WeChat's, too.
    decrypted: bool,
}

/// How far a callback had proved that WeChat sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Anyone may have sent it.
    Nothing,
    /// `msg_signature` is right, but the ciphertext did not show the right appid.
    Signature,
    /// Plain: the signature is right, and old: whoever saw it once may send it for ever.
    Stale,
    /// Plain: the signature is right and fresh. Encrypted: msg_signature and appid are right.
    Full,
}

/// What a callback is refused for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// More than 64 KiB.
    #[error(
        "the body is over 64 KiB; WeChat's callbacks are far smaller: check what else posts to this address"
    )]
    BodyTooLarge,
    /// `signature` or `msg_signature` is missing or wrong.
    #[error(
        "{} does not fit the account's (or platform's) token: set token to the Token of its server configuration \
         (while changing it, keep the former one as token_previous)",
        if *.encrypted { "msg_signature" } else { "signature" }
    )]
    WrongSignature {
        /// Whether it is `msg_signature` that decides.
        encrypted: bool,
    },
    /// A GET without `echostr`.
    #[error(
        "the query has no echostr: this address answers WeChat's check and takes its POSTs, nothing else"
    )]
    EchostrMissing,
    /// The query says encrypted, the body is not.
    #[error(
        "the query says encrypted, but the body has no Encrypt: check that a proxy passes both on unchanged"
    )]
    NoCiphertext,
    /// `msg_signature` is right, but no key opens it.
    #[error(
        "no key of this account opens it ({0}): set encoding_aes_key to the EncodingAESKey of the account's server \
         configuration (while changing it, keep the former one as encoding_aes_key_previous)"
    )]
    Undecryptable(CipherError),
    /// The ciphertext ends with another appid.
    #[error(
        "it is encrypted for another appid: check that each account's callback address ends with its own appid, and that \
         of a platform has the platform's"
    )]
    WrongAppid,
    /// A document type declaration.
    #[error("it has a document type declaration; WeChat's callbacks never have one, so nothing more is read")]
    DocumentType,
    /// A safe-mode body, and no key.
    #[error(
        "it is in safe mode and the account has no key: set encoding_aes_key, or choose plain text at WeChat"
    )]
    KeyMissing,
    /// A plain callback where encryption is required.
    #[error(
        "it is plain and require_encryption is true, so nothing is counted or passed on: choose safe mode at WeChat, \
         or set require_encryption = false"
    )]
    EncryptionRequired,
    /// A plain callback's timestamp is too old or too far ahead.
    #[error(
        "it is plain and its timestamp is more than {max_age_s} s from this machine's time, so nothing is counted or \
         passed on: check the clock, raise callback_max_age_s if it was delayed, or choose safe mode at WeChat, which \
         has no such limit"
    )]
    StaleTimestamp {
        /// The limit in seconds.
        max_age_s: u32,
    },
    /// Another account's message.
    #[error(
        "its ToUserName is not the account's original_id: correct original_id, or the callback address at WeChat"
    )]
    WrongToUser,
    /// Through a third-party platform that did not bring the account.
    #[error(
        "this account's messages are not taken through the platform {component}, which did not bring it: if they are to \
         be, name that in components of its [[account]], or by `msgcube account set APPID 'components=[\"{component}\"]'`"
    )]
    NotOfPlatform {
        /// The platform.
        component: String,
    },
    /// Not a callback message.
    #[error("the body is no callback message: {0}")]
    Malformed(Flaw),
}

impl From<Flaw> for Cause {
    fn from(flaw: Flaw) -> Cause {
        if flaw == Flaw::DocumentType { Cause::DocumentType } else { Cause::Malformed(flaw) }
    }
}

impl Cause {
    /// The label in metrics.
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

    /// The HTTP status of the answer.
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

    /// To an account that has nothing to check callbacks with.
    pub fn without_keys() -> Refusal {
        Refusal::unproven(Cause::KeyMissing)
    }

    /// A message that came through a third-party platform and is another account's.
    pub fn of_another_account(create_time: i64) -> Refusal {
        Refusal::proven(Cause::WrongToUser, Some(create_time)).decrypted()
    }

    /// A message that came through a third-party platform which did not bring its account.
    pub fn not_of_platform(component: &str, create_time: i64) -> Refusal {
        let cause = Cause::NotOfPlatform { component: component.to_owned() };
        Refusal::proven(cause, Some(create_time)).decrypted()
    }

    /// The same of a message that was decrypted.
    pub(super) fn decrypted(self) -> Refusal {
        Refusal { decrypted: true, ..self }
    }

    /// The same of one whose signature is too old to prove anything.
    pub(super) fn stale(self) -> Refusal {
        Refusal { proof: self.proof.min(Proof::Stale), ..self }
    }

    /// What it is refused for.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The label in metrics, such as `wrong_signature`.
    pub fn reason(&self) -> &'static str {
        self.cause.reason()
    }

    /// What tells it apart from others of its reason: a closed set, none of it from outside.
    pub fn fault(&self) -> (&'static str, &'static str) {
        match &self.cause {
            Cause::Malformed(flaw) => flaw.sort(),
            Cause::Undecryptable(error) => ("undecryptable", error.name()),
            Cause::WrongSignature { encrypted: true } => ("encrypted", ""),
            _ => ("", ""),
        }
    }

    /// The HTTP status of the answer, always 4xx.
    pub fn status(&self) -> u16 {
        self.cause.status()
    }

    /// How far it had proved that WeChat sent it.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Whether the signature (encrypted: msg_signature and appid) was right, and not too old: then a real message was
    /// lost here, which is a gap in what is covered.
    pub fn authentic(&self) -> bool {
        self.proof == Proof::Full
    }

    /// Whether what it says is proven, too: a plain signature proves no content.
    pub fn content_is_proven(&self) -> bool {
        self.authentic() && self.decrypted
    }

    /// Whether an account's relay may still pass it on: rightly signed, and without a document type declaration. A plain
    /// signature covers no content: where it is too old, or encryption is required, whoever saw one address could speak
    /// to the bot.
    pub fn may_be_relayed(&self) -> bool {
        self.authentic() && !matches!(self.cause, Cause::DocumentType | Cause::EncryptionRequired)
    }

    /// `CreateTime` in Unix seconds, if it could be read from an authentic body. Not checked for plausibility.
    pub fn create_time(&self) -> Option<i64> {
        self.create_time
    }
}

/// How refusals of plain callbacks begin for what their signature does not cover.
const PLAIN: &str = "it is plain and ";

/// Whether the answer to a callback says that it was refused for being plain, or for being plain and too old.
pub fn is_refused_as_plain(answer: &[u8]) -> bool {
    answer.starts_with(PLAIN.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_being_plain_is_known_by_its_text() {
        for cause in [Cause::EncryptionRequired, Cause::StaleTimestamp { max_age_s: 9 }] {
            assert!(is_refused_as_plain(cause.to_string().as_bytes()), "{cause}");
        }
        assert!(!is_refused_as_plain(Cause::KeyMissing.to_string().as_bytes()));
    }
}
