//! Third-party platforms: WeChat's side (role "serve") is answered here, calls of the platform's side (role "receive")
//! go on to WeChat.

mod events;
mod pass;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Method, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use msgcube_client::ErrorCode;
use serde_json::{Map, Value};

use super::{
    answer,
    body::read_within,
    callback,
    caller::{Failure, failure},
};
use crate::{app::App, config::Role};

/// Nobody is known yet when the body is read.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/cgi-bin/component/{name}", any(call))
        .route("/component/{component}/events", post(events::receive))
        .route("/component/{component}/callback/{appid}", get(callback::verify))
}

/// A call that names its platform in its body.
async fn call(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match read_object(&parts.method, body).await {
        Ok((object, body)) => {
            let appid = object.get("component_appid").and_then(Value::as_str).map(ToOwned::to_owned);
            let appid = appid.or_else(|| pass::platform_of(&app, &parts)).unwrap_or_default();
            match app.components.get(&appid).map(|component| component.config.role) {
                // Each role has its own module.
                Some(Role::Receive) => pass::call(&app, &appid, parts, &object, body).await,
                Some(Role::Serve) | None => {
                    tracing::debug!(name, "no such call");
                    refuse(&app, &ErrorCode::INVALID_APPID.into())
                }
            }
        }
        Err(failure) => refuse(&app, &failure),
    }
}

async fn read_object(method: &Method, body: Body) -> Result<(Map<String, Value>, Bytes), Failure> {
    if method != Method::POST {
        return Err(failure(ErrorCode::REQUIRE_POST, "send a JSON object by POST", "请用 POST 发送 JSON"));
    }
    let body = read_within(body, BODY_BYTES_MAX, BODY_TIME_MAX).await.map_err(|_| ErrorCode::DATA_FORMAT)?;
    if body.is_empty() {
        return Err(ErrorCode::EMPTY_BODY.into());
    }
    let object = serde_json::from_slice(&body).map_err(|_| ErrorCode::DATA_FORMAT)?;
    Ok((object, body))
}

fn refuse(app: &App, failure: &Failure) -> Response<Body> {
    answer::error(app, failure.code, failure.hint.as_ref())
}
