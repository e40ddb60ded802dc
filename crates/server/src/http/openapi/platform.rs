//! Third-party platforms: WeChat's side of their interfaces, their callbacks, and authorisations by the own interface.

use datacube::ErrorCode;
use serde_json::{Value, json};

use super::{Group, Operation, named};
use crate::{config::Config, intake::path};

pub const GROUP: Group = Group {
    name: "third-party platforms",
    about: "What a third-party platform asks WeChat: its token, authorisations of accounts, and their tokens.",
    operations,
    schemas,
};

const HTML: &str = "text/html; charset=utf-8";

/// What each call may say, in the order of the checks.
const ALWAYS: [ErrorCode; 5] = [
    ErrorCode::REQUIRE_POST,
    ErrorCode::EMPTY_BODY,
    ErrorCode::DATA_FORMAT,
    ErrorCode::INVALID_APPID,
    ErrorCode::SYSTEM_ERROR,
];
const BY_SECRET: [ErrorCode; 5] = [
    ErrorCode::APPID_MISSING,
    ErrorCode::APPSECRET_MISSING,
    ErrorCode::INVALID_APPSECRET,
    ErrorCode::COMPONENT_TICKET_EXPIRED,
    ErrorCode::COMPONENT_TICKET_INVALID,
];
const BY_TOKEN: [ErrorCode; 10] = [
    ErrorCode::ACCESS_TOKEN_MISSING,
    ErrorCode::INVALID_CREDENTIAL,
    ErrorCode::ACCESS_TOKEN_EXPIRED,
    ErrorCode::ACCOUNT_TOKEN,
    ErrorCode::INVALID_COMPONENT,
    ErrorCode::COMPONENT_NOT_AUTHORIZED,
    ErrorCode::CODE_INVALID,
    ErrorCode::CODE_EXPIRED,
    ErrorCode::REFRESH_TOKEN_INVALID,
    ErrorCode::TOO_MANY_ARGUMENTS,
];

/// A call: its name, its operationId, what it gives, the fields of its body besides component_appid, and its answer.
type Call = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const CALLS: [Call; 7] = [
    (
        "api_component_token",
        "getComponentToken",
        "The platform's own token",
        &["component_appsecret", "component_verify_ticket"],
        "ComponentToken",
    ),
    ("api_start_push_ticket", "startPushTicket", "Has tickets pushed", &["component_secret"], "Done"),
    ("api_create_preauthcode", "createPreAuthCode", "A code for the consent page", &[], "PreAuthCode"),
    ("api_query_auth", "queryAuth", "What a consent gave", &["authorization_code"], "Authorization"),
    (
        "api_authorizer_token",
        "getAuthorizerToken",
        "A new token of an account",
        &["authorizer_appid", "authorizer_refresh_token"],
        "AuthorizerToken",
    ),
    (
        "api_get_authorizer_info",
        "getAuthorizerInfo",
        "An account that gave its consent",
        &["authorizer_appid"],
        "AuthorizerInfo",
    ),
    (
        "api_get_authorizer_list",
        "getAuthorizerList",
        "The accounts that gave their consent",
        &["offset", "count"],
        "AuthorizerList",
    ),
];

fn operations(config: &Config) -> Vec<Operation> {
    let calls = CALLS.iter().map(|call| of_call(call, config));
    calls.chain([consent(), consented(), events()]).chain(callbacks()).chain(own()).collect()
}

fn of_call((name, id, summary, fields, answer): &Call, config: &Config) -> Operation {
    let is_by_secret = fields.iter().any(|field| field.ends_with("secret"));
    let schema = |field: &str| match field {
        "offset" => json!({ "type": "integer", "minimum": 0 }),
        "count" => json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    let names: Vec<&str> = std::iter::once("component_appid").chain(fields.iter().copied()).collect();
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), schema(name))).collect();
    let body = json!({ "type": "object", "required": names, "properties": properties });
    let example = json!({ "component_appid": "wx00000000000000c1" });
    let codes = [&ALWAYS[..], if is_by_secret { &BY_SECRET } else { &BY_TOKEN }].concat();
    let operation = Operation::new("post", format!("/cgi-bin/component/{name}"), id, summary).body(
        json!({ "application/json": { "schema": body, "examples": { "platform": { "value": example } } } }),
    );
    let operation = if is_by_secret {
        operation
    } else {
        let token = json!({ "type": "string" });
        operation.query("component_access_token", false, "of api_component_token; or as access_token", token)
    };
    operation.answers_as_wechat(named(answer), &codes, config.upstream.is_some())
}

fn consent() -> Operation {
    let text = || json!({ "type": "string" });
    Operation::new(
        "get",
        "/cgi-bin/componentloginpage",
        "showConsentPage",
        "The page where an account gives its consent",
    )
    .query("component_appid", true, "the platform's", text())
    .query("pre_auth_code", true, "of api_create_preauthcode", text())
    .query("redirect_uri", true, "where the browser goes with auth_code and expires_in", text())
    .query("auth_type", false, "which accounts are offered", text())
    .query("biz_appid", false, "the only account that is offered", text())
    .query("category_id_list", false, "permission sets that are ticked, set apart by |", text())
    .query("lang", false, "zh or en; otherwise the browser's", text())
    .answers(200, "the page", HTML, text())
    .response(302, json!({ "description": "role receive: where WeChat's own page is" }))
    .answers(400, "a page that says what is wrong", HTML, text())
    .answers(429, "a page that says that there were too many tries", HTML, text())
}

fn consented() -> Operation {
    let text = || json!({ "type": "string" });
    let about = "The page's form, sent";
    Operation::new("post", "/cgi-bin/componentloginpage", "sendConsent", about)
        .body(json!({ "application/x-www-form-urlencoded": { "schema": { "type": "object" } } }))
        .answers(200, "the page, or one that says that nothing was given", HTML, text())
        .response(303, json!({ "description": "redirect_uri with auth_code and expires_in" }))
        .answers(400, "a page that says what is wrong", HTML, text())
        .answers(403, "the page again, with what was wrong", HTML, text())
        .answers(429, "a page that says that there were too many tries", HTML, text())
        .answers(503, "a page that says that nothing can be kept", HTML, text())
}

fn events() -> Operation {
    let path = path::of_platform_events("{component_appid}");
    push("post", &path, "receiveComponentEvent", "An event of the platform")
}

fn callbacks() -> [Operation; 2] {
    let path = path::through_platform("{component_appid}", "{appid}");
    let check = push("get", &path, "checkComponentCallback", "WeChat's check of the address");
    let receive = push("post", &path, "receiveComponentCallback", "A message or an event of an account");
    [check, receive].map(|operation| operation.part("appid", "the account's"))
}

fn push(method: &'static str, path: &str, id: &'static str, summary: &'static str) -> Operation {
    let text = || json!({ "type": "string" });
    let plain = "text/plain; charset=utf-8";
    let operation = Operation::new(method, path, id, summary)
        .part("component_appid", "the platform's")
        .query("signature", false, "SHA-1 over token, timestamp and nonce", text())
        .query("msg_signature", false, "decides for an encrypted body", text())
        .query("timestamp", true, "Unix seconds", text())
        .query("nonce", true, "any text", text())
        .answers(200, "taken", "text/plain", text())
        .answers(400, "no push, or it cannot be opened", plain, text())
        .answers(401, "the signature does not fit the platform's token", plain, text())
        .answers(403, "another platform's", plain, text())
        .answers(404, "no platform or account has this appid", plain, text());
    match method {
        "get" => operation.query("echostr", true, "comes back byte for byte", text()),
        _ => operation
            .answers(413, "over 64 KiB", plain, text())
            .body(json!({ "text/xml": { "schema": { "type": "object", "xml": { "name": "xml" } } } })),
    }
}

fn own() -> [Operation; 5] {
    let [listed, withdrawn] = authorizations();
    let [authorized, ticket] = issued();
    [state(), listed, withdrawn, authorized, ticket]
}

fn state() -> Operation {
    let time = || json!({ "type": ["string", "null"], "format": "date-time" });
    let about = "role serve: when push_url took one last, since the start, and why it did not take the newest; receive: when the newest one that came was made";
    let number = || json!({ "type": "integer", "minimum": 0 });
    let shown = json!({
        "type": "object",
        "required": ["appid", "role", "push_url", "ticket", "accounts"],
        "properties": {
            "appid": { "type": "string" },
            "role": { "enum": ["serve", "receive"] },
            "push_url": { "type": ["string", "null"], "description": "without path and query" },
            "ticket": { "type": "object", "description": about, "required": ["time"], "properties": {
                "time": time(), "error": { "type": "string" },
            } },
            "events": { "type": "object", "required": ["waiting", "oldest"], "properties": {
                "waiting": number(), "oldest": time(),
            } },
            "accounts": { "type": "object", "additionalProperties": false, "properties": {
                "authorized": number(), "pending": number(), "unauthorized": number(),
            } },
        },
    });
    Operation::new("get", "/v1/components/{component_appid}", "getComponent", "How a platform fares")
        .about("Its tickets, what waits for its push_url, and how many of its accounts stand how.")
        .part("component_appid", "the platform's")
        .with_key("admin")
        .gives(200, "without any ticket or secret", shown)
        .fails(&[(404, "no platform has this appid")])
}

/// What can go wrong with the platform that a path names.
const NO_PLATFORM: (u16, &str) = (404, "no platform has this appid, or no account this one");
const IS_RECEIVED: (u16, &str) = (409, "WeChat itself issues for this platform: its role is receive");

fn authorizations() -> [Operation; 2] {
    let listed = json!({
        "type": "object",
        "required": ["total", "authorizations"],
        "properties": { "total": { "type": "integer" }, "authorizations": { "type": "array", "items": {
            "type": "object",
            "required": ["appid", "permission_sets", "authorized"],
        } } },
    });
    let removed = json!({ "type": "object", "required": ["removed"] });
    let number = |maximum: u32| json!({ "type": "integer", "minimum": 0, "maximum": maximum });
    [
        Operation::new(
            "get",
            "/v1/components/{component_appid}/authorizations",
            "listAuthorizations",
            "The accounts that gave their consent",
        )
        .part("component_appid", "the platform's")
        .query("offset", false, "how many are left out", number(u32::MAX))
        .query("count", false, "how many are shown", number(500))
        .with_key("admin")
        .gives(200, "which they are", listed)
        .fails(&[(400, "a number that cannot be"), NO_PLATFORM, IS_RECEIVED]),
        Operation::new(
            "delete",
            "/v1/components/{component_appid}/authorizations/{appid}",
            "withdraw",
            "Takes an account's consent back",
        )
        .about("The platform is told, and its tokens for this account give 61003.")
        .part("component_appid", "the platform's")
        .part("appid", "the account's")
        .with_key("admin")
        .gives(200, "it is taken back", removed)
        .fails(&[NO_PLATFORM, IS_RECEIVED, (503, "it could not be made durable")]),
    ]
}

fn issued() -> [Operation; 2] {
    let body = json!({
        "type": "object",
        "required": ["appid", "permission_sets"],
        "additionalProperties": false,
        "properties": {
            "appid": { "type": "string", "minLength": 1 },
            "permission_sets": { "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 1 } },
        },
    });
    let given = json!({
        "type": "object",
        "required": ["auth_code", "expires_in"],
        "properties": { "auth_code": { "type": "string" }, "expires_in": { "const": 600 } },
    });
    let ticket = json!({
        "type": "object",
        "required": ["component_verify_ticket"],
        "properties": { "component_verify_ticket": { "type": "string" } },
    });
    [
        Operation::new(
            "post",
            "/v1/components/{component_appid}/authorizations",
            "authorize",
            "Gives an account's consent",
        )
        .about("What the consent page does by hand.")
        .part("component_appid", "the platform's")
        .takes(body, json!({ "appid": "wx0123456789abcdef", "permission_sets": [1, 2] }))
        .with_key("admin")
        .gives(200, "a code for api_query_auth, good once", given)
        .fails(&[
            (400, "an account or sets that cannot be"),
            NO_PLATFORM,
            IS_RECEIVED,
            (503, "it could not be made durable"),
        ]),
        Operation::new(
            "get",
            "/v1/components/{component_appid}/ticket",
            "getTicket",
            "The newest component_verify_ticket",
        )
        .part("component_appid", "the platform's")
        .with_key("admin")
        .gives(200, "the ticket", ticket)
        .fails(&[NO_PLATFORM]),
    ]
}

fn schemas(_: &Config) -> Value {
    let text = || json!({ "type": "string" });
    let seconds = || json!({ "type": "integer", "minimum": 0 });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let sets = json!({ "type": "array", "items": { "type": "object", "required": ["funcscope_category"] } });
    let token = json!({ "authorizer_access_token": text(), "expires_in": seconds(), "authorizer_refresh_token": text() });
    let mut given = token.clone();
    (given["authorizer_appid"], given["func_info"]) = (text(), sets);
    let listed = object(
        &["authorizer_appid", "refresh_token", "auth_time"],
        json!({ "authorizer_appid": text(), "refresh_token": text(), "auth_time": seconds() }),
    );
    json!({
        "ComponentToken": object(&["component_access_token", "expires_in"], json!({ "component_access_token": text(), "expires_in": seconds() })),
        "PreAuthCode": object(&["pre_auth_code", "expires_in"], json!({ "pre_auth_code": text(), "expires_in": seconds() })),
        "Authorization": object(&["authorization_info"], json!({ "authorization_info": object(&["authorizer_appid", "authorizer_access_token", "expires_in", "authorizer_refresh_token", "func_info"], given.clone()) })),
        "AuthorizerToken": object(&["authorizer_access_token", "expires_in", "authorizer_refresh_token"], token),
        "AuthorizerInfo": object(&["authorizer_info", "authorization_info"], json!({ "authorizer_info": { "type": "object" }, "authorization_info": { "type": "object" } })),
        "AuthorizerList": object(&["total_count", "list"], json!({ "total_count": seconds(), "list": { "type": "array", "items": listed } })),
    })
}
