//! The result of a callback and what it means. Every result but success names the next step. A message is called counted
//! only if the account's figures show it.

use axum::http::Response;
use bytes::Bytes;
use i18n::{Lang, Text, text};
use msgcube_client::http::HttpError;
use wechat::callback;

use super::figures::CountCheck;

/// The result of sending, with what the account's figures show.
pub(super) struct SendReport {
    pub(super) answer: SendResult,
    pub(super) counting: CountCheck,
    /// The message may be a repeat of one that was counted before.
    pub(super) may_be_repeat: bool,
}

/// The result of sending a callback.
#[derive(Debug)]
pub(super) struct SendResult {
    outcome: SendOutcome,
    took_ms: u64,
}

#[derive(Debug)]
enum SendOutcome {
    Answered {
        status: u16,
        body: String,
    },
    /// No connection was made.
    Unreachable(String),
    /// Connected, but no answer came.
    Silence(String),
}

impl SendResult {
    pub(super) fn of(sent: Result<Response<Bytes>, HttpError>, took_ms: u64) -> SendResult {
        let outcome = match sent {
            Ok(response) => SendOutcome::Answered {
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body()).into_owned(),
            },
            Err(error) if error.is_connect() => SendOutcome::Unreachable(error.root()),
            Err(error) => SendOutcome::Silence(error.root()),
        };
        SendResult { outcome, took_ms }
    }

    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.outcome, SendOutcome::Answered { status: 200..=299, .. })
    }

    fn meaning(&self) -> &'static Text {
        match &self.outcome {
            SendOutcome::Answered { status: 200..=299, body } if body == "success" => &SUCCESS,
            SendOutcome::Answered { status: 200..=299, .. } => &REPLY,
            SendOutcome::Answered { status: 401, body } if callback::is_refused_as_plain(body.as_bytes()) => {
                &REFUSED
            }
            SendOutcome::Answered { status: 401, .. } => &WRONG_SIGNATURE,
            SendOutcome::Answered { status: 404, .. } => &NOT_FOUND,
            SendOutcome::Answered { status: 400..=499, .. } => &REFUSED,
            SendOutcome::Answered { .. } => &BROKEN,
            SendOutcome::Unreachable(_) => &UNREACHABLE,
            SendOutcome::Silence(_) => &SILENCE,
        }
    }
}

impl SendReport {
    /// The callback was accepted, and is not known to be missing in the figures.
    pub(super) fn is_well(&self) -> bool {
        let is_missing = self.counting.is_counted() == Some(false) && !self.may_be_repeat;
        self.answer.is_accepted() && !is_missing
    }

    pub(super) fn json(&self, url: &str) -> String {
        let (status, body, error) = match &self.answer.outcome {
            SendOutcome::Answered { status, body } => (Some(*status), Some(body), None),
            SendOutcome::Unreachable(error) | SendOutcome::Silence(error) => (None, None, Some(error)),
        };
        serde_json::json!({
            "url": url, "accepted": self.answer.is_accepted(), "counted": self.counting.is_counted(), "status": status,
            "answer": body, "error": error, "took_ms": self.answer.took_ms
        })
        .to_string()
    }

    pub(super) fn text(&self, lang: Lang, url: &str) -> String {
        let SendResult { outcome, took_ms } = &self.answer;
        let what = match outcome {
            SendOutcome::Answered { status, body } => format!("{status} {}", body.trim_end()),
            SendOutcome::Unreachable(error) | SendOutcome::Silence(error) => i18n::translated(lang, error),
        };
        let meaning = self.answer.meaning().in_lang(lang);
        let counted = if self.answer.is_accepted() { self.counted_text(lang) } else { String::new() };
        format!("POST {url}\n{what} ({took_ms} ms)\n{meaning}{counted}")
    }

    /// What the figures say about an accepted message.
    fn counted_text(&self, lang: Lang) -> String {
        let (figures, before, after) = match &self.counting {
            CountCheck::Unasked | CountCheck::Before { .. } => return format!("\n{}", UNASKED.in_lang(lang)),
            CountCheck::Unknown(error) => {
                let why = error.in_lang(lang);
                return text!("\nWhether it is counted could not be asked: {why}", why).in_lang(lang);
            }
            CountCheck::Seen { figures, before, after } => (figures, before, after),
        };
        let (kind, day, server) = (figures.kind(), figures.day(), figures.server());
        let seen = text!(
            "{server}, messages of type {kind} on {day}: {before} before, {after} after.",
            server,
            kind,
            day,
            before,
            after
        )
        .in_lang(lang);
        let meaning = match (self.counting.is_counted(), self.may_be_repeat) {
            (Some(true), _) => &COUNTED,
            (Some(false), true) => &REPEAT,
            (Some(false), false) => &NOT_COUNTED,
            (None, _) => &OTHERS_CAME,
        };
        format!("\n{} {seen}", meaning.in_lang(lang))
    }
}

static SUCCESS: Text = text!("Answered success, as msgcube does only if address, token and key are right.");
static REPLY: Text =
    text!("Accepted; the reply is that of the account's relay target, or of another server at this address.");
static UNASKED: Text = text!(
    "This does not prove that it is counted: a repeat, an impossible CreateTime, and a refused message that a relay's target answers look the same. With the server's --config (and admin_key in it) or --admin-key-file the account's figures are compared; a server that is neither the configuration's own nor on this machine gets the key only by --admin-key-file."
);
static COUNTED: Text = text!("It is counted, and durable (once, however often it is repeated).");
static REPEAT: Text = text!(
    "It is not counted again: the same message was counted before, or it was refused or quarantined (see the log)."
);
static NOT_COUNTED: Text = text!(
    "It is NOT counted. A ToUserName that is not the account's (give --to), a CreateTime before 2011 or over a day ahead, \
         or another server at this address; the server's log names the reason of a refusal."
);
static OTHERS_CAME: Text = text!(
    "Other messages came at the same time, so the figures do not show whether this one is counted: send it once more, or \
         to a quiet day with --create-time."
);
static WRONG_SIGNATURE: Text = text!(
    "The signature is wrong: the token used here is not the server's. Pass the server's own --config, or set \
         MSGCUBE_CALLBACK_TOKEN to the account's token."
);
static NOT_FOUND: Text = text!(
    "There is no such callback address: check the appid (and the platform), and that the server's configuration \
         has it."
);
static REFUSED: Text = text!(
    "Refused, and not counted. The answer and the server's log name the reason; with require_encryption send \
         it with --safe."
);
static BROKEN: Text =
    text!("The server, or a proxy before it, failed: see its log. WeChat would send this message again.");
static UNREACHABLE: Text = text!(
    "Nothing answers at this address: start the server with `msgcube serve`, or correct --server or --url."
);
static SILENCE: Text = text!(
    "No answer: the message was not durable in time, so the server stays silent and WeChat would send it again. \
         See /readyz and the server's log (disk full? store unreachable?), then send it once more."
);
