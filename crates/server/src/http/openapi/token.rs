//! Access tokens.

use datacube::ErrorCode;
use serde_json::{Value, json};

use super::{Group, Operation, named};
use crate::config::Config;

pub const GROUP: Group = Group {
    name: "access tokens",
    about: "Tokens for the interfaces above, in exchange for an account's appid and secret.",
    operations,
    schemas,
};

/// In the order of the checks.
const CODES: [ErrorCode; 8] = [
    ErrorCode::APPID_MISSING,
    ErrorCode::INVALID_APPID,
    ErrorCode::INVALID_IP,
    ErrorCode::APPSECRET_FROZEN,
    ErrorCode::INVALID_GRANT_TYPE,
    ErrorCode::APPSECRET_MISSING,
    ErrorCode::INVALID_APPSECRET,
    ErrorCode::SYSTEM_ERROR,
];

fn operations(config: &Config) -> Vec<Operation> {
    // Then WeChat's own refusal of a secret comes through.
    let is_open = config.upstream.as_ref().is_some_and(|upstream| upstream.expose_real_token);
    let text = || json!({ "type": "string", "minLength": 1 });
    let of_body = [ErrorCode::REQUIRE_POST, ErrorCode::EMPTY_BODY, ErrorCode::DATA_FORMAT];
    let operations = vec![
        Operation::new("get", "/cgi-bin/token", "getAccessToken", "A new token")
            .about("The former one lives five minutes more.")
            .query("grant_type", true, "always client_credential", json!({ "const": "client_credential" }))
            .query("appid", true, "the account's", text())
            .query("secret", true, "the account's", text())
            .answers_as_wechat(named("Token"), &CODES, is_open),
        Operation::new("post", "/cgi-bin/stable_token", "getStableAccessToken", "The token that is valid, or a new one")
            .about("The same token with its remaining seconds; a new one when under 300 s remain, or by force_refresh, which ends the former at once.")
            .takes(named("TokenRequest"), json!({ "grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": "…" }))
            .answers_as_wechat(named("Token"), &[&of_body[..], &CODES].concat(), is_open),
    ];
    if !is_open {
        return operations;
    }
    let unreachable = |operation: Operation| operation.fails_as_wechat(&[(502, "WeChat cannot be reached")]);
    operations.into_iter().map(unreachable).collect()
}

fn schemas(_: &Config) -> Value {
    json!({
        "Token": {
            "type": "object",
            "required": ["access_token", "expires_in"],
            "properties": {
                "access_token": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,512}$" },
                "expires_in": { "type": "integer", "minimum": 0, "maximum": 7200, "description": "seconds" },
            },
            "additionalProperties": false,
        },
        "TokenRequest": {
            "type": "object",
            "required": ["grant_type", "appid", "secret"],
            "properties": {
                "grant_type": { "const": "client_credential" },
                "appid": { "type": "string", "minLength": 1 },
                "secret": { "type": "string", "minLength": 1 },
                "force_refresh": { "type": "boolean", "default": false },
            },
        },
    })
}
