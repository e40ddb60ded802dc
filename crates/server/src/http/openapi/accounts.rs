//! The admin API for accounts and API keys.

use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::{
    accounts::registry::SECRETS,
    auth::api_keys::{NAME_BYTES_MAX, SCOPES_MAX},
    config::{Config, NAME_CHARACTERS_MAX},
};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "accounts and keys",
    about: "Adds, changes and removes accounts and API keys while the server runs.",
    operations,
    schemas,
};

const CONFIGURED: (u16, &str) = (409, "the account is in the configuration file: change it there");
const NO_ACCOUNT: (u16, &str) = (404, "no account has this appid");
/// Settings without a default. A new account may have null for them.
const NULLABLE: [&str; 7] = [
    "upstream_secret",
    "original_id",
    "token_previous",
    "encoding_aes_key",
    "encoding_aes_key_previous",
    "components",
    "relay",
];
const NOT_DURABLE: (u16, &str) = (503, "the change could not be made durable; nothing changed");

fn operations(_: &Config) -> Vec<Operation> {
    [accounts(), account(), keys()].concat()
}

fn accounts() -> Vec<Operation> {
    let listed = json!({
        "type": "object",
        "required": ["accounts"],
        "properties": { "accounts": { "type": "array", "items": {
            "type": "object",
            "required": ["appid", "name", "coverage"],
            "properties": {
                "appid": { "type": "string" },
                "name": { "type": "string", "description": "what people call it; may be empty" },
                "platforms": account_platforms(),
                "coverage": schema_ref("Coverage"),
            },
            "additionalProperties": false,
        } } },
        "additionalProperties": false,
    });
    vec![
        Operation::new("get", "/v1/accounts", "listAccounts", "The accounts that the key may read")
            .with_key("read:APPID of each")
            .gives(200, "the accounts", listed),
        Operation::new("post", "/v1/accounts", "addAccount", "Add an account")
            .takes(schema_ref("AccountSettings"), json!({ "appid": "wx00000000000000b2", "secret": "0123456789abcdef0123456789abcdef", "token": "callbackToken" }))
            .with_key("admin")
            .gives(201, "the new account", schema_ref("Account"))
            .fails(&[(400, "an invalid setting"), (409, "the account exists already, or there are too many accounts"), NOT_DURABLE]),
    ]
}

fn account() -> Vec<Operation> {
    let one = |method, id, summary| {
        Operation::new(method, "/v1/accounts/{appid}", id, summary)
            .part("appid", "appid of the account")
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
            .gives(200, "the account", schema_ref("Account"))
            .fails(&[NO_ACCOUNT]),
        one("patch", "changeAccount", "Change settings of an account")
            .about("Changes the settings in the body; null removes one.")
            .takes(schema_ref("AccountChanges"), json!({ "certified": false }))
            .gives(200, "the changed account", schema_ref("Account"))
            .fails(&[(400, "an invalid setting"), NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
        one("delete", "removeAccount", "Remove an account")
            .about("Its figures stay. Its tokens become invalid.")
            .gives(200, "the account is removed", removed())
            .fails(&[NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
        Operation::new(
            "post",
            "/v1/accounts/{appid}/rotate",
            "rotate",
            "Make a new key, callback token or secret, which is shown only once",
        )
        .about("The previous key or callback token stays valid.")
        .part("appid", "appid of the account")
        .takes(rotation, json!({ "what": "token" }))
        .with_key("admin")
        .gives(200, "the new value, under the name of the setting", rotated)
        .fails(&[(400, "this cannot be rotated"), NO_ACCOUNT, CONFIGURED, NOT_DURABLE]),
    ]
}

fn keys() -> Vec<Operation> {
    let listed = json!({ "type": "object", "required": ["keys"], "properties": { "keys": { "type": "array", "items": schema_ref("Key") } }, "additionalProperties": false });
    vec![
        Operation::new("get", "/v1/keys", "listKeys", "The API keys, without their secret texts")
            .with_key("admin")
            .gives(200, "the keys", listed),
        Operation::new("post", "/v1/keys", "addKey", "Make an API key, which is shown only once")
            .takes(
                schema_ref("NewKey"),
                json!({ "name": "reports", "scopes": ["read:wx0123456789abcdef"], "expires_in_days": 90 }),
            )
            .with_key("admin")
            .gives(201, "the key", schema_ref("Key"))
            .fails(&[(400, "an invalid scope, name or time"), (409, "there are too many keys"), NOT_DURABLE]),
        Operation::new("delete", "/v1/keys/{id}", "removeKey", "Revoke an API key")
            .part("id", "id of the key")
            .with_key("admin")
            .gives(200, "the key is revoked", removed())
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
    json!({
        "AccountSettings": {
            "type": "object",
            "description": "Settings by their names in [[account]] of the configuration. Files are not read. null means that a setting is not given.",
            "required": ["appid", "secret", "token"],
            "properties": settings(|name| NULLABLE.contains(&name)),
            "additionalProperties": false,
        },
        "AccountChanges": { "type": "object", "properties": settings(|_| true), "additionalProperties": false },
        "Relay": relay(),
        "Account": account_answer(),
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
                "key": { "type": "string", "description": "the secret text of the key; only in the answer that made it" },
            },
            "additionalProperties": false,
        },
    })
}

fn scope() -> Value {
    json!({ "type": "string", "pattern": "^(admin|(read|write)(:.+)?)$" })
}

/// The settings of an account. Those for which `may_be_null` is true may also be null.
fn settings(may_be_null: impl Fn(&str) -> bool) -> Value {
    let text = || json!({ "type": "string", "pattern": "^[!-~]{1,128}$" });
    let key = || json!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}$" });
    let mut settings = json!({
        "appid": text(),
        "name": account_name(),
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
        "quota_per_day": { "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": 0, "description": "calls of each interface in a day of Beijing time; 0: no limit" },
        "ip_allow": { "type": "array", "items": network(), "maxItems": 1024, "description": "addresses and networks that may ask for tokens; empty: all" },
        "secret_frozen": { "type": "boolean", "default": false },
        "components": { "type": "array", "items": text(), "maxItems": 64, "description": "the only third-party platforms (role \"receive\") that its messages may come through; missing: the platform that sent its first message" },
        "relay": schema_ref("Relay"),
    });
    let nullable = settings.as_object_mut().into_iter().flatten().filter(|(name, _)| may_be_null(name));
    nullable.for_each(|(_, schema)| *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] }));
    settings
}

/// A name without control characters and characters that change the writing direction.
fn account_name() -> Value {
    json!({
        "type": "string",
        "maxLength": NAME_CHARACTERS_MAX,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$",
        "default": "",
        "description": "what people call it, at most 64 characters",
    })
}

/// An IP address or a network.
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

/// The platforms whose callbacks carry an account's messages. Missing if there is none.
fn account_platforms() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["component", "status", "original_id"],
            "properties": {
                "component": { "type": "string", "description": "appid of the platform" },
                "status": { "enum": ["pending", "authorized", "unauthorized"] },
                "original_id": { "type": ["string", "null"], "description": "gh_…; null before the first message" },
            },
            "additionalProperties": false,
        },
    })
}

fn account_answer() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["appid", "name", "origin", "callback", "original_id", "kind", "certified", "require_encryption", "secrets", "relay", "upstream", "warnings", "coverage"],
        "properties": {
            "appid": text(),
            "name": { "type": "string", "description": "what people call it; may be empty" },
            "origin": { "enum": ["configuration", "run time", "platform"] },
            "platforms": account_platforms(),
            "callback": { "type": "string", "pattern": "^/(callback|component)/" },
            "original_id": { "type": ["string", "null"] },
            "kind": { "enum": ["service", "subscription", "other"] },
            "certified": { "type": "boolean" },
            "require_encryption": { "type": "boolean" },
            "quota_per_day": { "type": "integer", "minimum": 0, "description": "calls of each interface in a day of Beijing time; 0: no limit" },
            "ip_allow": { "type": "array", "items": text() },
            "secret_frozen": { "type": "boolean" },
            "components": { "type": ["array", "null"], "items": text() },
            "secrets": { "type": "array", "items": { "enum": SECRETS }, "description": "the secrets that are set" },
            "relay": { "anyOf": [schema_ref("Relay"), { "type": "null" }] },
            "upstream": { "type": "boolean", "description": "whether other calls are passed on to WeChat" },
            "warnings": { "type": "array", "items": text() },
            "coverage": schema_ref("Coverage"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::registry::settings::{Origin, Settings, parse_settings};

    #[test]
    fn a_new_account_may_have_null_where_the_schema_allows_it() {
        let schema = settings(|name| NULLABLE.contains(&name));
        for (name, schema) in schema.as_object().unwrap() {
            let mut account: Settings = [("appid", "wx1"), ("secret", "s"), ("token", "t")]
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .into_iter()
                .collect();
            account.insert(name.clone(), Value::Null);
            let is_accepted = parse_settings(account, Origin::Own).is_ok();
            assert_eq!(is_accepted, schema.get("anyOf").is_some(), "{name}");
        }
    }
}
