//! Third-party platforms. Role "serve": msgcube answers in place of WeChat. Role "receive": the platform's calls go on to
//! WeChat.

mod consent;
mod events;
mod forward_call;
pub mod push;
mod serve;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Method, Response},
    routing::{any, post},
};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;
use serde_json::{Map, Value};

use super::{
    callback,
    caller::{CallFailure, failure},
    gateway,
};
use crate::{
    config::Role,
    http::state::App,
    intake::path,
    net::body::{BodyError, object, read_sharing},
};

/// Bytes of a body, which is read before the caller is known.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Routes of the platforms' calls, events, callbacks and the consent page.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/cgi-bin/component/{name}", any(call))
        .route(&path::of_platform_events("{component_appid}"), post(events::receive))
        .route(&path::through_platform("{component_appid}", "{appid}"), callback::route())
        .route("/cgi-bin/componentloginpage", any(consent::page))
}

/// Answers `/cgi-bin/component/{name}`. The body names the platform.
async fn call(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    // Without configured platforms these paths go to WeChat like any other.
    if app.upstream().is_some() && app.platforms.all().is_empty() {
        return gateway::fallback(State(app), request).await;
    }
    let (parts, body) = request.into_parts();
    let read = read_object(&app, &parts.method, body).await;
    let named = read.as_ref().ok().and_then(|(object, _)| object.get("component_appid")?.as_str());
    let appid = named.map(ToOwned::to_owned).or_else(|| forward_call::platform_of(&app, &parts));
    let platform = appid.and_then(|appid| app.platforms.get(&appid));
    // `forward_call` is role "receive", `serve` is role "serve".
    match (platform.filter(|platform| platform.config.role == Role::Receive), read) {
        (Some(platform), Ok((object, body))) => {
            forward_call::call(&app, &platform.config.appid, parts, &object, body).await
        }
        (_, read) => serve::answer(&app, &name, &parts, read).await,
    }
}

async fn read_object(
    app: &App,
    method: &Method,
    body: Body,
) -> Result<(Map<String, Value>, Bytes), CallFailure> {
    let wrong = |code| failure(code, text!("send a JSON object by POST"));
    if method != Method::POST {
        return Err(wrong(ErrorCode::REQUIRE_POST));
    }
    let body = read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.unproven).await;
    let body = body.map_err(|error| match error {
        BodyError::Full => ErrorCode::SYSTEM_ERROR.into(),
        _ => wrong(error.code()),
    })?;
    Ok((object(&body).map_err(wrong)?, body))
}
