//! What came back, and what it means: the next step is named for everything but success.

use std::error::Error;

use crate::{chinese, lang::Lang};

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
    pub(super) async fn of(
        sent: Result<reqwest::Response, reqwest::Error>,
        elapsed_ms: impl Fn() -> u64,
        started_ms: u64,
    ) -> Answer {
        let outcome = match sent {
            Ok(response) => Outcome::read(response).await,
            Err(error) if error.is_connect() || error.is_builder() => Outcome::Unreachable(root(&error)),
            Err(error) => Outcome::Silence(root(&error)),
        };
        Answer { outcome, took_ms: elapsed_ms().saturating_sub(started_ms) }
    }

    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Answered { status: 200..=299, .. })
    }

    pub(super) fn json(&self, url: &str) -> String {
        let (status, body, error) = match &self.outcome {
            Outcome::Answered { status, body } => (Some(*status), Some(body), None),
            Outcome::Unreachable(error) | Outcome::Silence(error) => (None, None, Some(error)),
        };
        let accepted = self.is_accepted();
        serde_json::json!({
            "url": url, "accepted": accepted, "status": status, "answer": body, "error": error, "took_ms": self.took_ms
        })
        .to_string()
    }

    pub(super) fn text(&self, lang: Lang, url: &str) -> String {
        let took_ms = self.took_ms;
        let what = match &self.outcome {
            Outcome::Answered { status, body } => format!("{status} {}", body.trim_end()),
            Outcome::Unreachable(error) | Outcome::Silence(error) => chinese::error(lang, error),
        };
        format!("POST {url}\n{what} ({took_ms} ms)\n{}", self.meaning().text(lang))
    }

    fn meaning(&self) -> Meaning {
        match &self.outcome {
            Outcome::Answered { status: 200..=299, body } if body == "success" => SUCCESS,
            Outcome::Answered { status: 200..=299, .. } => REPLY,
            Outcome::Answered { status: 401, .. } => WRONG_SIGNATURE,
            Outcome::Answered { status: 404, .. } => NOT_FOUND,
            Outcome::Answered { status: 400..=499, .. } => REFUSED,
            Outcome::Answered { .. } => BROKEN,
            Outcome::Unreachable(_) => UNREACHABLE,
            Outcome::Silence(_) => SILENCE,
        }
    }
}

impl Outcome {
    async fn read(response: reqwest::Response) -> Outcome {
        let status = response.status().as_u16();
        match response.text().await {
            Ok(body) => Outcome::Answered { status, body },
            Err(error) => Outcome::Silence(root(&error)),
        }
    }
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
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
    en: "Accepted, and durable: it is counted (once, however often it is repeated).",
    zh: "已接收并已持久保存：该消息已计入（重复推送只计一次）。",
};
const REPLY: Meaning = Meaning {
    en: "Accepted; the reply is that of the account's relay target, or of another server at this address.",
    zh: "已接收；该回复来自账号的转发目标，或此地址上的其他服务。",
};
const WRONG_SIGNATURE: Meaning = Meaning {
    en: "The signature is wrong: the token used here is not the server's. Pass the server's own --config, or set \
         MSGCUBE_CALLBACK_TOKEN to the account's token.",
    zh: "签名错误：此处使用的 Token 与服务端不一致。请用 --config 指定服务端的配置文件，\
         或将 MSGCUBE_CALLBACK_TOKEN 设为该账号的 Token。",
};
const NOT_FOUND: Meaning = Meaning {
    en: "There is no such callback address: check the appid, and that the server's configuration has it.",
    zh: "没有这个回调地址：请检查 appid，并确认服务端配置中有该账号。",
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
