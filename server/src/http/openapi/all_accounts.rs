//! The own statistics of several accounts in one question.

use serde_json::{Value, json};

use super::{Group, Operation};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "statistics of several accounts",
    about: "The own statistics of some or all accounts.",
    is_built: false,
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    let date = || json!({ "type": "string", "format": "date" });
    let rows: Value = json!({ "type": "object", "required": ["rows"], "properties": { "rows": { "type": "array", "items": { "type": "object" } } } });
    vec![
        Operation::new("get", "/v1/stats", "getStatisticsOfAccounts", "Exact figures of several accounts")
            .query(
                "accounts",
                true,
                "* for all that the key may read, or appids set apart by commas",
                json!({ "type": "string", "minLength": 1 }),
            )
            .query("from", true, "the first day, in Beijing", date())
            .query("to", true, "the last day; it may lie in the future", date())
            .query(
                "period",
                false,
                "how the days are cut into rows",
                json!({ "enum": ["hour", "day", "week", "month", "total"], "default": "day" }),
            )
            .query("by", false, "one row a type", json!({ "enum": ["type"] }))
            .with_key("read, or read:APPID of each")
            .gives(200, "the rows", rows)
            .fails(&[
                (400, "a value that cannot be, or too many rows"),
                (404, "an account that there is not"),
            ]),
    ]
}
