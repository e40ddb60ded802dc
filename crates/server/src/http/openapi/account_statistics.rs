//! The admin API about the messages of one account: import, statistics, coverage, health, quarantined messages.

mod health;

use counting::Kind;
use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::{config::Config, figures::statistics::COUNT_NAMES};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "messages and statistics",
    about: "The messages of one account: import, exact figures of any range, and the time in which all messages were counted.",
    operations,
    schemas,
};

const NO_ACCOUNT: (u16, &str) = (404, "no account has this appid");
const STORE: (u16, &str) = (500, "the store cannot be read; see the log of the server");
const STORE_AWAY: (u16, &str) = (503, "ClickHouse or PostgreSQL does not answer; only with [store]");

/// What the parameter `by` does.
pub const BY: &str = "type: one row for each type of message; official: one row for each of the five types of the seven interfaces, with video and shortvideo together; count: users by the number of messages they sent, for whole days, weeks or months, the last of which may be unfinished; if missing, one row for each period, with the five types together";
/// What the parameter `new` does.
pub const NEW: &str = "true: each row says how many users are new; not with by, and not with period=hour";

fn operations(_: &Config) -> Vec<Operation> {
    vec![bulk(), statistics(), coverage(), health::operation(), quarantined()]
}

/// An operation of `/v1/accounts/{appid}/NAME`.
fn of_account(method: &'static str, name: &str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(method, format!("/v1/accounts/{{appid}}/{name}"), id, summary)
        .part("appid", "appid of the account")
}

fn bulk() -> Operation {
    let covers = json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}\\.\\.[0-9]{4}-[0-9]{2}-[0-9]{2}$" });
    let lines = json!({ "type": "array", "items": schema_ref("BulkMessage"), "description": "one object in each line; or XML callbacks as WeChat sends them" });
    let either = json!({ "anyOf": [schema_ref("BulkReport"), schema_ref("OwnError")] });
    of_account("post", "messages", "importMessages", "Messages in bulk")
        .about("Newline-delimited JSON of any length; each line has at most 64 KiB. XML callbacks are read too: each ends at `</xml>`, may span lines and has at most 64 KiB; `line` and `durable_lines` then mean its first line. A bad line is reported, and the import continues. A message that is sent again is not counted twice.")
        .query("covers", false, "records these days as complete, such as 2025-01-01..2025-12-31", covers)
        .body(json!({ "application/x-ndjson": { "schema": lines } }))
        .with_key("write:APPID")
        .gives(200, "all lines were read, and the valid ones are durable", schema_ref("BulkReport"))
        .gives(400, "covers is not a range of days, or the body ended early; then durable_lines says how much is durable", either)
        .fails(&[NO_ACCOUNT])
        .gives(503, "not all lines could be made durable; durable_lines says how many are", schema_ref("BulkReport"))
}

fn statistics() -> Operation {
    let date = || json!({ "type": "string", "format": "date" });
    of_account("get", "stats", "getStatistics", "Exact figures of any range")
        .about("Different users and messages, including periods that are not over. Periods without messages have no row. At most 10,000 rows.")
        .query("from", true, "the first day, in Beijing time", date())
        .query("to", true, "the last day, included; it may be in the future", date())
        .query("period", false, "the length of the periods", json!({ "enum": ["hour", "day", "week", "month", "total"], "default": "day" }))
        .query("by", false, BY, json!({ "enum": ["type", "official", "count"] }))
        .query("new", false, NEW, json!({ "type": "boolean", "default": false }))
        .query("format", false, "if missing, the format in the header Accept", json!({ "enum": ["json", "ndjson", "csv"], "default": "json" }))
        .with_key("read:APPID")
        .response(200, json!({ "description": "the rows", "content": {
            "application/json": { "schema": schema_ref("Statistics") },
            "application/x-ndjson": { "schema": { "type": "string" } },
            "text/csv; charset=utf-8": { "schema": { "type": "string" } },
        } }))
        .fails(&[(400, "an invalid value, or too many rows"), NO_ACCOUNT, STORE, STORE_AWAY])
}

fn coverage() -> Operation {
    of_account("get", "coverage", "getCoverage", "The time in which all messages were counted")
        .with_key("read:APPID")
        .gives(200, "start of the covered time, and its gaps", schema_ref("Coverage"))
        .fails(&[NO_ACCOUNT])
}

fn quarantined() -> Operation {
    let schema = json!({
        "type": "object",
        "required": ["messages"],
        "properties": { "messages": { "type": "array", "maxItems": 1000, "items": schema_ref("AsideMessage") } },
        "additionalProperties": false,
    });
    of_account(
        "get",
        "aside",
        "getAside",
        "Quarantined messages, which are stored and not counted; the first 1,000",
    )
    .with_key("read:APPID")
    .gives(200, "the messages", schema)
    .fails(&[NO_ACCOUNT, STORE, STORE_AWAY])
}

fn gap() -> Value {
    let reasons = ["not_running", "not_durable", "refused", "too_many", "no_connection_taken", "unknown"];
    let time = json!({ "type": "string", "format": "date-time" });
    let refused = json!({
        "type": "object",
        "description": "only with refused: the number of callbacks for each cause, named as in the metrics",
        "additionalProperties": { "type": "integer", "minimum": 1 },
    });
    json!({
        "type": "array",
        "description": "from, to, reason, and the numbers of refused callbacks",
        // Not prefixItems: Schemathesis does not support it in answers.
        "items": { "anyOf": [time, { "enum": reasons }, refused] },
        "minItems": 3,
        "maxItems": 4,
    })
}

fn schemas(_: &Config) -> Value {
    json!({
        "OwnError": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string", "description": "what is wrong, and how to correct it" } },
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
                    "description": "planned stops of at most bridge_s seconds, as from and to. They are no gaps: WeChat sends again what it got no answer for",
                    "items": { "type": "array", "items": { "type": "string", "format": "date-time" }, "minItems": 2, "maxItems": 2 },
                },
            },
            "additionalProperties": false,
        },
        "Health": health::schema(),
        "Statistics": {
            "type": "object",
            "required": ["rows", "coverage"],
            "properties": { "rows": { "type": "array", "maxItems": 10_000, "items": statistics_row() }, "coverage": schema_ref("Coverage") },
            "additionalProperties": false,
        },
        "BulkMessage": bulk_message(),
        "BulkReport": bulk_report(),
        "AsideMessage": quarantined_message(),
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
        "required": ["period", "users"],
        "properties": row_properties(),
        "additionalProperties": false,
    })
}

/// The fields of a row of statistics, without its account.
pub fn row_properties() -> Value {
    json!({
        "period": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2})?$", "description": "the hour, the day, the Monday of the week, the 1st of the month, or from" },
        "type": kinds(),
        "count": { "enum": COUNT_NAMES, "description": "messages that each of these users sent; only with by=count" },
        "users": count("different users"),
        "messages": count("messages; missing with by=count"),
        "new": count("users whose first counted message lies in the days of the row; only with new=true"),
        "new_is_early": { "type": "boolean", "description": "the account was counted for less than 28 days before the row: most of these users are new to msgcube only" },
        "events": { "type": "object", "additionalProperties": count("events of this name") },
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
            "MsgId": number("required unless MsgType is event", "^[0-9]{1,18}$", 0),
            "Event": { "type": "string", "minLength": 1, "maxLength": 128, "description": "required if MsgType is event" },
            "EventKey": { "type": ["string", "integer"] },
            "MsgID": number("of events that have one", "^[0-9]{1,18}$", 0),
        },
        "example": { "FromUserName": "oReader0000000000000000000001", "CreateTime": 1_417_881_600, "MsgType": "text", "MsgId": "7477538062336000007" },
    })
}

fn bulk_report() -> Value {
    json!({
        "type": "object",
        "required": ["accepted", "duplicate", "rejected", "errors"],
        "properties": {
            "accepted": count("messages that are durable and counted"),
            "duplicate": count("messages that were counted before"),
            "rejected": count("lines that are no valid message"),
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
            "covers": { "type": "string", "description": "whether the days were recorded as complete" },
            "durable_lines": count("all lines up to this one are durable, repeats or rejected"),
            "error": { "type": "string" },
        },
        "additionalProperties": false,
    })
}

fn quarantined_message() -> Value {
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
