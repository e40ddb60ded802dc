//! The admin API for share links of the pages.

use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::{
    auth::share_links::{DAYS_DEFAULT, DAYS_MAX},
    config::Config,
};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "share links",
    about: "Links to the page of one account below /ui, for people without a key.",
    operations,
    schemas,
};

const NOT_DURABLE: (u16, &str) = (503, "the change could not be made durable; nothing changed");

fn operations(_: &Config) -> Vec<Operation> {
    let listed = json!({ "type": "object", "required": ["share_links"], "properties": { "share_links": { "type": "array", "items": schema_ref("ShareLink") } }, "additionalProperties": false });
    let removed = json!({ "type": "object", "required": ["removed"], "properties": { "removed": { "type": "string" } }, "additionalProperties": false });
    vec![
        Operation::new(
            "get",
            "/v1/share-links",
            "listShareLinks",
            "The share links, without their addresses",
        )
        .with_key("admin")
        .gives(200, "the links", listed),
        Operation::new(
            "post",
            "/v1/share-links",
            "addShareLink",
            "Make a share link, which is shown only once",
        )
        .takes(schema_ref("NewShareLink"), json!({ "account": "wx0123456789abcdef", "expires_in_days": 30 }))
        .with_key("admin")
        .gives(201, "the link", schema_ref("ShareLink"))
        .fails(&[
            (400, "an invalid time"),
            (404, "no account has this appid"),
            (409, "there are too many links"),
            NOT_DURABLE,
        ]),
        Operation::new("delete", "/v1/share-links/{id}", "removeShareLink", "Revoke a share link")
            .part("id", "id of the link")
            .with_key("admin")
            .gives(200, "the link is revoked", removed)
            .fails(&[(404, "no link has this id"), NOT_DURABLE]),
    ]
}

fn schemas(_: &Config) -> Value {
    json!({
        "NewShareLink": {
            "type": "object",
            "required": ["account"],
            "properties": {
                "account": { "type": "string", "description": "appid of the account to show" },
                "expires_in_days": { "type": ["integer", "null"], "minimum": 1, "maximum": DAYS_MAX, "default": DAYS_DEFAULT },
            },
            "additionalProperties": false,
        },
        "ShareLink": {
            "type": "object",
            "required": ["id", "account", "created", "expires", "expired"],
            "properties": {
                "id": { "type": "string" },
                "account": { "type": "string" },
                "created": { "type": "string", "format": "date-time" },
                "expires": { "type": "string", "format": "date-time" },
                "expired": { "type": "boolean" },
                "url": { "type": "string", "description": "the link itself, only in the answer that made it; only its path if the configuration has neither ui_url nor public_url" },
            },
            "additionalProperties": false,
        },
    })
}
