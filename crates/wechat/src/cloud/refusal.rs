//! Why a cloud call is refused, as the cloud says it, and what would be right.

use i18n::{Text, text};

/// Why a cloud call is refused before an interface was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    BodyTooLarge,
    BodyIncomplete,
    /// All bodies that are being read hold too much memory already.
    Busy,
    NoForm,
    NoAuthorization,
    UnknownSecretId,
    WrongSignature,
    Clock,
    UnknownEnv,
    UnknownAction,
    NoMessage,
    NoJson,
    AppidNotAllowed,
    UnknownApi,
    /// The interface was asked, and what came back is no answer of WeChat's.
    NoAnswer,
}

/// What is said of a refusal.
struct Words {
    /// For the metrics and the log.
    reason: &'static str,
    /// The cloud's code.
    code: &'static str,
    /// The cloud's text where it is known, else ours.
    text: &'static str,
    /// What would be right.
    remedy: Text,
}

impl Refusal {
    /// Its short name.
    pub fn reason(self) -> &'static str {
        self.words().reason
    }

    /// What the caller is told: code and message.
    pub fn told(self) -> (&'static str, String) {
        let words = self.words();
        (words.code, format!("{}; {}", words.text, words.remedy.english()))
    }

    /// What would be right.
    pub fn remedy(self) -> Text {
        self.words().remedy
    }

    /// The code in place of an answer, where WeChat and not the cloud refuses.
    pub fn error_code(self) -> Option<i32> {
        match self {
            Refusal::UnknownApi => Some(-604_100),
            Refusal::NoAnswer | Refusal::Busy => Some(-604_103),
            _ => None,
        }
    }

    fn words(self) -> Words {
        let words = |reason, code, text, remedy| Words { reason, code, text, remedy };
        match self {
            Refusal::BodyTooLarge | Refusal::BodyIncomplete | Refusal::Busy | Refusal::NoForm => {
                self.words_of_body()
            }
            Refusal::NoAuthorization
            | Refusal::UnknownSecretId
            | Refusal::WrongSignature
            | Refusal::Clock => self.words_of_signature(),
            Refusal::UnknownEnv => words(
                "unknown_env",
                "INVALID_ENV",
                "Env invalid",
                text!("the env given to cloud.init must be env of the [[cloud]] with this secret_id"),
            ),
            Refusal::UnknownAction => words(
                "unknown_action",
                "INVALID_ACTION",
                "invalid action",
                text!("only cloud.openapi is answered here, not databases, files or functions"),
            ),
            Refusal::NoMessage => words(
                "no_message",
                "INVALID_PARAM",
                "requestData is no call",
                text!("wx-server-sdk sends a CommApiData in protobuf there"),
            ),
            Refusal::NoJson => words(
                "no_json",
                "INVALID_PARAM",
                "a parameter in requestData is no JSON",
                text!("each value is a JSON text, like \"2014-12-07\" with its quotes"),
            ),
            Refusal::AppidNotAllowed => words(
                "appid_not_allowed",
                "INVALID_COMMON_PARAM",
                "wx api error: -605108, appid unauthorized",
                text!("add the appid to appids of this [[cloud]]; it must be an account that is served here"),
            ),
            Refusal::UnknownApi => words(
                "unknown_api",
                "",
                "API not found",
                text!(
                    "the seven below officialAccount.datacube that begin with getUpstreamMsg are answered here"
                ),
            ),
            Refusal::NoAnswer => words(
                "no_answer",
                "",
                "call open API system error",
                text!("WeChat could not be asked; see the server's log"),
            ),
        }
    }

    fn words_of_body(self) -> Words {
        let words = |reason, code, text, remedy| Words { reason, code, text, remedy };
        match self {
            Refusal::BodyTooLarge => words(
                "body_too_large",
                "EXCEED_REQUEST_SIZE_LIMIT",
                "request size exceeds limit",
                text!("at most 1 MiB"),
            ),
            Refusal::BodyIncomplete => {
                words("body_incomplete", "INVALID_PARAM", "the body did not arrive", text!("it has 30 s"))
            }
            Refusal::Busy => words(
                "busy",
                "",
                "call open API system error",
                text!("too many bodies are being read at the moment; try again"),
            ),
            _ => words(
                "no_form",
                "INVALID_PARAM",
                "the body is no form",
                text!("send multipart/form-data with each field once, at most 32, as wx-server-sdk does"),
            ),
        }
    }

    fn words_of_signature(self) -> Words {
        let words = |reason, text, remedy| Words { reason, code: "SIGN_PARAM_INVALID", text, remedy };
        match self {
            Refusal::UnknownSecretId => words(
                "unknown_secret_id",
                "secret id error",
                text!("the secretId given to cloud.init must be secret_id of a [[cloud]]"),
            ),
            Refusal::WrongSignature => words(
                "wrong_signature",
                "signature error",
                text!(
                    "check secretKey against secret_key of the [[cloud]], and that a proxy passes Host and path on unchanged"
                ),
            ),
            Refusal::Clock => words(
                "clock",
                "signature is expired",
                text!(
                    "X-Timestamp may differ from the server's clock by 600 s at most; set the clocks right"
                ),
            ),
            _ => words(
                "no_authorization",
                "no signature",
                text!("wx-server-sdk signs with TC3-HMAC-SHA256: Authorization and X-Timestamp"),
            ),
        }
    }
}
