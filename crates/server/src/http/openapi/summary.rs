//! `GET /v1/summary` and `GET /v1/live`: all accounts at a glance.

use serde_json::{Value, json};

use super::{Operation, PathGroup};
use crate::{config::Config, figures::health::AccountState};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "all accounts at a glance",
    about: "Messages of each account today and before, once or as a stream.",
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/summary", "getSummary", "Messages of each account today and before")
            .about("Messages of the five types that WeChat counts, of each account that the key may read. Messages that are ahead of the clock count for their day, as in the statistics.")
            .with_key("read, or read:APPID of each")
            .gives(200, "the accounts, sorted by appid", summary())
            .fails(&[
                (500, "the store cannot be read; see the log of the server"),
                (503, "ClickHouse or PostgreSQL does not answer; only with [store]"),
            ]),
        Operation::new("get", "/v1/live", "getLiveFigures", "Messages of today as they are counted")
            .about("Server-sent events. The data of an event is a JSON object: `time`, and `accounts` with `account`, `messages` (of today, by type), and `last_message`. The first event comes at once and has all accounts that the key may read; later ones have those that changed since the event before. At most one event a second, and a comment every 15 s in which nothing changes. The stream ends when the key is revoked or expires, and when the server stops.")
            .with_key("read, or read:APPID of each")
            .answers(200, "events until one side ends the stream", "text/event-stream", json!({ "type": "string" }))
            .fails(&[(503, "8 streams are open with this key, or 256 in all")]),
    ]
}

fn summary() -> Value {
    let messages = || json!({ "type": "integer", "minimum": 0 });
    let time = || json!({ "type": "string", "format": "date-time" });
    let same_hours = json!({
        "type": "object",
        "description": "the whole hours of today that are over, and the same hours seven days before",
        "required": ["until", "today", "last_week"],
        "properties": { "until": time(), "today": messages(), "last_week": messages() },
    });
    let account = json!({
        "type": "object",
        "required": ["account", "name", "state", "last_message", "today", "yesterday", "same_hours", "month", "last_month"],
        "properties": {
            "account": { "type": "string" },
            "name": { "type": "string" },
            "state": { "enum": AccountState::ALL.map(AccountState::name) },
            "last_message": { "type": ["string", "null"], "format": "date-time", "description": "the newest CreateTime" },
            "today": messages(),
            "yesterday": messages(),
            "same_hours": same_hours,
            "month": messages(),
            "last_month": messages(),
        },
    });
    json!({
        "type": "object",
        "required": ["time", "accounts"],
        "properties": { "time": time(), "accounts": { "type": "array", "items": account } },
    })
}
