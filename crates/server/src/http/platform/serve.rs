//! A third-party platform's calls, as WeChat answers them. The order of the checks is COMPATIBILITY.md's.

mod authorizer;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Response, StatusCode, request::Parts},
};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;
use serde_json::{Map, Value, json};

use super::super::{
    answer,
    caller::{Failure, failure, platform},
    record::Told,
};
use crate::{
    accounts::platform_issuer::{Handed, Platform, PlatformError, code::CodeKind},
    auth::access_token::Holder,
    config::Role,
    http::state::App,
};

type Object = Map<String, Value>;

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    ComponentToken,
    StartPushTicket,
    CreatePreauthcode,
    QueryAuth,
    AuthorizerToken,
    AuthorizerInfo,
    AuthorizerList,
}

const CALLS: [(&str, Call); 7] = [
    ("api_component_token", Call::ComponentToken),
    ("api_start_push_ticket", Call::StartPushTicket),
    ("api_create_preauthcode", Call::CreatePreauthcode),
    ("api_query_auth", Call::QueryAuth),
    ("api_authorizer_token", Call::AuthorizerToken),
    ("api_get_authorizer_info", Call::AuthorizerInfo),
    ("api_get_authorizer_list", Call::AuthorizerList),
];

/// Answers a call by its name.
pub async fn answer(
    app: &Arc<App>,
    name: &str,
    parts: &Parts,
    read: Result<(Object, Bytes), Failure>,
) -> Response<Body> {
    let Some((name, call)) = CALLS.iter().find(|(known, _)| *known == name) else {
        let error = "no such call of a third-party platform; COMPATIBILITY.md lists those there are";
        return answer::own_error(StatusCode::NOT_FOUND, error);
    };
    let query = parts.uri.query().unwrap_or_default();
    let told = told(app, query, read.as_ref().ok());
    match answered(app, *call, query, read.map(|(object, _)| object)).await {
        Ok(value) => {
            app.metrics.call(name, 0);
            answer::json(value.to_string())
        }
        Err(failure) => {
            app.metrics.call(name, failure.code.code);
            told.beside(answer::error(app, failure.code, failure.hint.as_ref()))
        }
    }
}

/// Whose call it is: the platform of its token, else the one that it names.
fn told(app: &App, query: &str, read: Option<&(Object, Bytes)>) -> Told {
    let by_token = platform(app, query).ok().and_then(|appid| app.components.get(&appid));
    let is_proven = by_token.is_some();
    let named = || read.and_then(|(object, _)| component_of(app, object).ok());
    let body = read.map(|(_, body)| body.clone()).unwrap_or_default();
    Told::platform(by_token.or_else(named), is_proven, body)
}

async fn answered(
    app: &Arc<App>,
    call: Call,
    query: &str,
    object: Result<Object, Failure>,
) -> Result<Value, Failure> {
    if matches!(call, Call::ComponentToken | Call::StartPushTicket) {
        let object = object?;
        let component = component_of(app, &object)?;
        return match call {
            Call::ComponentToken => component_token(app, &component, &object).await,
            _ => start_push_ticket(&component, &object),
        };
    }
    let caller = platform(app, query)?;
    let object = object?;
    let component = component_of(app, &object)?;
    if component.config.appid != caller {
        return Err(failure(
            ErrorCode::INVALID_COMPONENT,
            text!("component_appid is not the platform that the component_access_token belongs to"),
        ));
    }
    match call {
        Call::QueryAuth => query_auth(app, caller, &object).await,
        Call::AuthorizerToken => authorizer_token(app, caller, &object).await,
        Call::AuthorizerInfo => authorizer::info(app, &caller, &object),
        Call::AuthorizerList => authorizer::list(app, &caller, &object),
        _ => create_preauthcode(app, &caller),
    }
}

/// A text of the body; empty if it is not there, or is no text.
fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn component_of(app: &App, object: &Object) -> Result<Arc<Platform>, Failure> {
    let appid = text(object, "component_appid");
    if appid.is_empty() {
        return Err(failure(ErrorCode::APPID_MISSING, text!("component_appid is missing")));
    }
    app.components.get(appid).filter(|component| component.config.role == Role::Serve).ok_or_else(|| {
        failure(
            ErrorCode::INVALID_APPID,
            text!("no [[component]] of the configuration with role = \"serve\" has this appid"),
        )
    })
}

/// The two calls name the secret differently. Source: WeChat's pages on them.
fn check_secret(component: &Platform, object: &Object, name: &str) -> Result<(), Failure> {
    let secret = text(object, name);
    if secret.is_empty() {
        return Err(failure(ErrorCode::APPSECRET_MISSING, text!("this call names it {name}", name)));
    }
    if !component.config.secret.is(secret) {
        return Err(failure(
            ErrorCode::INVALID_APPSECRET,
            text!("it is the secret of [[component]] in the configuration"),
        ));
    }
    Ok(())
}

async fn component_token(app: &Arc<App>, component: &Platform, object: &Object) -> Result<Value, Failure> {
    check_secret(component, object, "component_appsecret")?;
    let appid = component.config.appid.clone();
    let ticket = text(object, "component_verify_ticket");
    app.components.check_ticket(ticket, &appid, app.clock.now_s()).map_err(|code| {
        let pushed = if component.config.push_url.is_some() {
            text!("; it is pushed to push_url, too")
        } else {
            text!("; with push_url set it is pushed there, too")
        };
        failure(code, text!("the present ticket: GET /v1/components/{appid}/ticket{pushed}", appid, pushed))
    })?;
    let shared = app.clone();
    let issued = to_its_end(async move {
        let holder = Holder::component(&appid);
        Ok(shared.tokens.issue(holder, Vec::new(), &shared.ingest, &shared.clock).await?)
    });
    let issued = issued.await?;
    Ok(json!({"component_access_token": issued.access_token, "expires_in": issued.expires_in}))
}

fn start_push_ticket(component: &Platform, object: &Object) -> Result<Value, Failure> {
    check_secret(component, object, "component_secret")?;
    component.push_now.notify_one();
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn create_preauthcode(app: &App, component: &str) -> Result<Value, Failure> {
    let code = app.components.pre_auth_code(component, app.clock.now_s());
    let code = code.map_err(|error| failed(&error.into()))?;
    Ok(json!({"pre_auth_code": code, "expires_in": CodeKind::PreAuth.life_s()}))
}

async fn query_auth(app: &Arc<App>, component: String, object: &Object) -> Result<Value, Failure> {
    let code = text(object, "authorization_code").to_owned();
    if code.is_empty() {
        return Err(failure(
            ErrorCode::CODE_INVALID,
            text!(
                "authorization_code is missing: it is the auth_code with which the consent page leads back"
            ),
        ));
    }
    let shared = app.clone();
    let handed = to_its_end(async move { shared.components.redeem(&component, &code, shared.desk()).await });
    let Handed { authorization, access_token, refresh_token } = handed.await?;
    Ok(json!({"authorization_info": {
        "authorizer_appid": authorization.account,
        "authorizer_access_token": access_token.access_token,
        "expires_in": access_token.expires_in,
        "authorizer_refresh_token": refresh_token,
        "func_info": authorizer::func_info(&authorization),
    }}))
}

async fn authorizer_token(app: &Arc<App>, component: String, object: &Object) -> Result<Value, Failure> {
    let account = authorizer::appid(object)?.to_owned();
    let refresh_token = text(object, "authorizer_refresh_token").to_owned();
    let shared = app.clone();
    let handed = to_its_end(async move {
        shared.components.refresh(&component, &account, &refresh_token, shared.desk()).await
    });
    let Handed { access_token, refresh_token, .. } = handed.await?;
    Ok(json!({
        "authorizer_access_token": access_token.access_token,
        "expires_in": access_token.expires_in,
        "authorizer_refresh_token": refresh_token,
    }))
}

/// Runs also if the caller hangs up: what is on disk and what is in memory must agree.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, PlatformError>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(change).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => {
            tracing::error!(%error, "a call of a platform broke off");
            Err(ErrorCode::SYSTEM_ERROR.into())
        }
    }
}

fn failed(error: &PlatformError) -> Failure {
    let PlatformError::Refused(code) = error else {
        tracing::error!(%error, "a call of a platform failed");
        return failure(ErrorCode::SYSTEM_ERROR, text!("see /readyz and the log of the server"));
    };
    let hint = match *code {
        ErrorCode::CODE_INVALID => text!("this code was not given to this platform"),
        ErrorCode::CODE_EXPIRED => {
            text!("a code is good once, for 600 s; ask the account to authorise again")
        }
        ErrorCode::REFRESH_TOKEN_INVALID => {
            text!("use the newest authorizer_refresh_token; api_get_authorizer_list shows it")
        }
        _ => return authorizer::not_authorized(),
    };
    failure(*code, hint)
}
