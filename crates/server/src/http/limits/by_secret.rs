//! `clear_quota/v2`: does what `clear_quota` does, with the account's secret instead of a token.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response, header, request::Parts},
};
use bytes::Bytes;
use datacube::{ErrorCode, INTERFACES};
use i18n::Text;
use serde_json::{Map, Value, json};

use super::{
    super::client_credentials::{CLIENT_CREDENTIAL, ClientCredentials},
    BODY_BYTES_MAX, BODY_TIME_MAX, BodyError, answer, failure, gateway, object, ok_json, quota, read_sharing,
    refuse,
};
use crate::{
    accounts::registry::ServedAccount,
    http::{error_recorder::CallContext, state::App},
};

const NAME: &str = "clear_quota_v2";

/// Clears the quotas of all seven interfaces. Appid and secret may come in the body or in the query: WeChat's pages and
/// SDKs use both.
pub async fn clear(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (body, given) = match read_values(&app, &parts, body).await {
        Ok(values) => values,
        Err(ErrorCode::SYSTEM_ERROR) => return refuse(&app, NAME, &ErrorCode::SYSTEM_ERROR.into()),
        Err(code) => {
            let example = r#"POST {"appid":"...","appsecret":"..."}"#;
            return refuse(&app, NAME, &failure(code, Text::plain(example)));
        }
    };
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
    let (appid, secret) = (text("appid"), text("appsecret"));
    let client = parts.extensions.get().copied();
    let credentials = ClientCredentials { appid, grant_type: CLIENT_CREDENTIAL, secret, client };
    let account = match credentials.check(&app) {
        Ok(account) => account,
        Err(code) => return credentials.error_answer(&app, NAME, code, body),
    };
    match quota::clear_these(&app, &account, &INTERFACES).await {
        Ok(()) => clear_at_wechat(&app, account).await,
        Err(failure) => CallContext::proven(account, body).attach_to(refuse(&app, NAME, &failure)),
    }
}

async fn read_values(app: &App, parts: &Parts, body: Body) -> Result<(Bytes, Map<String, Value>), ErrorCode> {
    if parts.method != Method::POST {
        return Err(ErrorCode::REQUIRE_POST);
    }
    let body = read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.unproven).await;
    let body = body.map_err(BodyError::code)?;
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let in_query: Map<String, Value> =
        query.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect();
    if in_query.contains_key("appid") {
        return Ok((body, in_query));
    }
    let in_body = object(&body)?;
    Ok((body, in_body))
}

/// Asks WeChat to clear its quotas too, with the real token. The secret belongs to this server and is not passed on.
async fn clear_at_wechat(app: &Arc<App>, account: Arc<ServedAccount>) -> Response<Body> {
    let Some(upstream) = app.upstream() else {
        app.metrics.call(NAME, 0);
        return answer::wechat_json(ok_json());
    };
    let body = Bytes::from(json!({ "appid": account.config.appid }).to_string());
    // The gateway replaces `x` by the real token.
    let request = http::Request::post("/cgi-bin/clear_quota?access_token=x");
    match request.header(header::CONTENT_TYPE, "application/json").body(()) {
        Ok(request) => gateway::pass(app, &upstream, Some(account), request.into_parts().0, body).await,
        Err(error) => {
            tracing::error!(%error, "WeChat was not asked to clear its quotas");
            refuse(app, NAME, &ErrorCode::SYSTEM_ERROR.into())
        }
    }
}
