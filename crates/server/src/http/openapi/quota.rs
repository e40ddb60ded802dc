//! WeChat's interfaces about quotas and request ids.

use datacube::ErrorCode;
use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::config::Config;

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "quotas and rids",
    about: "How many calls an account has left today, and the details of one failed call.",
    operations,
    schemas,
};

const TOKEN: [ErrorCode; 5] = [
    ErrorCode::ACCESS_TOKEN_MISSING,
    ErrorCode::INVALID_CREDENTIAL,
    ErrorCode::ACCESS_TOKEN_EXPIRED,
    ErrorCode::REQUIRE_POST,
    ErrorCode::SYSTEM_ERROR,
];
const BODY: [ErrorCode; 2] = [ErrorCode::EMPTY_BODY, ErrorCode::DATA_FORMAT];

fn operations(config: &Config) -> Vec<Operation> {
    let is_open = config.upstream.is_some();
    let one = |path: &str, id, summary, field: &str, example: &str, success: &str, codes: &[ErrorCode]| {
        let body = json!({
            "type": "object",
            "required": [field],
            "properties": { field: { "type": "string", "minLength": 1 } },
        });
        Operation::new("post", path, id, summary)
            .with_token()
            .takes(body, json!({ field: example }))
            .answers_as_wechat(schema_ref(success), &[&TOKEN[..], &BODY, codes].concat(), is_open)
    };
    let of_rid =
        [ErrorCode::RID_NOT_FOUND, ErrorCode::RID_INVALID, ErrorCode::RID_OF_ANOTHER, ErrorCode::RID_TOO_OLD];
    let of_path = [ErrorCode::CGI_PATH_NOT_FOUND, ErrorCode::CGI_PATH_OF_ANOTHER, ErrorCode::RID_OF_ANOTHER];
    let of_clearing = [ErrorCode::INVALID_APPID, ErrorCode::CLEARED_TOO_OFTEN];
    vec![
        one(
            "/cgi-bin/openapi/quota/get",
            "getQuota",
            "The remaining daily quota of an interface",
            "cgi_path",
            "/datacube/getupstreammsg",
            "Quota",
            &of_path,
        ),
        one(
            "/cgi-bin/openapi/rid/get",
            "getRid",
            "The request of a rid",
            "rid",
            "61725984-6126f6f9-040f19c4",
            "RidRequest",
            &of_rid,
        ),
        one(
            "/cgi-bin/clear_quota",
            "clearQuota",
            "Reset today's quotas of the account",
            "appid",
            "wx0123456789abcdef",
            "Done",
            &of_clearing,
        ),
        one(
            "/cgi-bin/openapi/quota/clear",
            "clearQuotaOfOne",
            "Reset today's quota of one interface",
            "cgi_path",
            "/datacube/getupstreammsg",
            "Done",
            &[&of_path[..], &[ErrorCode::CLEARED_TOO_OFTEN]].concat(),
        ),
        clear_by_secret(is_open),
    ]
}

/// The interface that takes a secret instead of a token.
fn clear_by_secret(is_open: bool) -> Operation {
    let text = json!({ "type": "string", "minLength": 1 });
    let body = json!({
        "type": "object",
        "required": ["appid", "appsecret"],
        "properties": { "appid": text, "appsecret": text },
    });
    let codes = [
        ErrorCode::REQUIRE_POST,
        ErrorCode::EMPTY_BODY,
        ErrorCode::DATA_FORMAT,
        ErrorCode::APPID_MISSING,
        ErrorCode::INVALID_APPID,
        ErrorCode::INVALID_IP,
        ErrorCode::APPSECRET_FROZEN,
        ErrorCode::APPSECRET_MISSING,
        ErrorCode::INVALID_APPSECRET,
        ErrorCode::CLEARED_TOO_OFTEN,
        ErrorCode::SYSTEM_ERROR,
    ];
    let summary = "Reset today's quotas of the account, by its secret";
    Operation::new("post", "/cgi-bin/clear_quota/v2", "clearQuotaBySecret", summary)
        .takes(
            body,
            json!({ "appid": "wx0123456789abcdef", "appsecret": "0123456789abcdef0123456789abcdef" }),
        )
        .answers_as_wechat(schema_ref("Done"), &codes, is_open)
}

fn schemas(_: &Config) -> Value {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let done = json!({ "errcode": { "const": 0 }, "errmsg": { "const": "ok" } });
    let with = |name: &str, schema: Value| {
        let mut properties = done.clone();
        properties[name] = schema;
        json!({ "type": "object", "required": ["errcode", "errmsg", name], "properties": properties })
    };
    let quota = json!({
        "type": "object",
        "required": ["daily_limit", "used", "remain"],
        "properties": { "daily_limit": number(), "used": number(), "remain": number() },
    });
    let request = json!({
        "type": "object",
        "required": ["invoke_time", "cost_in_ms", "request_url", "request_body", "response_body", "client_ip"],
        "properties": {
            "invoke_time": number(),
            "cost_in_ms": number(),
            "request_url": { "type": "string" },
            "request_body": { "type": "string" },
            "response_body": { "type": "string" },
            "client_ip": { "type": "string" },
        },
    });
    json!({
        "Done": { "type": "object", "required": ["errcode", "errmsg"], "properties": done },
        "Quota": with("quota", quota),
        "RidRequest": with("request", request),
    })
}
