//! Cloud calls: the form is read, its signature checked, and only then one of the seven asked, as for any caller.

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
    Field, Refusal, Signed,
    message::{CommApiData, CommOpenApiResp},
    signature::Authorization,
};

use super::{answer, caller::Caller, hint::Hint, record::Told};
use crate::http::analysis;
use crate::{
    config::{CloudConfig, Config},
    http::state::App,
    net::body::{self, BodyError},
};

/// A call of the seven has about 1 KiB.
const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// The SDK sends eight to twelve.
const FIELDS_MAX: usize = 32;
/// Of what one of the seven answers; WeChat's own answers are far smaller.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// By this type the SDK tells an error of the cloud from an answer.
const CLOUD_ERROR: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The only action that is answered.
const ACTION: &str = "wx.openApi";

/// What a signed call asks.
struct Call {
    interface: &'static Interface,
    caller: Caller,
    body: Vec<u8>,
}

/// Answers a call of wx-server-sdk.
pub async fn admin(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let authorization = Authorization::read(&parts.headers);
    let config = app.config.get();
    let cloud = authorization.as_ref().and_then(|authorization| cloud_of(&config, authorization));
    let result = match (&authorization, cloud) {
        (None, _) => Err(Refusal::NoAuthorization),
        (Some(_), None) => Err(Refusal::UnknownSecretId),
        (Some(authorization), Some(cloud)) => match call(&app, authorization, cloud, &parts, body).await {
            Ok(call) => ask(&app, call).await,
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

fn cloud_of<'a>(config: &'a Config, authorization: &Authorization<'_>) -> Option<&'a CloudConfig> {
    config.clouds.iter().find(|cloud| cloud.secret_id == authorization.secret_id)
}

async fn call(
    app: &App,
    authorization: &Authorization<'_>,
    cloud: &CloudConfig,
    parts: &Parts,
    body: Body,
) -> Result<Call, Refusal> {
    // Of what cannot be right any more no body is read.
    if !authorization.is_timely(app.clock.now_s()) {
        return Err(Refusal::Clock);
    }
    let read = body::read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.unproven);
    let body = read.await.map_err(|error| match error {
        BodyError::Full => Refusal::Busy,
        BodyError::TooLarge => Refusal::BodyTooLarge,
        BodyError::TooSlow | BodyError::Broken => Refusal::BodyIncomplete,
    })?;
    let fields = fields(parts, body).await.ok_or(Refusal::NoForm)?;
    if !authorization.is_right(parts, &fields, cloud.secret_key.reveal()) {
        return Err(Refusal::WrongSignature);
    }
    asked(app, cloud, Signed::new(&fields, &authorization.fields))
}

/// The fields of a form; nothing if it is none, has too many, or one twice.
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

/// A text is signed without the blanks around it.
fn trimmed(value: &Bytes) -> Bytes {
    match std::str::from_utf8(value) {
        Ok(text) => value.slice_ref(text.trim().as_bytes()),
        Err(_) => value.clone(),
    }
}

/// What the signed fields ask for, if they may.
fn asked(app: &App, cloud: &CloudConfig, signed: Signed<'_>) -> Result<Call, Refusal> {
    // Without a name the SDK means the environment that was made first.
    if signed.text("envname").is_some_and(|env| env != cloud.env) {
        return Err(Refusal::UnknownEnv);
    }
    if signed.text("action") != Some(ACTION) {
        return Err(Refusal::UnknownAction);
    }
    let data = signed.value("requestdata").and_then(|data| CommApiData::read(data));
    let data = data.ok_or(Refusal::NoMessage)?;
    let appid = match (data.appid.as_str(), cloud.appids.first()) {
        ("", Some(first)) => first,
        (appid, _) => {
            cloud.appids.iter().find(|allowed| *allowed == appid).ok_or(Refusal::AppidNotAllowed)?
        }
    };
    let account = app.accounts.get(appid).ok_or(Refusal::AppidNotAllowed)?;
    let interface = signed.text("apiname").and_then(Interface::by_cloud_name).ok_or(Refusal::UnknownApi)?;
    let body = data.body().ok_or(Refusal::NoJson)?;
    Ok(Call { interface, caller: Caller::account(account), body })
}

/// Asks one of the seven as if the call had come by HTTP, and wraps what it says.
async fn ask(app: &Arc<App>, call: Call) -> Result<Response<Body>, Refusal> {
    let Call { interface, caller, body } = call;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = analysis::uri_without_token(interface);
    let (parts, ()) = request.into_parts();
    let response = analysis::answer_to(interface, app, Ok(caller), parts, Body::from(body)).await;
    let (mut head, body) = response.into_parts();
    if let Some(told) = head.extensions.get_mut::<Told>() {
        told.path = Some(interface.path());
    }
    let body = body::read_within(body, ANSWER_BYTES_MAX, ANSWER_TIME_MAX).await;
    let (StatusCode::OK, Ok(resp_data)) = (head.status, body) else { return Err(Refusal::NoAnswer) };
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

fn refuse(app: &App, cloud: Option<&CloudConfig>, refusal: Refusal) -> Response<Body> {
    app.metrics.cloud_call("refused", refusal.reason());
    let env = cloud.map_or("", |cloud| cloud.env.as_str());
    let (code, message) = refusal.told();
    if app.refusals.may_log(env, refusal.reason(), app.clock.now_s()) {
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
    answer::add_hint(&mut response, Some(&Hint::new(refusal.remedy())));
    response
}
