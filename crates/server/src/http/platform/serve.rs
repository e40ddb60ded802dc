//! Answers the calls of a third-party platform as WeChat does. COMPATIBILITY.md gives the order of the checks.

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
    caller::{CallFailure, calling_platform, failure},
    error_recorder::CallContext,
};
use crate::{
    accounts::platform_issuer::{IssuedTokens, Platform, PlatformError, code::CodeKind},
    auth::access_token::Holder,
    config::Role,
    http::state::App,
};

type Object = Map<String, Value>;

/// The calls that are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlatformCall {
    ComponentToken,
    StartPushTicket,
    CreatePreauthcode,
    QueryAuth,
    AuthorizerToken,
    AuthorizerInfo,
    AuthorizerList,
}

const CALLS: [(&str, PlatformCall); 7] = [
    ("api_component_token", PlatformCall::ComponentToken),
    ("api_start_push_ticket", PlatformCall::StartPushTicket),
    ("api_create_preauthcode", PlatformCall::CreatePreauthcode),
    ("api_query_auth", PlatformCall::QueryAuth),
    ("api_authorizer_token", PlatformCall::AuthorizerToken),
    ("api_get_authorizer_info", PlatformCall::AuthorizerInfo),
    ("api_get_authorizer_list", PlatformCall::AuthorizerList),
];

/// Answers a call by its name.
pub async fn answer(
    app: &Arc<App>,
    name: &str,
    parts: &Parts,
    read: Result<(Object, Bytes), CallFailure>,
) -> Response<Body> {
    let Some((name, call)) = CALLS.iter().find(|(known, _)| *known == name) else {
        let error = "no such call of a third-party platform; COMPATIBILITY.md lists the calls";
        return answer::api_error(StatusCode::NOT_FOUND, error);
    };
    let query = parts.uri.query().unwrap_or_default();
    let context = call_context(app, query, read.as_ref().ok());
    match dispatch(app, *call, query, read.map(|(object, _)| object)).await {
        Ok(value) => {
            app.metrics.call(name, 0);
            answer::wechat_json(value.to_string())
        }
        Err(failure) => {
            app.metrics.call(name, failure.code.code);
            context.attach_to(answer::wechat_error(app, failure.code, failure.hint.as_ref()))
        }
    }
}

/// Context of a call: the platform of its token, or else the one that the body names.
fn call_context(app: &App, query: &str, read: Option<&(Object, Bytes)>) -> CallContext {
    let by_token = calling_platform(app, query).ok().and_then(|appid| app.platforms.get(&appid));
    let is_proven = by_token.is_some();
    let named = || read.and_then(|(object, _)| component_of(app, object).ok());
    let body = read.map(|(_, body)| body.clone()).unwrap_or_default();
    CallContext::platform(by_token.or_else(named), is_proven, body)
}

async fn dispatch(
    app: &Arc<App>,
    call: PlatformCall,
    query: &str,
    object: Result<Object, CallFailure>,
) -> Result<Value, CallFailure> {
    if matches!(call, PlatformCall::ComponentToken | PlatformCall::StartPushTicket) {
        let object = object?;
        let platform = component_of(app, &object)?;
        return match call {
            PlatformCall::ComponentToken => component_token(app, &platform, &object).await,
            _ => start_push_ticket(&platform, &object),
        };
    }
    let caller = calling_platform(app, query)?;
    let object = object?;
    let platform = component_of(app, &object)?;
    if platform.config.appid != caller {
        return Err(failure(
            ErrorCode::INVALID_COMPONENT,
            text!("component_appid is not the platform that the component_access_token belongs to"),
        ));
    }
    match call {
        PlatformCall::QueryAuth => query_auth(app, caller, &object).await,
        PlatformCall::AuthorizerToken => authorizer_token(app, caller, &object).await,
        PlatformCall::AuthorizerInfo => authorizer::info(app, &caller, &object),
        PlatformCall::AuthorizerList => authorizer::list(app, &caller, &object),
        _ => create_preauthcode(app, &caller),
    }
}

/// A string of the body. Empty if it is missing or not a string.
fn text_field<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn component_of(app: &App, object: &Object) -> Result<Arc<Platform>, CallFailure> {
    let appid = text_field(object, "component_appid");
    if appid.is_empty() {
        return Err(failure(ErrorCode::APPID_MISSING, text!("component_appid is missing")));
    }
    app.platforms.get(appid).filter(|platform| platform.config.role == Role::Serve).ok_or_else(|| {
        failure(
            ErrorCode::INVALID_APPID,
            text!("no [[component]] of the configuration with role = \"serve\" has this appid"),
        )
    })
}

/// Checks the secret in the field `name`. The two calls name the field differently. Source: WeChat's pages on them.
fn check_secret(platform: &Platform, object: &Object, name: &str) -> Result<(), CallFailure> {
    let secret = text_field(object, name);
    if secret.is_empty() {
        return Err(failure(
            ErrorCode::APPSECRET_MISSING,
            text!("the secret is missing; this call expects it in {name}", name),
        ));
    }
    if !platform.config.secret.matches(secret) {
        return Err(failure(
            ErrorCode::INVALID_APPSECRET,
            text!("use the secret of [[component]] in the configuration"),
        ));
    }
    Ok(())
}

async fn component_token(app: &Arc<App>, platform: &Platform, object: &Object) -> Result<Value, CallFailure> {
    check_secret(platform, object, "component_appsecret")?;
    let appid = platform.config.appid.clone();
    let ticket = text_field(object, "component_verify_ticket");
    app.platforms.check_ticket(ticket, &appid, app.clock.now_s()).map_err(|code| {
        let pushed = if platform.config.push_url.is_some() {
            text!("; it is also pushed to push_url")
        } else {
            text!("; with push_url set it is also pushed there")
        };
        failure(code, text!("the current ticket: GET /v1/components/{appid}/ticket{pushed}", appid, pushed))
    })?;
    let shared = app.clone();
    let issued = run_to_end(async move {
        let holder = Holder::component(&appid);
        Ok(shared.tokens.issue(holder, Vec::new(), &shared.ingest, &shared.clock).await?)
    });
    let issued = issued.await?;
    Ok(json!({"component_access_token": issued.access_token, "expires_in": issued.expires_in}))
}

fn start_push_ticket(platform: &Platform, object: &Object) -> Result<Value, CallFailure> {
    check_secret(platform, object, "component_secret")?;
    platform.push_now.notify_one();
    Ok(json!({"errcode": 0, "errmsg": "ok"}))
}

fn create_preauthcode(app: &App, platform: &str) -> Result<Value, CallFailure> {
    let code = app.platforms.pre_auth_code(platform, app.clock.now_s());
    let code = code.map_err(|error| failed(&error.into()))?;
    Ok(json!({"pre_auth_code": code, "expires_in": CodeKind::PreAuth.life_s()}))
}

async fn query_auth(app: &Arc<App>, platform: String, object: &Object) -> Result<Value, CallFailure> {
    let code = text_field(object, "authorization_code").to_owned();
    if code.is_empty() {
        return Err(failure(
            ErrorCode::CODE_INVALID,
            text!(
                "authorization_code is missing; it is the auth_code that the consent page adds to redirect_uri"
            ),
        ));
    }
    let shared = app.clone();
    let issued =
        run_to_end(
            async move { shared.platforms.redeem(&platform, &code, shared.authorization_context()).await },
        );
    let IssuedTokens { authorization, access_token, refresh_token } = issued.await?;
    Ok(json!({"authorization_info": {
        "authorizer_appid": authorization.account,
        "authorizer_access_token": access_token.access_token,
        "expires_in": access_token.expires_in,
        "authorizer_refresh_token": refresh_token,
        "func_info": authorizer::func_info(&authorization),
    }}))
}

async fn authorizer_token(app: &Arc<App>, platform: String, object: &Object) -> Result<Value, CallFailure> {
    let account = authorizer::appid(object)?.to_owned();
    let refresh_token = text_field(object, "authorizer_refresh_token").to_owned();
    let shared = app.clone();
    let issued = run_to_end(async move {
        shared.platforms.refresh(&platform, &account, &refresh_token, shared.authorization_context()).await
    });
    let IssuedTokens { access_token, refresh_token, .. } = issued.await?;
    Ok(json!({
        "authorizer_access_token": access_token.access_token,
        "expires_in": access_token.expires_in,
        "authorizer_refresh_token": refresh_token,
    }))
}

/// Completes a change even if the caller hangs up, so that disk and memory agree.
async fn run_to_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, PlatformError>> + Send + 'static,
) -> Result<T, CallFailure> {
    match tokio::spawn(change).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => {
            tracing::error!(%error, "the task of a platform's call failed");
            Err(ErrorCode::SYSTEM_ERROR.into())
        }
    }
}

fn failed(error: &PlatformError) -> CallFailure {
    let PlatformError::Refused(code) = error else {
        tracing::error!(%error, "a call of a platform failed");
        return failure(ErrorCode::SYSTEM_ERROR, text!("see /readyz and the log of the server"));
    };
    let hint = match *code {
        ErrorCode::CODE_INVALID => text!("this code was not given to this platform"),
        ErrorCode::CODE_EXPIRED => {
            text!("a code works once, within 600 s; ask the account to authorise again")
        }
        ErrorCode::REFRESH_TOKEN_INVALID => {
            text!("use the newest authorizer_refresh_token; api_get_authorizer_list shows it")
        }
        _ => return authorizer::not_authorized(),
    };
    failure(*code, hint)
}
