//! Why a cloud call is refused, as the cloud says it, and what would be right.

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
    en: &'static str,
    zh: &'static str,
}

impl Refusal {
    /// Its short name.
    pub fn reason(self) -> &'static str {
        self.words().reason
    }

    /// What the caller is told: code and message.
    pub fn told(self) -> (&'static str, String) {
        let words = self.words();
        (words.code, format!("{}; {}", words.text, words.en))
    }

    /// The remedy in English and in Chinese.
    pub fn remedy(self) -> (&'static str, &'static str) {
        (self.words().en, self.words().zh)
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
        let words = |reason, code, text, en, zh| Words { reason, code, text, en, zh };
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
                "the env given to cloud.init must be env of the [[cloud]] with this secret_id",
                "cloud.init 的 env 须与配置 [[cloud]] 中同一 secret_id 的 env 一致",
            ),
            Refusal::UnknownAction => words(
                "unknown_action",
                "INVALID_ACTION",
                "invalid action",
                "only cloud.openapi is answered here, not databases, files or functions",
                "本服务只支持 cloud.openapi，不支持数据库、存储和云函数",
            ),
            Refusal::NoMessage => words(
                "no_message",
                "INVALID_PARAM",
                "requestData is no call",
                "wx-server-sdk sends a CommApiData in protobuf there",
                "requestData 应为 protobuf 编码的 CommApiData",
            ),
            Refusal::NoJson => words(
                "no_json",
                "INVALID_PARAM",
                "a parameter in requestData is no JSON",
                "each value is a JSON text, like \"2014-12-07\" with its quotes",
                "requestData 中每个参数的值须为 JSON，如带引号的 \"2014-12-07\"",
            ),
            Refusal::AppidNotAllowed => words(
                "appid_not_allowed",
                "INVALID_COMMON_PARAM",
                "wx api error: -605108, appid unauthorized",
                "add the appid to appids of this [[cloud]]; it must be an account that is served here",
                "请将该 appid 加入此 [[cloud]] 的 appids，且须为本服务中的公众号",
            ),
            Refusal::UnknownApi => words(
                "unknown_api",
                "",
                "API not found",
                "the seven below officialAccount.datacube that begin with getUpstreamMsg are answered here",
                "本服务只支持 officialAccount.datacube 下的七个 getUpstreamMsg 接口",
            ),
            Refusal::NoAnswer => words(
                "no_answer",
                "",
                "call open API system error",
                "WeChat could not be asked; see the server's log",
                "无法向微信查询，见服务日志",
            ),
        }
    }

    fn words_of_body(self) -> Words {
        let words = |reason, code, text, en, zh| Words { reason, code, text, en, zh };
        match self {
            Refusal::BodyTooLarge => words(
                "body_too_large",
                "EXCEED_REQUEST_SIZE_LIMIT",
                "request size exceeds limit",
                "at most 1 MiB",
                "请求体不能超过 1 MiB",
            ),
            Refusal::BodyIncomplete => words(
                "body_incomplete",
                "INVALID_PARAM",
                "the body did not arrive",
                "it has 30 s",
                "请求体须在 30 秒内到达",
            ),
            Refusal::Busy => words(
                "busy",
                "",
                "call open API system error",
                "too many bodies are being read at the moment; try again",
                "当前接收的请求体过多，请重试",
            ),
            _ => words(
                "no_form",
                "INVALID_PARAM",
                "the body is no form",
                "send multipart/form-data with each field once, at most 32, as wx-server-sdk does",
                "请像 wx-server-sdk 一样发送 multipart/form-data，字段不重复，最多 32 个",
            ),
        }
    }

    fn words_of_signature(self) -> Words {
        let words = |reason, text, en, zh| Words { reason, code: "SIGN_PARAM_INVALID", text, en, zh };
        match self {
            Refusal::UnknownSecretId => words(
                "unknown_secret_id",
                "secret id error",
                "the secretId given to cloud.init must be secret_id of a [[cloud]]",
                "cloud.init 的 secretId 须为某个 [[cloud]] 的 secret_id",
            ),
            Refusal::WrongSignature => words(
                "wrong_signature",
                "signature error",
                "check secretKey against secret_key of the [[cloud]], and that a proxy passes Host and path on unchanged",
                "请核对 secretKey 与 [[cloud]] 的 secret_key，并确认反向代理原样转发 Host 和路径",
            ),
            Refusal::Clock => words(
                "clock",
                "signature is expired",
                "X-Timestamp may differ from the server's clock by 600 s at most; set the clocks right",
                "X-Timestamp 与服务器时间相差不能超过 600 秒，请校准时钟",
            ),
            _ => words(
                "no_authorization",
                "no signature",
                "wx-server-sdk signs with TC3-HMAC-SHA256: Authorization and X-Timestamp",
                "请求须带 TC3-HMAC-SHA256 签名：Authorization 和 X-Timestamp",
            ),
        }
    }
}
