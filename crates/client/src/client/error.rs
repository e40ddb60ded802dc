//! What can go wrong with a call. Cloneable, because one failed token request answers all who waited for it.

use std::{fmt, sync::Arc};

use crate::{ErrorCode, RangeError, http::HttpError};

/// Why a call gave no rows. None of the texts holds a token or a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be built from these settings.
    #[error("{0}")]
    Setting(String),
    /// The dates were refused before anything was sent.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// No answer: name not found, connection refused or lost, time-out, TLS.
    #[error("{call}: no answer: {}", .source.causes())]
    Transport {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// The cause, without the URL, which would show the token.
        #[source]
        source: Arc<HttpError>,
    },
    /// An HTTP status other than 200. WeChat answers 200 to everything, so this comes from something in between.
    #[error("{call}: HTTP status {status}")]
    Status {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// The status.
        status: u16,
    },
    /// The server refused: `errcode` other than 0.
    #[error("{0}")]
    Refused(Arc<Refusal>),
    /// The answer is not what the interface promises.
    #[error("{call}: malformed answer: {problem}")]
    Malformed {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// Where and what.
        problem: String,
    },
}

impl ClientError {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether WeChat's code says that the token is no longer good: 40001, 42001, or 40014 of other interfaces.
    pub(crate) fn is_about_the_token(&self) -> bool {
        self.refusal().is_some_and(|refusal| matches!(refusal.code, 40001 | 40014 | 42001))
    }

    /// Whether the code is -1, "system error": WeChat asks to try again a little later.
    pub(crate) fn is_passing(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == -1)
    }
}

/// `{"errcode":…,"errmsg":"…"}` with what the answer's headers say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Name of the interface, or `stable_token`.
    pub call: &'static str,
    /// `errcode`
    pub code: i32,
    /// `errmsg`, with the `rid: …` that WeChat's support asks for.
    pub message: String,
    /// What would have been right, if the server says so (msgcube does, WeChat does not).
    pub hint: Option<Hint>,
}

impl Refusal {
    /// The entry of the table of codes, if the interface documents this one.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::by_number(self.code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.call, self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({})", hint.english),
            None => Ok(()),
        }
    }
}

/// The headers `X-Msgcube-Hint` and `X-Msgcube-Hint-Zh`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// In English.
    pub english: String,
    /// In Chinese, if it was sent and is UTF-8.
    pub chinese: Option<String>,
}
