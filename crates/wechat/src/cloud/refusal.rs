//! Reasons for refusing a cloud call, with the codes and texts of the cloud and a remedy.

use i18n::{Text, text};

/// Why a cloud call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudRefusal {
    /// The body is over 1 MiB.
    BodyTooLarge,
    /// The body did not arrive within the time limit.
    BodyIncomplete,
    /// The bodies that are being read already use all memory that is set aside for them.
    Busy,
    /// The body is not a multipart form, or has too many or repeated fields.
    NoForm,
    /// The headers of the signature are missing or malformed.
    NoAuthorization,
    /// No `[[cloud]]` has this secret_id.
    UnknownSecretId,
    /// The signature does not match the request and the secret_key.
    WrongSignature,
    /// The time of the signature is too far from the server's clock.
    Clock,
    /// The `[[cloud]]` has another env.
    UnknownEnv,
    /// The action is not a call of an interface.
    UnknownAction,
    /// `requestData` is not a protobuf message of a call.
    NoMessage,
    /// A parameter is not JSON.
    NoJson,
    /// The `[[cloud]]` may not ask for this account.
    AppidNotAllowed,
    /// No interface has this name.
    UnknownApi,
    /// The interface was called, and its answer cannot be passed on.
    NoAnswer,
}

/// The texts for one reason.
struct RefusalTexts {
    /// The name in metrics and the log.
    reason: &'static str,
    /// The error code of the cloud.
    code: &'static str,
    /// The error text of the cloud where it is known, otherwise our own.
    text: &'static str,
    /// How to correct the call.
    remedy: Text,
}

impl CloudRefusal {
    /// The name in metrics and the log.
    pub fn reason(self) -> &'static str {
        self.texts().reason
    }

    /// Code and message of the answer. The message is in English.
    pub fn code_and_message(self) -> (&'static str, String) {
        let texts = self.texts();
        (texts.code, format!("{}; {}", texts.text, texts.remedy.english()))
    }

    /// How to correct the call.
    pub fn remedy(self) -> Text {
        self.texts().remedy
    }

    /// WeChat's error code, for refusals that come from WeChat and not from the cloud.
    pub fn error_code(self) -> Option<i32> {
        match self {
            CloudRefusal::UnknownApi => Some(-604_100),
            CloudRefusal::NoAnswer | CloudRefusal::Busy => Some(-604_103),
            _ => None,
        }
    }

    fn texts(self) -> RefusalTexts {
        let texts = |reason, code, text, remedy| RefusalTexts { reason, code, text, remedy };
        match self {
            CloudRefusal::BodyTooLarge
            | CloudRefusal::BodyIncomplete
            | CloudRefusal::Busy
            | CloudRefusal::NoForm => self.body_texts(),
            CloudRefusal::NoAuthorization
            | CloudRefusal::UnknownSecretId
            | CloudRefusal::WrongSignature
            | CloudRefusal::Clock => self.signature_texts(),
            CloudRefusal::UnknownEnv => texts(
                "unknown_env",
                "INVALID_ENV",
                "Env invalid",
                text!("the env given to cloud.init must be env of the [[cloud]] with this secret_id"),
            ),
            CloudRefusal::UnknownAction => texts(
                "unknown_action",
                "INVALID_ACTION",
                "invalid action",
                text!("only cloud.openapi is answered here, not databases, files or functions"),
            ),
            CloudRefusal::NoMessage => texts(
                "no_message",
                "INVALID_PARAM",
                "requestData is not a call",
                text!("wx-server-sdk sends a CommApiData in protobuf there"),
            ),
            CloudRefusal::NoJson => texts(
                "no_json",
                "INVALID_PARAM",
                "a parameter in requestData is not JSON",
                text!("each value is a JSON text, like \"2014-12-07\" with its quotes"),
            ),
            CloudRefusal::AppidNotAllowed => texts(
                "appid_not_allowed",
                "INVALID_COMMON_PARAM",
                "wx api error: -605108, appid unauthorized",
                text!("add the appid to appids of this [[cloud]]; it must be an account that is served here"),
            ),
            CloudRefusal::UnknownApi => texts(
                "unknown_api",
                "",
                "API not found",
                text!(
                    "this server has only the seven interfaces whose names begin with officialAccount.datacube.getUpstreamMsg"
                ),
            ),
            CloudRefusal::NoAnswer => texts(
                "no_answer",
                "",
                "call open API system error",
                text!("WeChat could not be asked; see the server's log"),
            ),
        }
    }

    fn body_texts(self) -> RefusalTexts {
        let texts = |reason, code, text, remedy| RefusalTexts { reason, code, text, remedy };
        match self {
            CloudRefusal::BodyTooLarge => texts(
                "body_too_large",
                "EXCEED_REQUEST_SIZE_LIMIT",
                "request size exceeds limit",
                text!("at most 1 MiB"),
            ),
            CloudRefusal::BodyIncomplete => texts(
                "body_incomplete",
                "INVALID_PARAM",
                "the body did not arrive",
                text!("the body must arrive within 30 s"),
            ),
            CloudRefusal::Busy => texts(
                "busy",
                "",
                "call open API system error",
                text!("too many bodies are being read at the moment; try again"),
            ),
            _ => texts(
                "no_form",
                "INVALID_PARAM",
                "the body is not a form",
                text!("send multipart/form-data with each field once, at most 32, as wx-server-sdk does"),
            ),
        }
    }

    fn signature_texts(self) -> RefusalTexts {
        let texts = |reason, text, remedy| RefusalTexts { reason, code: "SIGN_PARAM_INVALID", text, remedy };
        match self {
            CloudRefusal::UnknownSecretId => texts(
                "unknown_secret_id",
                "secret id error",
                text!("the secretId given to cloud.init must be secret_id of a [[cloud]]"),
            ),
            CloudRefusal::WrongSignature => texts(
                "wrong_signature",
                "signature error",
                text!(
                    "check secretKey against secret_key of the [[cloud]], and that a proxy passes Host and path on unchanged"
                ),
            ),
            CloudRefusal::Clock => texts(
                "clock",
                "signature is expired",
                text!(
                    "X-Timestamp may differ from the server's clock by 600 s at most; set the clocks right"
                ),
            ),
            _ => texts(
                "no_authorization",
                "no signature",
                text!("wx-server-sdk signs with TC3-HMAC-SHA256: Authorization and X-Timestamp"),
            ),
        }
    }
}
