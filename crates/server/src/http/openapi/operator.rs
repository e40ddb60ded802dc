//! For operators: health, readiness, metrics, and reload.

use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "operation",
    about: "Health, readiness and metrics of the server, and reload of its configuration. On admin_listen the metrics need no key.",
    operations,
    schemas,
};

fn operations(_: &Config) -> Vec<Operation> {
    let metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    vec![
        Operation::new("get", "/healthz", "isAlive", "Alive").answers(
            200,
            "the server runs",
            "text/plain; charset=utf-8",
            json!({ "type": "string" }),
        ),
        Operation::new("get", "/readyz", "isReady", "Whether messages can be made durable")
            .gives(200, "they can, or all bots still reply to users", schema_ref("Readiness"))
            .gives(503, "they cannot, for these reasons", schema_ref("Readiness")),
        Operation::new("get", "/metrics", "getMetrics", "Metrics for Prometheus").with_key("read").answers(
            200,
            "the metrics",
            metrics,
            json!({ "type": "string" }),
        ),
        Operation::new("post", "/v1/reload", "reload", "Read the configuration file again")
            .with_key("admin")
            .gives(
                200,
                "the names of changed settings, and of those that need a restart",
                schema_ref("Reloaded"),
            )
            .fails(&[
                (409, "the server was started without a file"),
                (422, "the file has an error; nothing was changed"),
                (503, "the change could not be made durable; nothing was changed"),
            ]),
    ]
}

fn schemas(_: &Config) -> Value {
    let reasons = || json!({ "type": "array", "items": { "type": "string" } });
    let names = reasons;
    let account = json!({
        "type": "object",
        "required": ["appid", "keys"],
        "properties": { "appid": { "type": "string" }, "keys": names() },
        "additionalProperties": false,
    });
    json!({
        "Reloaded": {
            "type": "object",
            "required": ["accounts", "settings", "needs_restart"],
            "properties": {
                "accounts": {
                    "type": "object",
                    "required": ["added", "changed", "removed"],
                    "properties": {
                        "added": names(),
                        "changed": { "type": "array", "items": account },
                        "removed": names(),
                    },
                    "additionalProperties": false,
                },
                "settings": names(),
                "needs_restart": names(),
            },
            "additionalProperties": false,
        },
        "Readiness": {
            "type": "object",
            "required": ["ready"],
            "properties": { "ready": { "type": "boolean" }, "reasons": reasons(), "degraded": reasons() },
            "additionalProperties": false,
        },
    })
}
