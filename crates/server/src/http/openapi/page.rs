//! Pages for people, and this document.

use serde_json::json;

use super::{Group, Operation};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "pages",
    about: "For people in front of a browser, and for tools.",
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    let html = "text/html; charset=utf-8";
    let lang = json!({ "enum": ["en", "zh"] });
    vec![
        Operation::new("get", "/debug", "debug", "A page that asks the interfaces and explains the answers")
            .query("lang", false, "its language; otherwise the browser's", lang)
            .answers(200, "the page", html, json!({ "type": "string" })),
        Operation::new("get", "/openapi.json", "describe", "This document").gives(
            200,
            "OpenAPI 3.1",
            json!({ "type": "object", "required": ["openapi"] }),
        ),
    ]
}
