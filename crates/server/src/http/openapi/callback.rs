//! WeChat's message callbacks.

use serde_json::{Value, json};

use super::{Group, Operation};
use crate::{config::Config, intake::path};

pub const GROUP: Group = Group {
    name: "callbacks",
    about: "What WeChat sends to an account's server URL: messages and events of its users.",
    operations,
    schemas: |_| json!({}),
};

const TEXT: &str = "text/plain; charset=utf-8";

fn operations(_: &Config) -> Vec<Operation> {
    let path = path::of_account("{appid}");
    let check = Operation::new("get", &path, "checkCallback", "WeChat's check of the address")
        .part("appid", "the account's")
        .query("echostr", true, "comes back byte for byte", json!({ "type": "string" }))
        .answers(200, "echostr", "text/plain", json!({ "type": "string" }));
    let receive = Operation::new("post", &path, "receiveCallback", "A message or an event")
        .about(
            "Plain, compatible or safe mode, as XML or JSON, told by content. `success` is said once the message is durable; where it cannot be made durable in time the connection is closed without an answer, and WeChat sends the message again. With a relay the bot's answer goes back, whatever it is.",
        )
        .part("appid", "the account's")
        .query("msg_signature", false, "decides for an encrypted body", json!({ "type": "string" }))
        .query("encrypt_type", false, "aes for an encrypted body", json!({ "type": "string" }))
        .body(json!({
            "text/xml": { "schema": { "type": "object", "xml": { "name": "xml" }, "properties": message() } },
            "application/json": { "schema": { "type": "object", "properties": message() } },
        }))
        .response(200, json!({
            "description": "taken",
            "content": { "text/plain": { "schema": { "type": "string" } } },
        }))
        .answers(400, "no message, or it cannot be opened", TEXT, json!({ "type": "string" }))
        .answers(403, "another account's", TEXT, json!({ "type": "string" }))
        .answers(413, "over 64 KiB", TEXT, json!({ "type": "string" }))
        .answers(508, "it came from this very server", TEXT, json!({ "type": "string" }));
    [check, receive].into_iter().map(signed).collect()
}

/// What both have.
fn signed(operation: Operation) -> Operation {
    let text = || json!({ "type": "string" });
    let is_check = operation.method == "get";
    operation
        .query("signature", is_check, "SHA-1 over token, timestamp and nonce", text())
        .query("timestamp", true, "Unix seconds", text())
        .query("nonce", true, "any text", text())
        .answers(
            401,
            "the signature does not fit the account's token; or it is plain, and old or where encryption is required",
            TEXT,
            text(),
        )
        .answers(404, "no account has this appid", TEXT, text())
}

fn message() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "ToUserName": text(),
        "FromUserName": text(),
        "CreateTime": { "type": "integer" },
        "MsgType": text(),
        "MsgId": { "type": "integer", "minimum": 0 },
        "Event": text(),
        "EventKey": text(),
        "MsgID": text(),
        "Encrypt": { "type": "string", "description": "the message, encrypted" },
    })
}
