//! The two token endpoints.

use datacube::ErrorCode;
use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "access tokens",
    about: "Tokens for the interfaces above, for an account's appid and secret.",
    operations,
    schemas,
};

/// The error codes, in the order of the checks.
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
    // Then the answer may be an error of WeChat, with any code.
    let is_open = config.upstream.as_ref().is_some_and(|upstream| upstream.expose_real_token);
    let text = || json!({ "type": "string", "minLength": 1 });
    let of_body = [ErrorCode::REQUIRE_POST, ErrorCode::EMPTY_BODY, ErrorCode::DATA_FORMAT];
    let operations = vec![
        Operation::new("get", "/cgi-bin/token", "getAccessToken", "A new token")
            .about("The previous token stays valid for five minutes.")
            .query("grant_type", true, "always client_credential", json!({ "const": "client_credential" }))
            .query("appid", true, "appid of the account", text())
            .query("secret", true, "secret of the account", text())
            .answers_as_wechat(schema_ref("Token"), &CODES, is_open),
        Operation::new("post", "/cgi-bin/stable_token", "getStableAccessToken", "The token that is valid, or a new one")
            .about("Gives the same token with its remaining seconds. Gives a new token if less than 300 s remain, or with force_refresh, which makes the previous token invalid at once.")
            .takes(schema_ref("TokenRequest"), json!({ "grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": "…" }))
            .answers_as_wechat(schema_ref("Token"), &[&of_body[..], &CODES].concat(), is_open),
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
