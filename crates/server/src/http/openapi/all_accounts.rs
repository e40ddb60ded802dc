//! The own statistics of several accounts in one question.

use serde_json::{Value, json};

use super::{Group, Operation};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "statistics of several accounts",
    about: "The own statistics of some or all accounts.",
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    let date = || json!({ "type": "string", "format": "date" });
    let text = || json!({ "type": "string" });
    vec![
        Operation::new("get", "/v1/stats", "getStatisticsOfAccounts", "Exact figures of several accounts")
            .query(
                "accounts",
                false,
                "* for all that the key may read, or appids set apart by commas",
                json!({ "type": "string", "minLength": 1 }),
            )
            .query(
                "from",
                false,
                "the first day, in Beijing; otherwise of the period before the present one",
                date(),
            )
            .query("to", false, "the last day; it may lie in the future; otherwise today", date())
            .query(
                "period",
                false,
                "how the days are cut into rows",
                json!({ "enum": ["hour", "day", "week", "month", "total"], "default": "day" }),
            )
            .query("by", false, "one row a type", json!({ "enum": ["type"] }))
            .query(
                "limit",
                false,
                "rows of a page",
                json!({ "type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000 }),
            )
            .query("cursor", false, "next of the former page", text())
            .query(
                "format",
                false,
                "otherwise as Accept says",
                json!({ "enum": ["json", "ndjson", "csv"], "default": "json" }),
            )
            .with_key("read, or read:APPID of each")
            .response(
                200,
                json!({ "description": "a page of rows", "content": {
                "application/json": { "schema": page() },
                "application/x-ndjson": { "schema": text() },
                "text/csv; charset=utf-8": { "schema": text() },
            } }),
            )
            .fails(&[(400, "a value that cannot be"), (404, "an account that there is not")]),
    ]
}

/// A page of rows.
fn page() -> Value {
    let date = || json!({ "type": "string", "format": "date" });
    let row = json!({
        "type": "object",
        "required": ["account", "period", "users", "messages", "covered", "bridged"],
        "properties": {
            "account": { "type": "string" },
            "period": { "type": "string" },
            "type": { "type": "string" },
            "users": { "type": "integer", "minimum": 0 },
            "messages": { "type": "integer", "minimum": 0 },
            "events": { "type": "object" },
            "covered": { "type": "boolean", "description": "no gap lies in it" },
            "bridged": { "type": "integer", "minimum": 0, "description": "short planned stops in it, which are no gaps" },
        },
    });
    json!({
        "type": "object",
        "required": ["from", "to", "rows", "next"],
        "properties": {
            "from": date(),
            "to": date(),
            "rows": { "type": "array", "items": row },
            "next": { "type": ["string", "null"] },
        },
    })
}
