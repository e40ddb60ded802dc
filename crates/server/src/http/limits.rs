//! WeChat's interfaces about quotas and request ids. Calls about interfaces that only WeChat has are passed on to
//! WeChat (section 7 of the contract).

mod by_secret;
mod quota;
mod rid;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response, request::Parts},
    routing::any,
};
use bytes::Bytes;
use datacube::ErrorCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    analysis::check_authorization,
    answer,
    caller::{CallFailure, Caller, caller, calling_platform, failure, store_failure, upstream_token_owner},
    error_recorder::CallContext,
    gateway,
    limit_call::{CLEAR_BY_SECRET, LimitCall},
};
use crate::{
    accounts::platform_issuer::Permission,
    http::state::App,
    net::body::{BodyError, object, read_sharing},
};

/// 64 KiB. These bodies hold one value.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A valid request: its caller and its body.
struct LimitRequest {
    caller: Caller,
    object: Map<String, Value>,
}

/// The answer, or the decision to pass the call on.
enum LimitAnswer {
    /// The JSON to send.
    Ready(Vec<u8>),
    /// WeChat has to answer.
    AskWechat,
}

impl LimitCall {
    async fn answer(self, app: &Arc<App>, request: &LimitRequest) -> Result<LimitAnswer, CallFailure> {
        match self {
            LimitCall::QuotaGet => quota::get(app, request).await,
            LimitCall::QuotaClear => quota::clear_one(app, request).await,
            LimitCall::ClearQuota => quota::clear(app, request).await,
            LimitCall::RidGet => rid::get(app, request).await,
        }
    }
}

/// The routes of [`LimitCall`], and of `clear_quota/v2`.
pub fn router() -> Router<Arc<App>> {
    let by_secret = Router::new().route(CLEAR_BY_SECRET, any(by_secret::clear));
    LimitCall::ALL.into_iter().fold(by_secret, |router, call| {
        router.route(call.path(), any(move |state, request| respond(call, state, request)))
    })
}

async fn respond(call: LimitCall, State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let caller = caller(&app, &parts, app.clock.now_s());
    // A real token of a platform itself, or of an account that is not served here.
    if let (Err(_), Some(_), Some(upstream)) = (&caller, upstream_token_owner(&app, &parts), app.upstream()) {
        return gateway::pass(&app, &upstream, None, parts, body).await;
    }
    if call == LimitCall::RidGet
        && let Ok(platform) = calling_platform(&app, parts.uri.query().unwrap_or_default())
    {
        return rid_of_platform(&app, &platform, &parts, body).await;
    }
    let mut context = CallContext::of_caller(&app, &caller, &parts);
    let answered = match check_request(call, &app, caller, &parts, body, &mut context).await {
        Ok(request) => call.answer(&app, &request).await.map(|answer| (answer, request.caller)),
        Err(failure) => Err(failure),
    };
    match (answered, app.upstream()) {
        (Ok((LimitAnswer::Ready(bytes), _)), _) => {
            app.metrics.call(call.name(), 0);
            answer::wechat_json(bytes)
        }
        // Not passed on for a platform: the account's real token has permissions that the account did not give the
        // platform. The part of this server is done already.
        (Ok((LimitAnswer::AskWechat, caller)), Some(_)) if caller.component.is_some() => match call {
            LimitCall::ClearQuota => {
                app.metrics.call(call.name(), 0);
                answer::wechat_json(ok_json())
            }
            _ => {
                context.attach_to(refuse(&app, call.name(), &ErrorCode::API_UNAUTHORIZED_TO_COMPONENT.into()))
            }
        },
        (Ok((LimitAnswer::AskWechat, caller)), Some(upstream)) => {
            gateway::pass(&app, &upstream, caller.account_for_real_token(), parts, context.body).await
        }
        (Ok((LimitAnswer::AskWechat, _)), None) => {
            context.attach_to(refuse(&app, call.name(), &ErrorCode::SYSTEM_ERROR.into()))
        }
        (Err(failure), _) => context.attach_to(refuse(&app, call.name(), &failure)),
    }
}

/// `rid/get` of a platform about one of its own calls. Never passed on: WeChat does not know a platform of this server.
async fn rid_of_platform(app: &Arc<App>, platform: &str, parts: &Parts, body: Body) -> Response<Body> {
    let call = LimitCall::RidGet;
    let found = async {
        check_method(call, parts)?;
        let object = object(&read_body(app, call, body).await?).map_err(|code| call.body_failure(code))?;
        rid::find(app, object.get("rid").and_then(Value::as_str), platform).await
    };
    match found.await {
        Ok(LimitAnswer::Ready(bytes)) => {
            app.metrics.call(call.name(), 0);
            answer::wechat_json(bytes)
        }
        Ok(LimitAnswer::AskWechat) => refuse(app, call.name(), &ErrorCode::RID_NOT_FOUND.into()),
        Err(failure) => refuse(app, call.name(), &failure),
    }
}

fn check_method(call: LimitCall, parts: &Parts) -> Result<(), CallFailure> {
    if parts.method == Method::POST { Ok(()) } else { Err(call.body_failure(ErrorCode::REQUIRE_POST)) }
}

async fn read_body(app: &App, call: LimitCall, body: Body) -> Result<Bytes, CallFailure> {
    let body = read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.proven).await;
    body.map_err(|error| match error {
        BodyError::Full => ErrorCode::SYSTEM_ERROR.into(),
        _ => call.body_failure(error.code()),
    })
}

/// Checks caller, method, authorisation and body, in this order.
async fn check_request(
    call: LimitCall,
    app: &App,
    caller: Result<Caller, CallFailure>,
    parts: &Parts,
    body: Body,
    context: &mut CallContext,
) -> Result<LimitRequest, CallFailure> {
    let caller = caller?;
    check_method(call, parts)?;
    // Any permission set is enough. Source: WeChat's pages on these interfaces.
    if let Some(component) = &caller.component {
        let permission = app.platforms.permission(component, &caller.account.config.appid, 0);
        let is_authorized = permission != Permission::NotAuthorized;
        check_authorization(if is_authorized { Permission::Granted } else { permission })?;
    }
    context.body = read_body(app, call, body).await?;
    let object = object(&context.body).map_err(|code| call.body_failure(code))?;
    Ok(LimitRequest { caller, object })
}

fn refuse(app: &App, name: &'static str, failure: &CallFailure) -> Response<Body> {
    app.metrics.call(name, failure.code.code);
    answer::wechat_error(app, failure.code, failure.hint.as_ref())
}

/// Success without further fields.
fn ok_json() -> Vec<u8> {
    br#"{"errcode":0,"errmsg":"ok"}"#.to_vec()
}

/// Success with further fields beside `errcode` and `errmsg`.
#[derive(Serialize)]
struct Success<T> {
    errcode: i32,
    errmsg: &'static str,
    #[serde(flatten)]
    content: T,
}

impl<T: Serialize> Success<T> {
    fn json(content: T) -> Vec<u8> {
        serde_json::to_vec(&Success { errcode: 0, errmsg: "ok", content }).unwrap_or_default()
    }
}

impl LimitRequest {
    fn text(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;
    use crate::{auth::access_token::Holder, config::Config, http};
    use storage::store::{Memory, Store};
    use system::{clock::Clock, data_key::DataKey};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_platform_without_the_accounts_authorisation_is_refused_before_the_body() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n";
        let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let store = Store::Memory(Memory::default());
        let (app, writer) = App::start_with(config, Clock::real(), store, key).unwrap();
        let holders =
            [(Holder::authorizer("wx1", "wxPlatform"), 61003), (Holder::component("wxPlatform"), 61015)];
        for (holder, code) in holders {
            let token =
                app.tokens.issue(holder, Vec::new(), &app.ingest, &app.clock).await.unwrap().access_token;
            for call in LimitCall::ALL {
                let uri = format!("{}?access_token={token}", call.path());
                let request = axum::http::Request::post(uri).body(Body::empty()).unwrap();
                let response = http::router(app.clone()).router.oneshot(request).await.unwrap();
                let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                let answer: Value = serde_json::from_slice(&body).unwrap();
                // A platform may ask about its own calls.
                let is_own = code == 61015 && call == LimitCall::RidGet;
                assert_eq!(answer["errcode"], if is_own { 44002 } else { code }, "{call:?}: {answer}");
            }
        }
        tokio::task::spawn_blocking(|| writer.stop()).await.unwrap();
    }
}
