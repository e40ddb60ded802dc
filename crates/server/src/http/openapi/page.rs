//! The debugging page, and the OpenAPI document itself.

use serde_json::json;

use super::{Operation, PathGroup};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "pages",
    about: "Pages for people, and this document for tools.",
    operations,
    schemas: |_| json!({}),
};

fn operations(_: &Config) -> Vec<Operation> {
    let html = "text/html; charset=utf-8";
    let lang = json!({ "enum": ["en", "zh"] });
    vec![
        Operation::new("get", "/debug", "debug", "A page that calls the interfaces and explains the answers")
            .query("lang", false, "the language of the page; if missing, the browser's", lang)
            .answers(200, "the page", html, json!({ "type": "string" })),
        Operation::new("get", "/openapi.json", "describe", "This document").gives(
            200,
            "OpenAPI 3.1",
            json!({ "type": "object", "required": ["openapi"] }),
        ),
    ]
}
