//! Third-party platforms: WeChat's side (role "serve") is answered here, calls of the platform's side (role "receive")
//! go on to WeChat.

mod consent;
mod events;
mod pass;
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
    caller::{Failure, failure},
    gateway,
};
use crate::{
    config::Role,
    http::state::App,
    intake::path,
    net::body::{BodyError, object, read_sharing},
};

/// Nobody is known yet when the body is read.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/cgi-bin/component/{name}", any(call))
        .route(&path::of_platform_events("{component_appid}"), post(events::receive))
        .route(&path::through_platform("{component_appid}", "{appid}"), callback::route())
        .route("/cgi-bin/componentloginpage", any(consent::page))
}

/// `/cgi-bin/component/{name}`: a call that names its platform in its body.
async fn call(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Response<Body> {
    // Without platforms of ours these are paths of WeChat's like others.
    if app.upstream().is_some() && app.components.all().is_empty() {
        return gateway::fallback(State(app), request).await;
    }
    let (parts, body) = request.into_parts();
    let read = read_object(&app, &parts.method, body).await;
    let named = read.as_ref().ok().and_then(|(object, _)| object.get("component_appid")?.as_str());
    let appid = named.map(ToOwned::to_owned).or_else(|| pass::platform_of(&app, &parts));
    let component = appid.and_then(|appid| app.components.get(&appid));
    // Each role has its own module.
    match (component.filter(|component| component.config.role == Role::Receive), read) {
        (Some(component), Ok((object, body))) => {
            pass::call(&app, &component.config.appid, parts, &object, body).await
        }
        (_, read) => serve::answer(&app, &name, &parts, read).await,
    }
}

async fn read_object(app: &App, method: &Method, body: Body) -> Result<(Map<String, Value>, Bytes), Failure> {
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
