//! Cloud calls of wx-server-sdk: reads the form, checks its signature, then calls one of the seven interfaces like any
//! other caller.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, StatusCode, header, request::Parts},
};
use bytes::Bytes;
use datacube::Interface;
use multer::Multipart;
use prost::Message as _;
use serde_json::json;
use wechat::cloud::{
    CloudRefusal, Field, SignedFields,
    message::{CommApiData, CommOpenApiResp},
    signature::Tc3Authorization,
};

use super::{analysis, answer, caller::Caller, error_recorder::CallContext, hint::AnswerHint};
use crate::{
    config::{CloudConfig, Config},
    http::state::App,
    net::body::{self, BodyError},
};

/// 1 MiB. A call of the seven interfaces has about 1 KiB.
const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The SDK sends 8 to 12 fields.
const FIELDS_MAX: usize = 32;
/// 4 MiB for the answer of an interface. WeChat's answers are far smaller.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The content type by which the SDK recognises an error of the cloud.
const CLOUD_ERROR: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The only supported action.
const ACTION: &str = "wx.openApi";

/// A signed call.
struct CloudCall {
    interface: &'static Interface,
    caller: Caller,
    body: Vec<u8>,
}

/// Answers a call of wx-server-sdk.
pub async fn answer(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let authorization = Tc3Authorization::read(&parts.headers);
    let config = app.config.get();
    let cloud = authorization.as_ref().and_then(|authorization| cloud_of(&config, authorization));
    let result = match (&authorization, cloud) {
        (None, _) => Err(CloudRefusal::NoAuthorization),
        (Some(_), None) => Err(CloudRefusal::UnknownSecretId),
        (Some(authorization), Some(cloud)) => match read_call(&app, authorization, cloud, &parts, body).await
        {
            Ok(call) => call_interface(&app, call).await,
            Err(refusal) => Err(refusal),
        },
    };
    match result {
        Ok(response) => {
            app.metrics.cloud_call("answered", "");
            response
        }
        Err(refusal) => refuse(&app, cloud, refusal),
    }
}

fn cloud_of<'a>(config: &'a Config, authorization: &Tc3Authorization<'_>) -> Option<&'a CloudConfig> {
    config.clouds.iter().find(|cloud| cloud.secret_id == authorization.secret_id)
}

/// Reads a call and checks its signature.
async fn read_call(
    app: &App,
    authorization: &Tc3Authorization<'_>,
    cloud: &CloudConfig,
    parts: &Parts,
    body: Body,
) -> Result<CloudCall, CloudRefusal> {
    // The body is not read if the signature is too old to be valid.
    if !authorization.is_fresh(app.clock.now_s()) {
        return Err(CloudRefusal::Clock);
    }
    let read = body::read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.unproven);
    let body = read.await.map_err(|error| match error {
        BodyError::Full => CloudRefusal::Busy,
        BodyError::TooLarge => CloudRefusal::BodyTooLarge,
        BodyError::TooSlow | BodyError::Broken => CloudRefusal::BodyIncomplete,
    })?;
    let fields = fields(parts, body).await.ok_or(CloudRefusal::NoForm)?;
    if !authorization.is_valid(parts, &fields, cloud.secret_key.reveal()) {
        return Err(CloudRefusal::WrongSignature);
    }
    check_call(app, cloud, SignedFields::new(&fields, &authorization.fields))
}

/// The fields of a form. None if the body is no form, has too many fields, or has a field twice.
async fn fields(parts: &Parts, body: Bytes) -> Option<Vec<Field>> {
    let boundary = parts.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let boundary = multer::parse_boundary(boundary).ok()?;
    let mut form = Multipart::new(Body::from(body).into_data_stream(), boundary);
    let mut fields: Vec<Field> = Vec::new();
    while let Some(field) = form.next_field().await.ok()? {
        let name = field.name()?.to_ascii_lowercase();
        let is_text = field.content_type().is_none();
        if fields.len() == FIELDS_MAX || fields.iter().any(|known| known.name == name) {
            return None;
        }
        let value = field.bytes().await.ok()?;
        let value = if is_text { trimmed(&value) } else { value };
        fields.push(Field { name, value });
    }
    Some(fields)
}

/// The text without white space at both ends: the SDK signs it so.
fn trimmed(value: &Bytes) -> Bytes {
    match std::str::from_utf8(value) {
        Ok(text) => value.slice_ref(text.trim().as_bytes()),
        Err(_) => value.clone(),
    }
}

/// Checks the signed fields: environment, action, account, interface, then the body.
fn check_call(app: &App, cloud: &CloudConfig, signed: SignedFields<'_>) -> Result<CloudCall, CloudRefusal> {
    // Without a name the SDK means the first environment of the account.
    if signed.text("envname").is_some_and(|env| env != cloud.env) {
        return Err(CloudRefusal::UnknownEnv);
    }
    if signed.text("action") != Some(ACTION) {
        return Err(CloudRefusal::UnknownAction);
    }
    let data = signed.value("requestdata").and_then(|data| CommApiData::read(data));
    let data = data.ok_or(CloudRefusal::NoMessage)?;
    let appid = match (data.appid.as_str(), cloud.appids.first()) {
        ("", Some(first)) => first,
        (appid, _) => {
            cloud.appids.iter().find(|allowed| *allowed == appid).ok_or(CloudRefusal::AppidNotAllowed)?
        }
    };
    let account = app.accounts.get(appid).ok_or(CloudRefusal::AppidNotAllowed)?;
    let interface =
        signed.text("apiname").and_then(Interface::by_cloud_name).ok_or(CloudRefusal::UnknownApi)?;
    let body = data.body().ok_or(CloudRefusal::NoJson)?;
    Ok(CloudCall { interface, caller: Caller::account(account), body })
}

/// Calls the interface as if the call had come by HTTP, and wraps its answer.
async fn call_interface(app: &Arc<App>, call: CloudCall) -> Result<Response<Body>, CloudRefusal> {
    let CloudCall { interface, caller, body } = call;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = analysis::uri_without_token(interface);
    let (parts, ()) = request.into_parts();
    let response = analysis::answer_to(interface, app, Ok(caller), parts, Body::from(body)).await;
    let (mut head, body) = response.into_parts();
    if let Some(context) = head.extensions.get_mut::<CallContext>() {
        context.path = Some(interface.path());
    }
    let body = body::read_within(body, ANSWER_BYTES_MAX, ANSWER_TIME_MAX).await;
    let (StatusCode::OK, Ok(resp_data)) = (head.status, body) else { return Err(CloudRefusal::NoAnswer) };
    let content_type = head.headers.insert(header::CONTENT_TYPE, PROTOBUF);
    head.headers.remove(header::CONTENT_LENGTH);
    let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = CommOpenApiResp {
        resp_data,
        content_type: content_type.to_owned(),
        error_code: 0,
        http_code: head.status.as_u16().into(),
    };
    Ok(Response::from_parts(head, Body::from(answer.encode_to_vec())))
}

/// The answer while calls cannot be taken.
pub fn busy(app: &App) -> Response<Body> {
    refuse(app, None, CloudRefusal::Busy)
}

fn refuse(app: &App, cloud: Option<&CloudConfig>, refusal: CloudRefusal) -> Response<Body> {
    app.metrics.cloud_call("refused", refusal.reason());
    let env = cloud.map_or("", |cloud| cloud.env.as_str());
    let (code, message) = refusal.code_and_message();
    if app.log_throttle.may_log(env, refusal.reason(), app.clock.now_s()) {
        tracing::warn!(env, reason = refusal.reason(), "cloud call refused: {message}");
    }
    let (content_type, body) = if let Some(error_code) = refusal.error_code() {
        let answer = CommOpenApiResp { error_code, ..CommOpenApiResp::default() };
        (PROTOBUF, answer.encode_to_vec())
    } else {
        let error = json!({ "code": code, "message": message, "requestId": app.rids.next(app.clock.now_s()).to_string() });
        (CLOUD_ERROR, error.to_string().into_bytes())
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer::add_hint(&mut response, Some(&AnswerHint::new(refusal.remedy())));
    response
}
