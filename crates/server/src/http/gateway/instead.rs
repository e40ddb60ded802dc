//! What is said in place of WeChat's answer, and why.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use datacube::ErrorCode;

use super::{
    outgoing::{Lost, Outgoing},
    unpacked::Coding,
};
use crate::{
    forward::upstream_token::Failure,
    http::{answer, hint::Hint, state::App},
};

/// No answer of WeChat's: its refusal of a token as it came, or that it cannot be reached.
pub fn failed(app: &App, failure: Failure) -> Response<Body> {
    match failure {
        Failure::Answered { status, content_type, body } => {
            if app.refusals.may_log("", "no_real_token", app.clock.now_s()) {
                let said = String::from_utf8_lossy(&body).into_owned();
                tracing::warn!(
                    said,
                    "WeChat gives no token; check the account's upstream_secret (or secret)"
                );
            }
            let mut response = answer::json(body);
            *response.status_mut() = status;
            if let Some(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
        Failure::Unreachable(why) => {
            if app.refusals.may_log("", "upstream_unreachable", app.clock.now_s()) {
                let base = app.upstream().map(|upstream| upstream.config.base.to_string());
                tracing::warn!(base, why, "WeChat cannot be reached; calls are answered with 502");
            }
            let en = "WeChat cannot be reached; see the log of msgcube, and [upstream] base";
            no_answer(
                app,
                StatusCode::BAD_GATEWAY,
                en,
                "无法连接微信；请查看 msgcube 的日志和配置 [upstream] base",
            )
        }
        Failure::NoToken(why) => {
            if app.refusals.may_log("", "token_server", app.clock.now_s()) {
                tracing::warn!(why, "there is no real token; calls are answered with 502");
            }
            let en = "there is no real token: set the account's upstream_secret, or see [upstream] token_url and the log of msgcube";
            let zh = "没有真实 token：请设置该公众号的 upstream_secret，或检查 [upstream] token_url 和 msgcube 的日志";
            no_answer(app, StatusCode::BAD_GATEWAY, en, zh)
        }
    }
}

/// As SDKs read errors. No address of a machine inside.
fn no_answer(app: &App, status: StatusCode, en: &str, zh: &str) -> Response<Body> {
    let mut response = answer::error(app, ErrorCode::SYSTEM_ERROR, Some(&Hint::new(en, zh)));
    *response.status_mut() = status;
    response
}

/// What the caller hears if its body cannot go on.
pub fn lost(error: Lost) -> Response<Body> {
    let (status, text) = error.said();
    answer::own_error(status, text)
}

/// The answer is compressed although we did not ask for that, so we cannot search it for the real token.
pub fn packed(app: &App, coding: &Coding) -> Response<Body> {
    tracing::debug!(?coding, "WeChat's answer is compressed in a way that cannot be read");
    let en = "the answer came compressed although nobody asked for that, and not as gzip or deflate: keep whatever stands between msgcube and WeChat from compressing";
    let zh = "应答被擅自压缩，且不是 gzip 或 deflate；请让 msgcube 与微信之间的代理不要压缩";
    no_answer(app, StatusCode::BAD_GATEWAY, en, zh)
}

/// Half of the real token may be at its end, and the caller asks for the other half next.
pub fn piece(app: &App) -> Response<Body> {
    let en = "a piece of an answer is passed on of media alone: ask without the header Range";
    no_answer(app, StatusCode::BAD_GATEWAY, en, "只有媒体文件可以分段下载；请去掉请求头 Range")
}

/// What may be wrong if WeChat refuses a body.
pub fn refuses_chunks(response: &Response<Body>, body: &Outgoing) -> Option<Hint> {
    let is_refused = response.status() == StatusCode::PRECONDITION_FAILED && body.is_chunked();
    let en = "WeChat may take no body in chunks: send one over 1 MiB with Content-Length";
    is_refused.then(|| Hint::new(en, "微信可能不接受分块传输：超过 1 MiB 的请求体请带 Content-Length 发送"))
}

/// Nothing came for too long.
pub fn too_slow(app: &App, waited: Duration) -> Response<Body> {
    let seconds = waited.as_secs();
    let en = format!("WeChat did not answer within {seconds} s");
    no_answer(app, StatusCode::GATEWAY_TIMEOUT, &en, &format!("微信在 {seconds} 秒内没有应答"))
}
