//! WeChat's message callbacks.

use serde_json::{Value, json};

use super::{Operation, PathGroup};
use crate::{config::Config, intake::path};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "callbacks",
    about: "Messages and events of users, which WeChat sends to an account's server URL.",
    operations,
    schemas: |_| json!({}),
};

const TEXT: &str = "text/plain; charset=utf-8";

fn operations(_: &Config) -> Vec<Operation> {
    let path = path::of_account("{appid}");
    let check = Operation::new("get", &path, "checkCallback", "WeChat's check of the address")
        .part("appid", "appid of the account")
        .query("echostr", true, "returned byte for byte", json!({ "type": "string" }))
        .answers(200, "echostr", "text/plain", json!({ "type": "string" }));
    let receive = Operation::new("post", &path, "receiveCallback", "A message or an event")
        .about(
            "Plain, compatible or safe mode, as XML or JSON; the content decides which. The answer is `success` once the message is durable. If it cannot be made durable in time, the connection is closed without an answer, and WeChat sends the message again. With a relay, the bot's answer is returned unchanged.",
        )
        .part("appid", "appid of the account")
        .query("msg_signature", false, "the signature that is checked for an encrypted body", json!({ "type": "string" }))
        .query("encrypt_type", false, "aes for an encrypted body", json!({ "type": "string" }))
        .body(json!({
            "text/xml": { "schema": { "type": "object", "xml": { "name": "xml" }, "properties": message() } },
            "application/json": { "schema": { "type": "object", "properties": message() } },
        }))
        .response(200, json!({
            "description": "the message was accepted",
            "content": { "text/plain": { "schema": { "type": "string" } } },
        }))
        .answers(400, "the body is no message, or cannot be decrypted", TEXT, json!({ "type": "string" }))
        .answers(403, "the message is for another account", TEXT, json!({ "type": "string" }))
        .answers(413, "over 64 KiB", TEXT, json!({ "type": "string" }))
        .answers(508, "the message came from this server itself", TEXT, json!({ "type": "string" }));
    [check, receive].into_iter().map(signed).collect()
}

/// Adds the parameters and answers of every signed callback.
fn signed(operation: Operation) -> Operation {
    let text = || json!({ "type": "string" });
    let is_check = operation.method == "get";
    operation
        .query("signature", is_check, "SHA-1 over token, timestamp and nonce", text())
        .query("timestamp", true, "Unix seconds", text())
        .query("nonce", true, "any text", text())
        .answers(
            401,
            "the signature is wrong; or the message is plain, and is too old or must be encrypted",
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
