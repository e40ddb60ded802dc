//! The own interface about one account's messages: bulk import, statistics, coverage, messages kept aside.

use counting::Kind;
use serde_json::{Value, json};

use super::{Group, Operation, named};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "messages and statistics",
    about: "msgcube's own interface about an account: messages in bulk, exact figures of any range, and since when all of them are there.",
    operations,
    schemas,
};

const NO_ACCOUNT: (u16, &str) = (404, "no account has this appid");
const STORE: (u16, &str) = (500, "the store cannot be read; see the log of the server");

fn operations(_: &Config) -> Vec<Operation> {
    vec![bulk(), statistics(), coverage(), aside()]
}

fn of_account(method: &'static str, what: &str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, format!("/v1/accounts/{{appid}}/{what}"), id, summary)
        .part("appid", "the account's")
}

fn bulk() -> Operation {
    let covers = json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}\\.\\.[0-9]{4}-[0-9]{2}-[0-9]{2}$" });
    let lines = json!({ "type": "array", "items": named("BulkMessage"), "description": "one object a line; in its place XML callbacks as WeChat sends them" });
    let either = json!({ "anyOf": [named("BulkReport"), named("OwnError")] });
    of_account("post", "messages", "importMessages", "Messages in bulk")
        .about("Newline-delimited JSON, streamed, any length; a line at most 64 KiB. XML callbacks are read, too: each ends at `</xml>`, may span lines and has at most 64 KiB; `line` and `durable_lines` then mean its first line. A bad line is reported and stops nothing. Sending the same again counts nothing twice.")
        .query("covers", false, "claims these days as complete, such as 2025-01-01..2025-12-31", covers)
        .body(json!({ "application/x-ndjson": { "schema": lines } }))
        .with_key("write:APPID")
        .gives(200, "all lines were read, and the good ones are durable", named("BulkReport"))
        .gives(400, "covers is no range of days, or the body broke off: then durable_lines says how far it was read", either)
        .fails(&[NO_ACCOUNT])
        .gives(503, "not all could be made durable: durable_lines says how far it came", named("BulkReport"))
}

fn statistics() -> Operation {
    let date = || json!({ "type": "string", "format": "date" });
    of_account("get", "stats", "getStatistics", "Exact figures of any range")
        .about("Different users and messages, open periods included. Rows without messages are left out; at most 10,000 rows.")
        .query("from", true, "the first day, in Beijing", date())
        .query("to", true, "the last day; it may lie in the future", date())
        .query("period", false, "how the days are cut into rows", json!({ "enum": ["hour", "day", "week", "month", "total"], "default": "day" }))
        .query("by", false, "one row a type, or one row a period with the types of the seven together", json!({ "enum": ["type"] }))
        .query("format", false, "otherwise as Accept says", json!({ "enum": ["json", "ndjson", "csv"], "default": "json" }))
        .with_key("read:APPID")
        .response(200, json!({ "description": "the rows", "content": {
            "application/json": { "schema": named("Statistics") },
            "application/x-ndjson": { "schema": { "type": "string" } },
            "text/csv; charset=utf-8": { "schema": { "type": "string" } },
        } }))
        .fails(&[(400, "a value that cannot be, or too many rows"), NO_ACCOUNT, STORE])
}

fn coverage() -> Operation {
    of_account("get", "coverage", "getCoverage", "Since when messages are counted, and when not")
        .with_key("read:APPID")
        .gives(200, "covered time", named("Coverage"))
        .fails(&[NO_ACCOUNT])
}

fn aside() -> Operation {
    let schema = json!({
        "type": "object",
        "required": ["messages"],
        "properties": { "messages": { "type": "array", "maxItems": 1000, "items": named("AsideMessage") } },
        "additionalProperties": false,
    });
    of_account("get", "aside", "getAside", "Messages that are kept and not counted, the first 1,000")
        .with_key("read:APPID")
        .gives(200, "the messages", schema)
        .fails(&[NO_ACCOUNT, STORE])
}

fn gap() -> Value {
    let why = ["not_running", "not_durable", "refused", "too_many", "no_connection_taken", "unknown"];
    let moment = json!({ "type": "string", "format": "date-time" });
    let refused = json!({
        "type": "object",
        "description": "with refused: how many callbacks, by the reason that the metrics name",
        "additionalProperties": { "type": "integer", "minimum": 1 },
    });
    json!({
        "type": "array",
        "description": "from, to, why, and of refused callbacks how many",
        // Not prefixItems, which Schemathesis does not read in answers.
        "items": { "anyOf": [moment, { "enum": why }, refused] },
        "minItems": 3,
        "maxItems": 4,
    })
}

fn schemas(_: &Config) -> Value {
    json!({
        "OwnError": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string", "description": "what is wrong and what would be right" } },
            "additionalProperties": false,
        },
        "Coverage": {
            "type": "object",
            "required": ["since", "gaps", "bridged"],
            "properties": {
                "since": { "type": ["string", "null"], "format": "date-time" },
                "gaps": { "type": "array", "items": gap() },
                "bridged": {
                    "type": "array",
                    "description": "planned stops of at most bridge_s seconds, from and to: no gaps, since WeChat repeats what was not answered",
                    "items": { "type": "array", "items": { "type": "string", "format": "date-time" }, "minItems": 2, "maxItems": 2 },
                },
            },
            "additionalProperties": false,
        },
        "Statistics": {
            "type": "object",
            "required": ["rows", "coverage"],
            "properties": { "rows": { "type": "array", "maxItems": 10_000, "items": statistics_row() }, "coverage": named("Coverage") },
            "additionalProperties": false,
        },
        "BulkMessage": bulk_message(),
        "BulkReport": bulk_report(),
        "AsideMessage": aside_message(),
    })
}

fn kinds() -> Value {
    json!({ "enum": Kind::ALL.map(Kind::name) })
}

fn count(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

fn statistics_row() -> Value {
    json!({
        "type": "object",
        "required": ["period", "users", "messages"],
        "properties": {
            "period": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2})?$", "description": "the hour, the day, the Monday, the 1st, or from" },
            "type": kinds(),
            "users": count("different users"),
            "messages": count("messages"),
            "events": { "type": "object", "additionalProperties": count("events of this name") },
        },
        "additionalProperties": false,
    })
}

fn bulk_message() -> Value {
    let number = |about: &str, pattern: &str, minimum: i64| {
        json!({
            "description": about,
            "oneOf": [{ "type": "integer", "minimum": minimum }, { "type": "string", "pattern": pattern }],
        })
    };
    json!({
        "type": "object",
        "description": "WeChat's callback as JSON. Other fields are ignored.",
        "required": ["FromUserName", "CreateTime", "MsgType"],
        "properties": {
            "FromUserName": { "type": "string", "minLength": 1, "maxLength": 128, "description": "1 to 128 bytes" },
            "CreateTime": number("Unix seconds, from 2011 to a day ahead", "^[0-9]{10}$", 1_293_811_200),
            "MsgType": { "type": "string", "minLength": 1 },
            "MsgId": number("needed unless MsgType is event", "^[0-9]{1,18}$", 0),
            "Event": { "type": "string", "minLength": 1, "maxLength": 128, "description": "needed if MsgType is event" },
            "EventKey": { "type": ["string", "integer"] },
            "MsgID": number("of an event that carries one", "^[0-9]{1,18}$", 0),
        },
        "example": { "FromUserName": "oReader0000000000000000000001", "CreateTime": 1_417_881_600, "MsgType": "text", "MsgId": "7477538062336000007" },
    })
}

fn bulk_report() -> Value {
    json!({
        "type": "object",
        "required": ["accepted", "duplicate", "rejected", "errors"],
        "properties": {
            "accepted": count("messages that are durable and counted now"),
            "duplicate": count("repeats"),
            "rejected": count("lines that are no message"),
            "errors": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "required": ["line", "error"],
                    "properties": { "line": { "type": "integer", "minimum": 1 }, "error": { "type": "string" } },
                    "additionalProperties": false,
                },
            },
            "covers": { "type": "string", "description": "what became of the claim" },
            "durable_lines": count("lines up to this one are durable, repeats, or rejected"),
            "error": { "type": "string" },
        },
        "additionalProperties": false,
    })
}

fn aside_message() -> Value {
    json!({
        "type": "object",
        "required": ["reason", "user", "create_time", "msg_type"],
        "properties": {
            "reason": { "type": "string" },
            "user": { "type": "string" },
            "create_time": { "type": "integer" },
            "msg_type": kinds(),
            "msg_id": { "type": "integer", "minimum": 0 },
            "event": { "type": "string" },
            "event_digest": { "type": "string" },
        },
        "additionalProperties": false,
    })
}
