//! The own interface for accounts and keys at run time.

use serde_json::{Value, json};

use super::{Group, Operation, named};
use crate::{
    accounts::registry::SECRETS,
    auth::api_keys::{NAME_BYTES_MAX, SCOPES_MAX},
    config::Config,
    intake::path::OF_ACCOUNTS,
};

pub const GROUP: Group = Group {
    name: "accounts and keys",
    about: "Accounts and keys that are added, changed and removed while the server runs.",
    operations,
    schemas,
};

const CONFIGURED: (u16, &str) = (409, "it stands in the configuration file, where alone it can be changed");
const NO_ACCOUNT: (u16, &str) = (404, "no account has this appid");
const NOT_DURABLE: (u16, &str) = (503, "it could not be made durable; nothing changed");

fn operations(_: &Config) -> Vec<Operation> {
    [accounts(), account(), keys()].concat()
}

fn accounts() -> Vec<Operation> {
    let listed = json!({
        "type": "object",
        "required": ["accounts"],
        "properties": { "accounts": { "type": "array", "items": {
            "type": "object",
            "required": ["appid", "coverage"],
            "properties": { "appid": { "type": "string" }, "coverage": named("Coverage") },
            "additionalProperties": false,
        } } },
        "additionalProperties": false,
    });
    vec![
        Operation::new("get", "/v1/accounts", "listAccounts", "The accounts that the key may read")
            .with_key("read:APPID of each")
            .gives(200, "the accounts", listed),
        Operation::new("post", "/v1/accounts", "addAccount", "Another account")
            .takes(named("AccountSettings"), json!({ "appid": "wx00000000000000b2", "secret": "0123456789abcdef0123456789abcdef", "token": "callbackToken" }))
            .with_key("admin")
            .gives(201, "it is served", named("Account"))
            .fails(&[(400, "a setting that cannot be"), (409, "it is there already, or there are too many"), NOT_DURABLE]),
    ]
}

fn account() -> Vec<Operation> {
    let one = |method, id, summary| {
        Operation::new(method, "/v1/accounts/{appid}", id, summary)
            .part("appid", "the account's")
            .with_key("admin")
    };
    let secrets = json!({ "appid": { "type": "string" }, "secret": { "type": "string" }, "token": { "type": "string" }, "encoding_aes_key": { "type": "string" } });
    let rotated = json!({ "type": "object", "required": ["appid"], "properties": secrets, "minProperties": 2, "maxProperties": 2, "additionalProperties": false });
    let rotation = json!({
        "type": "object",
        "required": ["what"],
        "properties": { "what": { "enum": ["encoding_aes_key", "token", "secret"] } },
        "additionalProperties": false,
    });
    vec![
        one("get", "showAccount", "An account without its secrets")
            .gives(200, "the account", named("Account"))
            .fails(&[NO_ACCOUNT]),
        one("patch", "changeAccount", "Other settings")
            .about("Those that are named; null removes one.")
            .takes(named("AccountChanges"), json!({ "certified": false }))
            .gives(200, "they hold", named("Account"))
            .fails(&[(400, "a setting that cannot be"), NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
        one("delete", "removeAccount", "Serves an account no more")
            .about("What was counted stays; its tokens end.")
            .gives(200, "it is not served", removed())
            .fails(&[NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
        Operation::new(
            "post",
            "/v1/accounts/{appid}/rotate",
            "rotate",
            "A new key, callback token or secret, shown this once",
        )
        .about("The former key or callback token is still taken.")
        .part("appid", "the account's")
        .takes(rotation, json!({ "what": "token" }))
        .with_key("admin")
        .gives(200, "the new value, by its name", rotated)
        .fails(&[(400, "nothing that can be rotated"), NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
    ]
}

fn keys() -> Vec<Operation> {
    let listed = json!({ "type": "object", "required": ["keys"], "properties": { "keys": { "type": "array", "items": named("Key") } }, "additionalProperties": false });
    vec![
        Operation::new("get", "/v1/keys", "listKeys", "The keys, without what opens")
            .with_key("admin")
            .gives(200, "the keys", listed),
        Operation::new("post", "/v1/keys", "addKey", "Another key, shown this once")
            .takes(
                named("NewKey"),
                json!({ "name": "reports", "scopes": ["read:wx0123456789abcdef"], "expires_in_days": 90 }),
            )
            .with_key("admin")
            .gives(201, "the key", named("Key"))
            .fails(&[
                (400, "a scope, a name or a time that cannot be"),
                (409, "there are too many"),
                NOT_DURABLE,
            ]),
        Operation::new("delete", "/v1/keys/{id}", "removeKey", "Ends a key")
            .part("id", "the key's")
            .with_key("admin")
            .gives(200, "it opens nothing", removed())
            .fails(&[(404, "no key has this id"), NOT_DURABLE]),
    ]
}

fn removed() -> Value {
    json!({
        "type": "object",
        "required": ["removed"],
        "properties": { "removed": { "type": "string" } },
        "additionalProperties": false,
    })
}

fn schemas(_: &Config) -> Value {
    let mut changes = settings();
    if let Some(properties) = changes.as_object_mut() {
        properties
            .values_mut()
            .for_each(|schema| *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] }));
    }
    json!({
        "AccountSettings": {
            "type": "object",
            "description": "The names of [[account]] in the configuration; files are not read.",
            "required": ["appid", "secret", "token"],
            "properties": settings(),
            "additionalProperties": false,
        },
        "AccountChanges": { "type": "object", "properties": changes, "additionalProperties": false },
        "Relay": relay(),
        "Account": account_shown(),
        "NewKey": {
            "type": "object",
            "required": ["scopes"],
            "properties": {
                "name": { "type": "string", "maxLength": NAME_BYTES_MAX, "description": "at most 128 bytes" },
                "scopes": { "type": "array", "items": scope(), "minItems": 1, "maxItems": SCOPES_MAX },
                "expires_in_days": { "type": ["integer", "null"], "minimum": 1, "maximum": 36_500 },
            },
            "additionalProperties": false,
        },
        "Key": {
            "type": "object",
            "required": ["id", "name", "scopes", "created", "expires", "expired"],
            "properties": {
                "id": { "type": "string" },
                "name": { "type": "string" },
                "scopes": { "type": "array", "items": scope() },
                "created": { "type": "string", "format": "date-time" },
                "expires": { "type": ["string", "null"], "format": "date-time" },
                "expired": { "type": "boolean" },
                "key": { "type": "string", "description": "what opens; only when it was just made" },
            },
            "additionalProperties": false,
        },
    })
}

fn scope() -> Value {
    json!({ "type": "string", "pattern": "^(admin|(read|write)(:.+)?)$" })
}

fn settings() -> Value {
    let text = || json!({ "type": "string", "pattern": "^[!-~]{1,128}$" });
    let key = || json!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}$" });
    json!({
        "appid": text(),
        "secret": text(),
        "upstream_secret": text(),
        "original_id": { "type": "string", "description": "gh_…" },
        "token": text(),
        "token_previous": text(),
        "encoding_aes_key": key(),
        "encoding_aes_key_previous": key(),
        "require_encryption": { "type": "boolean", "default": false },
        "kind": { "enum": ["service", "subscription", "other"], "default": "service" },
        "certified": { "type": "boolean", "default": true },
        "quota_per_day": { "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 0, "description": "calls of each interface on a day in Beijing; 0: any number" },
        "ip_allow": { "type": "array", "items": network(), "maxItems": 1024, "description": "addresses and networks that tokens may be asked for from; none: all" },
        "secret_frozen": { "type": "boolean", "default": false },
        "components": { "type": "array", "items": text(), "maxItems": 64, "description": "the third-party platforms (role \"receive\") that its messages come through, and no others; left out: the one that brought it" },
        "relay": named("Relay"),
    })
}

/// An address, or a network of them.
fn network() -> Value {
    let number = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    let of_version_4 = format!("^({number}\\.){{3}}{number}/(3[0-2]|[12]?[0-9])$");
    json!({
        "type": "string",
        "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }, { "pattern": of_version_4 }, { "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" }],
    })
}

fn relay() -> Value {
    let address = || json!({ "type": "string", "pattern": "^https?://[A-Za-z0-9.:-]+(/[!$&-;=?-Z_a-z~]*)?$", "description": "http or https" });
    json!({
        "type": "object",
        "description": "The bot behind the callback.",
        "required": ["url"],
        "properties": {
            "url": address(),
            "when_not_durable": { "enum": ["answer", "refuse"], "default": "answer" },
            "on_late": { "enum": ["close", "success"], "default": "close" },
            "listeners": { "type": "array", "items": address(), "maxItems": 8 },
        },
        "additionalProperties": false,
    })
}

fn account_shown() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["appid", "origin", "callback", "original_id", "kind", "certified", "require_encryption", "secrets", "relay", "upstream", "warnings", "coverage"],
        "properties": {
            "appid": text(),
            "origin": { "enum": ["configuration", "run time"] },
            "callback": { "type": "string", "pattern": format!("^{OF_ACCOUNTS}") },
            "original_id": { "type": ["string", "null"] },
            "kind": { "enum": ["service", "subscription", "other"] },
            "certified": { "type": "boolean" },
            "require_encryption": { "type": "boolean" },
            "components": { "type": ["array", "null"], "items": text() },
            "secrets": { "type": "array", "items": { "enum": SECRETS }, "description": "which there are" },
            "relay": { "anyOf": [named("Relay"), { "type": "null" }] },
            "upstream": { "type": "boolean", "description": "whether other calls go on to WeChat" },
            "warnings": { "type": "array", "items": text() },
            "coverage": named("Coverage"),
        },
    })
}
