//! The health of an account.

use serde_json::{Value, json};

use super::{super::schema_ref, NO_ACCOUNT, Operation, count, of_account};
use crate::figures::health::AccountState;

pub fn operation() -> Operation {
    of_account("get", "health", "getHealth", "Whether the account receives its messages")
        .about("Counts are those of the current hour and the 23 before it. Reasons are named as in the metrics. Of the time before the server started, only coverage and the last message are known.")
        .with_key("read:APPID")
        .gives(200, "the state, the last message, checks of the address, callbacks by result, and times of the bot", schema_ref("Health"))
        .fails(&[NO_ACCOUNT])
}

/// The schema of the answer.
pub fn schema() -> Value {
    let time = || json!({ "type": "string", "format": "date-time" });
    let reason = || json!({ "type": "string", "description": "why it failed" });
    let check = json!({
        "type": ["object", "null"],
        "description": "the newest check of the address, whoever sent it; null if there was none",
        "required": ["time", "result", "reason"],
        "properties": {
            "time": time(),
            "result": { "enum": ["ok", "refused"] },
            "reason": { "type": ["string", "null"], "description": "why it failed; null if it is ok" },
        },
        "additionalProperties": false,
    });
    let failed_check = json!({
        "type": "object",
        "required": ["time", "reason"],
        "properties": { "time": time(), "reason": reason() },
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "required": ["account", "name", "state", "since", "last_message", "last_check", "failed_checks", "callbacks", "relay", "coverage"],
        "properties": {
            "account": { "type": "string", "description": "the appid" },
            "name": { "type": "string", "description": "what people call it; empty if it has no name" },
            "state": state(),
            "since": { "type": "string", "format": "date-time", "description": "when the server started" },
            "last_message": { "type": ["string", "null"], "format": "date-time", "description": "the newest CreateTime of the messages of the five counted types, and of all messages and events that arrived as callbacks since the server started" },
            "last_check": check,
            "failed_checks": { "type": "array", "maxItems": 10, "items": failed_check, "description": "newest first" },
            "callbacks": callbacks(),
            "relay": relay(),
            "coverage": schema_ref("Coverage"),
        },
        "additionalProperties": false,
    })
}

fn state() -> Value {
    json!({
        "enum": AccountState::ALL.map(AccountState::name),
        "description": "the first that applies. refusing: messages of the last 24 hours were refused or could not be stored; gap: another gap touches the last 24 hours; waiting_check: WeChat has not checked the address, and there is no message; waiting_message: the address is checked, and there is no message; quiet: the newest message is at least 24 hours old; receiving: all is well",
    })
}

fn callbacks() -> Value {
    let by_reason = |about: &str| json!({ "type": "object", "description": about, "additionalProperties": count("callbacks") });
    json!({
        "type": "object",
        "required": ["accepted", "repeat", "aside", "refused", "closed"],
        "properties": {
            "accepted": count("messages and events that were counted"),
            "repeat": count("those that were stored before"),
            "aside": count("those that were stored and are not counted"),
            "refused": by_reason("those that were refused, by reason; anyone can send such callbacks"),
            "closed": by_reason("those that got no answer, by reason; WeChat sends them again"),
        },
        "additionalProperties": false,
    })
}

fn relay() -> Value {
    let bound = |share: &str| {
        let about = format!(
            "{share} of the other answers took at most so many milliseconds: the upper bound of a range of times; null without such answers"
        );
        json!({ "type": ["integer", "null"], "minimum": 1, "description": about })
    };
    json!({
        "type": ["object", "null"],
        "description": "callbacks that were passed on to the bot; null if there were none",
        "required": ["count", "late", "failed", "p50_ms", "p99_ms"],
        "properties": {
            "count": count("all of them"),
            "late": count("those that the bot did not answer in time"),
            "failed": count("those that did not reach the bot, or that it answered with a status other than 2xx or with more than 1 MiB"),
            "p50_ms": bound("half"),
            "p99_ms": bound("99 %"),
        },
        "additionalProperties": false,
    })
}
