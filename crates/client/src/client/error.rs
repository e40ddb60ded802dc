//! Errors of calls. They can be cloned, because all callers that wait for one token request get its error.

use std::{fmt, sync::Arc};

use crate::{ErrorCode, RangeError, http::HttpError};

/// Why a call returned no rows. No text contains a token or a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// A setting of the client is not valid.
    #[error("{0}")]
    Setting(String),
    /// The client refused the dates. Nothing was sent.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// No answer: host not found, connection refused or lost, time limit, TLS.
    #[error("{call}: no answer: {}", .source.causes())]
    Transport {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// The cause. It does not contain the URL, which has the token in it.
        #[source]
        source: Arc<HttpError>,
    },
    /// An HTTP status other than 200. WeChat always answers 200, so a proxy or another server answered.
    #[error("{call}: HTTP status {status}")]
    Status {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// The HTTP status code.
        status: u16,
    },
    /// The server answered with an `errcode` other than 0.
    #[error("{0}")]
    Refused(Arc<WechatError>),
    /// The answer does not have the documented form.
    #[error("{call}: malformed answer: {problem}")]
    Malformed {
        /// Name of the interface, or `stable_token`.
        call: &'static str,
        /// What is wrong, and where in the answer.
        problem: String,
    },
}

impl ClientError {
    /// WeChat's error code and text, if the server sent them.
    pub fn wechat_error(&self) -> Option<&WechatError> {
        match self {
            ClientError::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the code says that the token is not valid: 40001, 40014 or 42001.
    pub(crate) fn is_token_error(&self) -> bool {
        self.wechat_error().is_some_and(|error| matches!(error.code, 40001 | 40014 | 42001))
    }

    /// Whether the code is -1, "system error". WeChat's documentation asks to try again later.
    pub(crate) fn is_temporary(&self) -> bool {
        self.wechat_error().is_some_and(|error| error.code == -1)
    }
}

/// An error answer, `{"errcode":…,"errmsg":"…"}`, with the hint in its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WechatError {
    /// Name of the interface, or `stable_token`.
    pub call: &'static str,
    /// `errcode` on the wire.
    pub code: i32,
    /// `errmsg` on the wire, including the `rid: …` that WeChat's support asks for.
    pub message: String,
    /// How to correct the request. msgcube sends it, WeChat does not.
    pub hint: Option<Hint>,
}

impl WechatError {
    /// The entry in the table of error codes. None if the interface does not document this code.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::by_number(self.code)
    }
}

impl fmt::Display for WechatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.call, self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({})", hint.english),
            None => Ok(()),
        }
    }
}

/// The decoded headers `X-Msgcube-Hint` and `X-Msgcube-Hint-Zh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The hint in English.
    pub english: String,
    /// The hint in Chinese. None if it was not sent or is not UTF-8.
    pub chinese: Option<String>,
}
