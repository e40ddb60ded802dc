//! What operators ask: alive, ready, metrics.

use serde_json::{Value, json};

use super::{Group, Operation, named};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "operation",
    about: "Whether the server is alive and ready, and its metrics. On admin_listen the metrics need no key.",
    operations,
    schemas,
};

fn operations(_: &Config) -> Vec<Operation> {
    let metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    vec![
        Operation::new("get", "/healthz", "isAlive", "Alive").answers(
            200,
            "it is",
            "text/plain; charset=utf-8",
            json!({ "type": "string" }),
        ),
        Operation::new("get", "/readyz", "isReady", "Whether messages can be made durable")
            .gives(200, "they can, or the bots go on answering meanwhile", named("Readiness"))
            .gives(503, "they cannot, with the reason", named("Readiness")),
        Operation::new("get", "/metrics", "getMetrics", "Metrics for Prometheus").with_key("read").answers(
            200,
            "the metrics",
            metrics,
            json!({ "type": "string" }),
        ),
    ]
}

fn schemas(_: &Config) -> Value {
    let reasons = || json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "Readiness": {
            "type": "object",
            "required": ["ready"],
            "properties": { "ready": { "type": "boolean" }, "reasons": reasons(), "degraded": reasons() },
            "additionalProperties": false,
        },
    })
}
