//! A small server that is nearly conformant: it has typical errors of mock servers.

use axum::{
    Router,
    body::Bytes,
    http::{Method, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};

use crate::commands::scene::TestResult;

pub(crate) const TOKEN: &str = "70_resemblingToken";

pub(crate) struct Resembling {
    pub(crate) base: String,
}

impl Resembling {
    pub(crate) const DIFFERENCES: [(&str, &str); 8] = [
        ("stable_token: a wrong secret", "HTTP status 401"),
        ("stable_token: an empty body", "a token for everybody"),
        ("stable_token: force_refresh gives another token at once, and the former is 40001", "the same one"),
        ("getupstreammsg: 7 days", "figures are texts"),
        ("getupstreammsg: 8 days", "there is no longest range"),
        ("an error ends with a rid, whose first group is Unix seconds", "there is none"),
        ("the type of an error", "without an encoding"),
        ("an answer is one line", "it is pretty"),
    ];
    pub(crate) const AGREEMENTS: [&str; 4] = [
        "token: without appid",
        "no access_token",
        "getupstreammsgweek: 30 days",
        "days without a Monday hold no week",
    ];
    pub(crate) const PREVENTED: [&str; 2] =
        ["an unknown token", "getupstreammsgweek: weeks by their Monday, with msg_type, msg_user, msg_count"];

    pub(crate) async fn serve() -> TestResult<Resembling> {
        let routes = Router::new()
            .route("/cgi-bin/token", get(token))
            .route("/cgi-bin/stable_token", any(stable_token))
            .route("/datacube/{name}", any(datacube));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(IntoFuture::into_future(axum::serve(listener, routes)));
        Ok(Resembling { base })
    }
}

fn json(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.to_owned()).into_response()
}

async fn token(uri: Uri) -> Response {
    if uri.query().is_some_and(|query| query.contains("appid=")) {
        return json(&format!(r#"{{"access_token":"{TOKEN}","expires_in":7200}}"#));
    }
    json(r#"{"errcode":41002,"errmsg":"appid missing"}"#)
}

async fn stable_token(body: Bytes) -> Response {
    if String::from_utf8_lossy(&body).contains(r#""secret":"wrong""#) {
        let answer = json(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#);
        return (http::StatusCode::UNAUTHORIZED, answer).into_response();
    }
    json(&format!(r#"{{"access_token":"{TOKEN}","expires_in":7200}}"#))
}

async fn datacube(method: Method, uri: Uri, body: Bytes) -> Response {
    let query = uri.query().unwrap_or_default();
    if !query.contains("access_token=") || query.ends_with('=') {
        return json(r#"{"errcode":41001,"errmsg":"access_token missing"}"#);
    }
    if query.contains("unknown") {
        return json(r#"{"errcode":45009,"errmsg":"reach max api daily quota limit"}"#);
    }
    if method != Method::POST {
        // The answer repeats the request.
        return json(&format!(r#"{{"errcode":43002,"errmsg":"require POST method, not {method} {uri}"}}"#));
    }
    let asked: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    match (uri.path(), asked["end_date"].as_str()) {
        ("/datacube/getupstreammsg", Some(day)) => json(&format!(
            "{{\n  \"list\": [{{\"ref_date\":\"{day}\",\"msg_type\":1,\"msg_user\":\"9\",\"msg_count\":10}}]\n}}"
        )),
        _ => json(r#"{"list":[]}"#),
    }
}
