//! `GET /v1/stats`: statistics of several accounts in one call.

use serde_json::{Value, json};

use super::{
    Operation, PathGroup,
    account_statistics::{BY, NEW, row_properties},
};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "statistics of several accounts",
    about: "Exact figures of some or all accounts, page by page.",
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
                "* for all accounts that the key may read, or appids separated by commas",
                json!({ "type": "string", "minLength": 1 }),
            )
            .query(
                "from",
                false,
                "the first day, in Beijing time; if missing, the first day of the previous period",
                date(),
            )
            .query("to", false, "the last day, included; it may be in the future; if missing, today", date())
            .query(
                "period",
                false,
                "the length of the periods",
                json!({ "enum": ["hour", "day", "week", "month", "total"], "default": "day" }),
            )
            .query("by", false, BY, json!({ "enum": ["type", "official", "count"] }))
            .query("new", false, NEW, json!({ "type": "boolean", "default": false }))
            .query(
                "limit",
                false,
                "most rows of a page",
                json!({ "type": "integer", "minimum": 1, "maximum": 10_000, "default": 1000 }),
            )
            .query("cursor", false, "next of the previous page", text())
            .query(
                "format",
                false,
                "if missing, the format in the header Accept",
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
            .fails(&[(400, "an invalid value"), (404, "an unknown account")]),
    ]
}

/// A page of rows.
fn page() -> Value {
    let date = || json!({ "type": "string", "format": "date" });
    let mut row = json!({
        "type": "object",
        "required": ["account", "period", "users", "covered", "bridged"],
        "properties": row_properties(),
        "additionalProperties": false,
    });
    row["properties"]["account"] = json!({ "type": "string" });
    row["properties"]["covered"] =
        json!({ "type": "boolean", "description": "whether all past time of the period is covered" });
    row["properties"]["bridged"] = json!({ "type": "integer", "minimum": 0, "description": "short planned stops in the period, which count as covered" });
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
