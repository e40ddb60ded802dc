//! WeChat's interfaces about its interfaces: quotas and what became of a call. What is WeChat's own among it goes on to
//! WeChat (the contract, section 7).

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
    answer,
    caller::{Caller, Failure, caller, failure, platform, remembered},
    gateway,
    limit_call::{CLEAR_BY_SECRET, Call},
    record::Told,
};
use crate::http::analysis::check_authorization;
use crate::{
    accounts::platform_issuer::Permission,
    http::state::App,
    net::body::{BodyError, object, read_sharing},
};

/// Source: the contract for other interfaces; these bodies name one thing.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// What was asked, and by whom.
struct Question {
    caller: Caller,
    object: Map<String, Value>,
}

/// Who answers.
enum Answer {
    Ours(Vec<u8>),
    WeChats,
}

impl Call {
    async fn answer(self, app: &Arc<App>, question: &Question) -> Result<Answer, Failure> {
        match self {
            Call::QuotaGet => quota::get(app, question),
            Call::QuotaClear => quota::clear_one(app, question).await,
            Call::ClearQuota => quota::clear(app, question).await,
            Call::RidGet => rid::get(app, question),
        }
    }
}

pub fn router() -> Router<Arc<App>> {
    let by_secret = Router::new().route(CLEAR_BY_SECRET, any(by_secret::clear));
    Call::ALL.into_iter().fold(by_secret, |router, call| {
        router.route(call.path(), any(move |state, request| respond(call, state, request)))
    })
}

async fn respond(call: Call, State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let caller = caller(&app, &parts, app.clock.now_s());
    // A platform asks about itself, or about an account that is not counted here.
    if let (Err(_), Some(_), Some(upstream)) = (&caller, remembered(&app, &parts), app.upstream()) {
        return gateway::pass(&app, &upstream, None, parts, body).await;
    }
    if call == Call::RidGet
        && let Ok(platform) = platform(&app, parts.uri.query().unwrap_or_default())
    {
        return rid_of_platform(&app, &platform, &parts, body).await;
    }
    let mut told = Told::of(&app, &caller, &parts);
    let answered = match question(call, &app, caller, &parts, body, &mut told).await {
        Ok(question) => call.answer(&app, &question).await.map(|answer| (answer, question.caller)),
        Err(failure) => Err(failure),
    };
    match (answered, app.upstream()) {
        (Ok((Answer::Ours(bytes), _)), _) => {
            app.metrics.call(call.name(), 0);
            answer::json(bytes)
        }
        // The account's real token would open more to a platform than the account gave it. What is ours is done.
        (Ok((Answer::WeChats, caller)), Some(_)) if caller.component.is_some() => match call {
            Call::ClearQuota => {
                app.metrics.call(call.name(), 0);
                answer::json(ok())
            }
            _ => told.beside(refuse(&app, call.name(), &ErrorCode::API_UNAUTHORIZED_TO_COMPONENT.into())),
        },
        (Ok((Answer::WeChats, caller)), Some(upstream)) => {
            gateway::pass(&app, &upstream, caller.in_need_of_token(), parts, told.body).await
        }
        (Ok((Answer::WeChats, _)), None) => {
            told.beside(refuse(&app, call.name(), &ErrorCode::SYSTEM_ERROR.into()))
        }
        (Err(failure), _) => told.beside(refuse(&app, call.name(), &failure)),
    }
}

/// A platform asks about a call of its own. Nothing goes on: WeChat knows no platform of ours.
async fn rid_of_platform(app: &Arc<App>, platform: &str, parts: &Parts, body: Body) -> Response<Body> {
    let call = Call::RidGet;
    let found = async {
        check_method(call, parts)?;
        let object = object(&read(app, call, body).await?).map_err(|code| call.in_need_of_body(code))?;
        rid::find(app, object.get("rid").and_then(Value::as_str), platform)
    };
    match found.await {
        Ok(Answer::Ours(bytes)) => {
            app.metrics.call(call.name(), 0);
            answer::json(bytes)
        }
        Ok(Answer::WeChats) => refuse(app, call.name(), &ErrorCode::RID_NOT_FOUND.into()),
        Err(failure) => refuse(app, call.name(), &failure),
    }
}

fn check_method(call: Call, parts: &Parts) -> Result<(), Failure> {
    if parts.method == Method::POST { Ok(()) } else { Err(call.in_need_of_body(ErrorCode::REQUIRE_POST)) }
}

async fn read(app: &App, call: Call, body: Body) -> Result<Bytes, Failure> {
    let body = read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.proven).await;
    body.map_err(|error| match error {
        BodyError::Full => ErrorCode::SYSTEM_ERROR.into(),
        _ => call.in_need_of_body(error.code()),
    })
}

async fn question(
    call: Call,
    app: &App,
    caller: Result<Caller, Failure>,
    parts: &Parts,
    body: Body,
    told: &mut Told,
) -> Result<Question, Failure> {
    let caller = caller?;
    check_method(call, parts)?;
    // Any permission set will do. Source: WeChat's pages on these interfaces.
    if let Some(component) = &caller.component {
        let permission = app.components.permission(component, &caller.account.config.appid, 0);
        let is_authorized = permission != Permission::NotAuthorized;
        check_authorization(if is_authorized { Permission::Granted } else { permission })?;
    }
    told.body = read(app, call, body).await?;
    let object = object(&told.body).map_err(|code| call.in_need_of_body(code))?;
    Ok(Question { caller, object })
}

fn refuse(app: &App, name: &'static str, failure: &Failure) -> Response<Body> {
    app.metrics.call(name, failure.code.code);
    answer::error(app, failure.code, failure.hint.as_ref())
}

/// Success without content.
fn ok() -> Vec<u8> {
    br#"{"errcode":0,"errmsg":"ok"}"#.to_vec()
}

/// Success with more.
#[derive(Serialize)]
struct Success<T> {
    errcode: i32,
    errmsg: &'static str,
    #[serde(flatten)]
    content: T,
}

impl<T: Serialize> Success<T> {
    fn bytes(content: T) -> Vec<u8> {
        serde_json::to_vec(&Success { errcode: 0, errmsg: "ok", content }).unwrap_or_default()
    }
}

impl Question {
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
        let app = Arc::new(app);
        let holders =
            [(Holder::authorizer("wx1", "wxPlatform"), 61003), (Holder::component("wxPlatform"), 61015)];
        for (holder, code) in holders {
            let token =
                app.tokens.issue(holder, Vec::new(), &app.ingest, &app.clock).await.unwrap().access_token;
            for call in Call::ALL {
                let uri = format!("{}?access_token={token}", call.path());
                let request = axum::http::Request::post(uri).body(Body::empty()).unwrap();
                let response = http::router(app.clone()).router.oneshot(request).await.unwrap();
                let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                let answer: Value = serde_json::from_slice(&body).unwrap();
                // A platform may ask about its own calls.
                let is_own = code == 61015 && call == Call::RidGet;
                assert_eq!(answer["errcode"], if is_own { 44002 } else { code }, "{call:?}: {answer}");
            }
        }
        tokio::task::spawn_blocking(|| writer.stop()).await.unwrap();
    }
}
