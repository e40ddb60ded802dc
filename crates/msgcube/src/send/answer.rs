//! What came back, and what it means: the next step is named for everything but success. That a message is counted is only
//! said where the account's figures show it.

use axum::http::Response;
use bytes::Bytes;
use i18n::Lang;
use msgcube_client::http::HttpError;
use wechat::callback;

use super::figures::Counting;
use crate::chinese;

/// An answer with what the account's figures say of it.
pub(super) struct Told {
    pub(super) answer: Answer,
    pub(super) counting: Counting,
    /// The same message may have been counted before.
    pub(super) may_be_repeat: bool,
}

/// What became of a callback.
#[derive(Debug)]
pub(super) struct Answer {
    outcome: Outcome,
    took_ms: u64,
}

#[derive(Debug)]
enum Outcome {
    Answered {
        status: u16,
        body: String,
    },
    /// No connection was made.
    Unreachable(String),
    /// Connected, and closed or left without an answer.
    Silence(String),
}

impl Answer {
    pub(super) fn of(sent: Result<Response<Bytes>, HttpError>, took_ms: u64) -> Answer {
        let outcome = match sent {
            Ok(response) => Outcome::Answered {
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body()).into_owned(),
            },
            Err(error) if error.is_connect() => Outcome::Unreachable(error.root()),
            Err(error) => Outcome::Silence(error.root()),
        };
        Answer { outcome, took_ms }
    }

    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Answered { status: 200..=299, .. })
    }

    fn meaning(&self) -> Meaning {
        match &self.outcome {
            Outcome::Answered { status: 200..=299, body } if body == "success" => SUCCESS,
            Outcome::Answered { status: 200..=299, .. } => REPLY,
            Outcome::Answered { status: 401, body } if callback::is_refused_as_plain(body.as_bytes()) => {
                REFUSED
            }
            Outcome::Answered { status: 401, .. } => WRONG_SIGNATURE,
            Outcome::Answered { status: 404, .. } => NOT_FOUND,
            Outcome::Answered { status: 400..=499, .. } => REFUSED,
            Outcome::Answered { .. } => BROKEN,
            Outcome::Unreachable(_) => UNREACHABLE,
            Outcome::Silence(_) => SILENCE,
        }
    }
}

impl Told {
    /// Accepted, and not known to be missing in the figures.
    pub(super) fn is_well(&self) -> bool {
        let is_missing = self.counting.is_counted() == Some(false) && !self.may_be_repeat;
        self.answer.is_accepted() && !is_missing
    }

    pub(super) fn json(&self, url: &str) -> String {
        let (status, body, error) = match &self.answer.outcome {
            Outcome::Answered { status, body } => (Some(*status), Some(body), None),
            Outcome::Unreachable(error) | Outcome::Silence(error) => (None, None, Some(error)),
        };
        serde_json::json!({
            "url": url, "accepted": self.answer.is_accepted(), "counted": self.counting.is_counted(), "status": status,
            "answer": body, "error": error, "took_ms": self.answer.took_ms
        })
        .to_string()
    }

    pub(super) fn text(&self, lang: Lang, url: &str) -> String {
        let Answer { outcome, took_ms } = &self.answer;
        let what = match outcome {
            Outcome::Answered { status, body } => format!("{status} {}", body.trim_end()),
            Outcome::Unreachable(error) | Outcome::Silence(error) => chinese::error(lang, error),
        };
        let meaning = self.answer.meaning().text(lang);
        let counted = if self.answer.is_accepted() { self.counted(lang) } else { String::new() };
        format!("POST {url}\n{what} ({took_ms} ms)\n{meaning}{counted}")
    }

    /// What the figures say of a message that was accepted.
    fn counted(&self, lang: Lang) -> String {
        let (figures, before, after) = match &self.counting {
            Counting::Unasked | Counting::Before { .. } => return format!("\n{}", UNASKED.text(lang)),
            Counting::Unknown(error) => {
                let why = error.in_lang(lang);
                return lang.pick(
                    format!("\nWhether it is counted could not be asked: {why}"),
                    format!("\n无法查询是否已计入：{why}"),
                );
            }
            Counting::Seen { figures, before, after } => (figures, before, after),
        };
        let (kind, day, server) = (figures.kind(), figures.day(), figures.server());
        let seen = lang.pick(
            format!("{server}, messages of type {kind} on {day}: {before} before, {after} after."),
            format!("{server}，{day} 类型 {kind} 的消息数：推送前 {before}，推送后 {after}。"),
        );
        let meaning = match (self.counting.is_counted(), self.may_be_repeat) {
            (Some(true), _) => COUNTED,
            (Some(false), true) => REPEAT,
            (Some(false), false) => NOT_COUNTED,
            (None, _) => OTHERS_CAME,
        };
        format!("\n{} {seen}", meaning.text(lang))
    }
}

/// One meaning in both languages.
struct Meaning {
    en: &'static str,
    zh: &'static str,
}

impl Meaning {
    fn text(&self, lang: Lang) -> &'static str {
        lang.pick(self.en, self.zh)
    }
}

const SUCCESS: Meaning = Meaning {
    en: "Answered success, as msgcube does only if address, token and key are right.",
    zh: "已应答 success：只有地址、Token 和密钥均正确，msgcube 才会这样应答。",
};
const REPLY: Meaning = Meaning {
    en: "Accepted; the reply is that of the account's relay target, or of another server at this address.",
    zh: "已接收；该回复来自账号的转发目标，或此地址上的其他服务。",
};
const UNASKED: Meaning = Meaning {
    en: "This does not prove that it is counted: a repeat, a CreateTime that cannot be right, and a refused message that a \
         relay's target answers look the same. With the server's --config (and admin_key in it) or --admin-key-file the \
         account's figures are compared; to a server that is neither the configuration's own nor on this machine the key \
         goes by --admin-key-file only.",
    zh: "这不能证明消息已计入：重复的消息、CreateTime 不合理的消息、被拒绝但由转发目标应答的消息，应答都一样。\
         用 --config 指定服务端的配置文件（其中有 admin_key）或用 --admin-key-file，即可对比账号的统计数字；\
         对既不是配置所指、也不在本机的服务，只能用 --admin-key-file 给出密钥。",
};
const COUNTED: Meaning = Meaning {
    en: "It is counted, and durable (once, however often it is repeated).",
    zh: "该消息已持久保存并计入（重复推送只计一次）。",
};
const REPEAT: Meaning = Meaning {
    en: "It is not counted anew: the same message was counted before, or it is refused or kept aside (the log says so).",
    zh: "未再次计入：相同的消息已计入过，或消息被拒绝或另行保存（见服务端日志）。",
};
const NOT_COUNTED: Meaning = Meaning {
    en: "It is NOT counted. A ToUserName that is not the account's (give --to), a CreateTime before 2011 or over a day ahead, \
         or another server at this address; the server's log names the reason of a refusal.",
    zh: "该消息未计入。可能是 ToUserName 不是该账号的（用 --to 指定）、CreateTime 早于 2011 年或超前一天以上，\
         或此地址上是另一个服务；拒绝的原因见服务端日志。",
};
const OTHERS_CAME: Meaning = Meaning {
    en: "Other messages came at the same time, so the figures do not show whether this one is counted: send it once more, or \
         to a quiet day with --create-time.",
    zh: "同时有其他消息到达，无法从数字判断这一条是否已计入：请再发一次，或用 --create-time 发到没有消息的一天。",
};
const WRONG_SIGNATURE: Meaning = Meaning {
    en: "The signature is wrong: the token used here is not the server's. Pass the server's own --config, or set \
         MSGCUBE_CALLBACK_TOKEN to the account's token.",
    zh: "签名错误：此处使用的 Token 与服务端不一致。请用 --config 指定服务端的配置文件，\
         或将 MSGCUBE_CALLBACK_TOKEN 设为该账号的 Token。",
};
const NOT_FOUND: Meaning = Meaning {
    en: "There is no such callback address: check the appid (and the platform), and that the server's configuration \
         has it.",
    zh: "没有这个回调地址：请检查 appid（和平台），并确认服务端配置中有该账号。",
};
const REFUSED: Meaning = Meaning {
    en: "Refused, and not counted. The answer and the server's log name the reason; with require_encryption send \
         it with --safe.",
    zh: "已拒绝，不计入。原因见回复和服务端日志；若设置了 require_encryption，请加 --safe 发送。",
};
const BROKEN: Meaning = Meaning {
    en: "The server, or a proxy before it, failed: see its log. WeChat would send this message again.",
    zh: "服务端或其前面的代理出错：请查看日志。微信会重新推送此消息。",
};
const UNREACHABLE: Meaning = Meaning {
    en: "Nothing answers at this address: start the server with `msgcube serve`, or correct --base or --url.",
    zh: "此地址无法连接：请用 `msgcube serve` 启动服务，或更正 --base 或 --url。",
};
const SILENCE: Meaning = Meaning {
    en: "No answer: the message was not durable in time, so the server stays silent and WeChat would send it again. \
         See /readyz and the server's log (disk full? store unreachable?), then send it once more.",
    zh: "没有回复：消息未能及时持久保存，服务端因此不作回复，微信会重新推送。\
         请查看 /readyz 和服务端日志（磁盘已满？存储不可用？），然后重新发送。",
};
