//! Third-party platforms: WeChat's interfaces for them, their callbacks, and the admin API for their authorisations.

use datacube::ErrorCode;
use serde_json::{Value, json};

use super::{Operation, PathGroup, schema_ref};
use crate::{config::Config, intake::path};

/// The paths of this file.
pub const GROUP: PathGroup = PathGroup {
    name: "third-party platforms",
    about: "WeChat's interfaces for third-party platforms: the platform's token, authorisations of accounts, and their tokens.",
    operations,
    schemas,
};

const HTML: &str = "text/html; charset=utf-8";

/// The error codes of every interface, in the order of the checks.
const ALWAYS: [ErrorCode; 5] = [
    ErrorCode::REQUIRE_POST,
    ErrorCode::EMPTY_BODY,
    ErrorCode::DATA_FORMAT,
    ErrorCode::INVALID_APPID,
    ErrorCode::SYSTEM_ERROR,
];
/// Further error codes of interfaces that take the platform's secret.
const BY_SECRET: [ErrorCode; 5] = [
    ErrorCode::APPID_MISSING,
    ErrorCode::APPSECRET_MISSING,
    ErrorCode::INVALID_APPSECRET,
    ErrorCode::COMPONENT_TICKET_EXPIRED,
    ErrorCode::COMPONENT_TICKET_INVALID,
];
/// Further error codes of interfaces that take the platform's token.
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

/// An interface: its name, operationId, summary, fields of the body besides component_appid, and schema of the answer.
type PlatformCall = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const CALLS: [PlatformCall; 7] = [
    (
        "api_component_token",
        "getComponentToken",
        "The platform's own token",
        &["component_appsecret", "component_verify_ticket"],
        "ComponentToken",
    ),
    ("api_start_push_ticket", "startPushTicket", "Start the push of tickets", &["component_secret"], "Done"),
    ("api_create_preauthcode", "createPreAuthCode", "A code for the consent page", &[], "PreAuthCode"),
    (
        "api_query_auth",
        "queryAuth",
        "The tokens and permission sets of an authorisation",
        &["authorization_code"],
        "Authorization",
    ),
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
        "An account that authorised the platform",
        &["authorizer_appid"],
        "AuthorizerInfo",
    ),
    (
        "api_get_authorizer_list",
        "getAuthorizerList",
        "The accounts that authorised the platform",
        &["offset", "count"],
        "AuthorizerList",
    ),
];

fn operations(config: &Config) -> Vec<Operation> {
    let calls = CALLS.iter().map(|call| of_call(call, config));
    calls.chain([consent(), consented(), events()]).chain(callbacks()).chain(admin_api()).collect()
}

fn of_call((name, id, summary, fields, answer): &PlatformCall, config: &Config) -> Operation {
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
        operation.query(
            "component_access_token",
            false,
            "from api_component_token; access_token is accepted too",
            token,
        )
    };
    operation.answers_as_wechat(schema_ref(answer), &codes, config.upstream.is_some())
}

fn consent() -> Operation {
    let text = || json!({ "type": "string" });
    Operation::new(
        "get",
        "/cgi-bin/componentloginpage",
        "showConsentPage",
        "The page where an account authorises the platform",
    )
    .query("component_appid", true, "appid of the platform", text())
    .query("pre_auth_code", true, "from api_create_preauthcode", text())
    .query(
        "redirect_uri",
        true,
        "the address to which the browser is sent with auth_code and expires_in",
        text(),
    )
    .query("auth_type", false, "which accounts are offered", text())
    .query("biz_appid", false, "the only account that is offered", text())
    .query("category_id_list", false, "permission sets that are ticked, separated by |", text())
    .query("lang", false, "zh or en; if missing, the browser's language", text())
    .answers(200, "the page", HTML, text())
    .response(302, json!({ "description": "role receive: the address of WeChat's page" }))
    .answers(400, "a page that says what is wrong", HTML, text())
    .answers(429, "a page that says that there were too many tries", HTML, text())
}

fn consented() -> Operation {
    let text = || json!({ "type": "string" });
    let about = "Send the form of the page";
    Operation::new("post", "/cgi-bin/componentloginpage", "sendConsent", about)
        .body(json!({ "application/x-www-form-urlencoded": { "schema": { "type": "object" } } }))
        .answers(200, "the page, or one that says that nothing was granted", HTML, text())
        .response(303, json!({ "description": "redirect_uri with auth_code and expires_in" }))
        .answers(400, "a page that says what is wrong", HTML, text())
        .answers(403, "the page again, with what was wrong", HTML, text())
        .answers(429, "a page that says that there were too many tries", HTML, text())
        .answers(503, "a page that says that nothing can be made durable", HTML, text())
}

fn events() -> Operation {
    let path = path::of_platform_events("{component_appid}");
    push("post", &path, "receiveComponentEvent", "An event of the platform")
}

fn callbacks() -> [Operation; 2] {
    let path = path::through_platform("{component_appid}", "{appid}");
    let check = push("get", &path, "checkComponentCallback", "WeChat's check of the address");
    let receive = push("post", &path, "receiveComponentCallback", "A message or an event of an account");
    [check, receive].map(|operation| operation.part("appid", "appid of the account"))
}

fn push(method: &'static str, path: &str, id: &'static str, summary: &'static str) -> Operation {
    let text = || json!({ "type": "string" });
    let plain = "text/plain; charset=utf-8";
    let operation = Operation::new(method, path, id, summary)
        .part("component_appid", "appid of the platform")
        .query("signature", false, "SHA-1 over token, timestamp and nonce", text())
        .query("msg_signature", false, "the signature that is checked for an encrypted body", text())
        .query("timestamp", true, "Unix seconds", text())
        .query("nonce", true, "any text", text())
        .answers(200, "the push was accepted", "text/plain", text())
        .answers(400, "the body is no push, or cannot be decrypted", plain, text())
        .answers(401, "the signature is wrong", plain, text())
        .answers(403, "the push is for another platform", plain, text())
        .answers(404, "no platform or account has this appid", plain, text());
    match method {
        "get" => operation.query("echostr", true, "returned byte for byte", text()),
        _ => operation
            .answers(413, "over 64 KiB", plain, text())
            .body(json!({ "text/xml": { "schema": { "type": "object", "xml": { "name": "xml" } } } })),
    }
}

fn admin_api() -> [Operation; 5] {
    let [listed, withdrawn] = authorizations();
    let [authorized, ticket] = issued();
    [state(), listed, withdrawn, authorized, ticket]
}

fn state() -> Operation {
    let time = || json!({ "type": ["string", "null"], "format": "date-time" });
    let about = "role serve: when push_url last accepted a ticket since the start, and why it did not accept the newest; role receive: when WeChat made the newest ticket that arrived";
    let number = || json!({ "type": "integer", "minimum": 0 });
    let state = json!({
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
    Operation::new("get", "/v1/components/{component_appid}", "getComponent", "The state of a platform")
        .about(
            "Its tickets, the events that wait for its push_url, and the number of accounts in each state.",
        )
        .part("component_appid", "appid of the platform")
        .with_key("admin")
        .gives(200, "the state, without tickets and secrets", state)
        .fails(&[(404, "no platform has this appid")])
}

/// The platform or the account in the path is unknown.
const NO_PLATFORM: (u16, &str) = (404, "no platform or no account has this appid");
const IS_RECEIVED: (u16, &str) =
    (409, "the platform has role receive: WeChat issues its tickets and authorisations");

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
            "The accounts that authorised the platform",
        )
        .part("component_appid", "appid of the platform")
        .query("offset", false, "how many accounts to skip", number(u32::MAX))
        .query("count", false, "most accounts in the answer", number(500))
        .with_key("admin")
        .gives(200, "the accounts", listed)
        .fails(&[(400, "an invalid number"), NO_PLATFORM, IS_RECEIVED]),
        Operation::new(
            "delete",
            "/v1/components/{component_appid}/authorizations/{appid}",
            "withdraw",
            "Take back the authorisation of an account",
        )
        .about("The platform is notified, and its tokens for this account give 61003.")
        .part("component_appid", "appid of the platform")
        .part("appid", "appid of the account")
        .with_key("admin")
        .gives(200, "the authorisation is taken back", removed)
        .fails(&[NO_PLATFORM, IS_RECEIVED, (503, "the change could not be made durable")]),
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
            "Authorise the platform for an account",
        )
        .about("Does what a user does on the consent page.")
        .part("component_appid", "appid of the platform")
        .takes(body, json!({ "appid": "wx0123456789abcdef", "permission_sets": [1, 2] }))
        .with_key("admin")
        .gives(200, "a code for api_query_auth, valid once", given)
        .fails(&[
            (400, "an invalid account or permission set"),
            NO_PLATFORM,
            IS_RECEIVED,
            (503, "the change could not be made durable"),
        ]),
        Operation::new(
            "get",
            "/v1/components/{component_appid}/ticket",
            "getTicket",
            "The newest component_verify_ticket",
        )
        .part("component_appid", "appid of the platform")
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
