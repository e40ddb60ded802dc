//! The seven message analysis interfaces, built from their table.

use counting::{COUNT_INTERVALS, COUNTED_TYPES};
use datacube::{ErrorCode, Figures, Granularity, INTERFACES, Interface};
use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "message analysis",
    about: "WeChat's seven interfaces: users and messages by type, and users by the number of their messages.",
    operations,
    schemas,
};

/// The error codes, in the order of the checks.
const CODES: [ErrorCode; 15] = [
    ErrorCode::ACCESS_TOKEN_MISSING,
    ErrorCode::INVALID_CREDENTIAL,
    ErrorCode::ACCESS_TOKEN_EXPIRED,
    ErrorCode::COMPONENT_TOKEN,
    ErrorCode::REQUIRE_POST,
    ErrorCode::COMPONENT_NOT_AUTHORIZED,
    ErrorCode::API_UNAUTHORIZED_TO_COMPONENT,
    ErrorCode::API_UNAUTHORIZED,
    ErrorCode::DAILY_QUOTA,
    ErrorCode::EMPTY_BODY,
    ErrorCode::DATA_FORMAT,
    ErrorCode::DATE_FORMAT,
    ErrorCode::DATE_RANGE,
    ErrorCode::NOT_READY,
    ErrorCode::SYSTEM_ERROR,
];

fn operations(config: &Config) -> Vec<Operation> {
    INTERFACES.iter().map(|interface| operation(interface, config)).collect()
}

fn operation(interface: &Interface, config: &Config) -> Operation {
    let about = format!(
        "At most {} days, both ends counted; end_date is {} at the latest, in Beijing time. ref_date is {}.{}",
        interface.span_days(config.datacube.date_profile),
        if config.datacube.live { "today" } else { "yesterday" },
        dated_by(interface.granularity),
        if interface.granularity == Granularity::Hour { " ref_hour is 0, 100, … 2300." } else { "" },
    );
    let list = json!({
        "type": "object",
        "required": ["list"],
        "properties": { "list": { "type": "array", "items": schema_ref(row_name(interface)) } },
        "additionalProperties": false,
    });
    let example = match interface.granularity {
        Granularity::Month => json!({ "begin_date": "2014-11-01", "end_date": "2014-11-01" }),
        Granularity::Week => json!({ "begin_date": "2014-12-01", "end_date": "2014-12-01" }),
        Granularity::Day | Granularity::Hour => {
            json!({ "begin_date": "2014-12-07", "end_date": "2014-12-07" })
        }
    };
    let summary = match interface.figures {
        Figures::Totals => "Users and messages by type",
        Figures::Distribution => "Users by number of messages",
    };
    let operation = Operation::new("post", interface.path(), interface.cloud_name, summary)
        .about(&about)
        .with_token()
        .takes(schema_ref("Dates"), example)
        .answers_as_wechat(list, &CODES, config.upstream.is_some());
    if config.upstream.is_none() {
        return operation;
    }
    let unreachable = "a call about time that is not covered is passed on to WeChat, which cannot be reached";
    let operation = operation.fails(&[(503, "too many calls are waiting for WeChat")]);
    operation.fails_as_wechat(&[(502, unreachable), (504, "WeChat did not answer in time")])
}

fn dated_by(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Hour | Granularity::Day => "the day",
        Granularity::Week => "the Monday of the week; the row exists after the week is over",
        Granularity::Month => "the 1st of the month; the row exists after the month is over",
    }
}

fn row_name(interface: &Interface) -> &'static str {
    match (interface.figures, interface.granularity) {
        (Figures::Distribution, _) => "DistributionRow",
        (Figures::Totals, Granularity::Hour) => "HourRow",
        (Figures::Totals, _) => "Row",
    }
}

fn schemas(config: &Config) -> Value {
    let date = |about: &str| json!({ "type": "string", "format": "date", "description": about });
    json!({
        "Dates": {
            "type": "object",
            "description": "Two days in Beijing time. Other fields are ignored.",
            "required": ["begin_date", "end_date"],
            "properties": { "begin_date": date("the first day"), "end_date": date("the last day, included") },
        },
        "AnyError": {
            "type": "object",
            "description": "An error of WeChat, with any code.",
            "required": ["errcode", "errmsg"],
            "properties": { "errcode": { "type": "integer" }, "errmsg": { "type": "string" } },
        },
        "Row": row(config, false, &[("msg_type", msg_type()), ("msg_user", figure("different users")), ("msg_count", figure("messages"))]),
        "HourRow": row(config, true, &[("msg_type", msg_type()), ("msg_user", figure("different users")), ("msg_count", figure("messages"))]),
        "DistributionRow": row(config, false, &[("count_interval", count_interval()), ("msg_user", figure("different users"))]),
    })
}

/// A row: its time, then these fields. No field is ever missing.
fn row(config: &Config, has_hour: bool, fields: &[(&str, Value)]) -> Value {
    let mut all = vec![("ref_date", json!({ "type": "string", "format": "date" }))];
    if has_hour {
        let hours: Vec<u16> = (0..24).map(|hour| hour * 100).collect();
        all.push(("ref_hour", json!({ "type": "integer", "enum": hours })));
    }
    if config.datacube.user_source {
        all.push(("user_source", json!({ "const": 0, "description": "always 0" })));
    }
    all.extend_from_slice(fields);
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        all.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}

fn msg_type() -> Value {
    json!({ "type": "integer", "enum": COUNTED_TYPES, "description": "1 text, 2 image, 3 voice, 4 video, 6 link" })
}

fn count_interval() -> Value {
    json!({ "type": "integer", "enum": COUNT_INTERVALS, "description": "1: 1 to 5 messages, 2: 6 to 10, 3: more than 10" })
}

fn figure(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 1, "description": about })
}
