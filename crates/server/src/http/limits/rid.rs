//! `openapi/rid/get`: shows a call that was answered with an error. The caller needs its rid and a token of the account
//! that made it.

use datacube::ErrorCode;
use i18n::text;
use serde::Serialize;
use wechat::request_id::Rid;

use super::{CallFailure, LimitAnswer, LimitRequest, Success, failure, store_failure};
use crate::http::{
    error_log::{AGE_S_MAX, Found, LoggedCall},
    state::App,
};

/// The call, as WeChat's `rid/get` shows it.
#[derive(Serialize)]
struct RidAnswer<'a> {
    request: &'a LoggedCall,
}

/// `rid/get` of an account.
pub async fn get(app: &App, request: &LimitRequest) -> Result<LimitAnswer, CallFailure> {
    find(app, request.text("rid"), &request.caller.account.config.appid).await
}

/// The call of a rid that the account or platform `appid` made.
///
/// # Errors
///
/// The rid is missing, malformed, unknown, too old, or belongs to another caller.
pub async fn find(app: &App, rid: Option<&str>, appid: &str) -> Result<LimitAnswer, CallFailure> {
    let rid = rid.and_then(|text| text.parse::<Rid>().ok());
    let now_s = app.clock.now_s();
    let found = match rid {
        Some(rid) => app.error_log.find_in_all(rid, appid, now_s, &app.store, &app.key).await,
        None => Ok(Found::Nothing),
    };
    match found.map_err(|error| store_failure(&error))? {
        Found::Call(logged) => Ok(LimitAnswer::Ready(Success::json(RidAnswer { request: &logged.call }))),
        Found::OfAnother => Err(failure(
            ErrorCode::RID_OF_ANOTHER,
            text!("ask with a token of the account, or of the platform, that made the call"),
        )),
        // The rid may be one that WeChat gave.
        Found::Nothing if app.upstream().is_some() => Ok(LimitAnswer::AskWechat),
        Found::Nothing => Err(not_found(rid.map(|rid| now_s - rid.at_s()))),
    }
}

/// The error of a rid without a stored call. `age_s` is its age in seconds, none if it is malformed.
fn not_found(age_s: Option<i64>) -> CallFailure {
    match age_s {
        None => failure(
            ErrorCode::RID_INVALID,
            text!("the rid is at the end of errmsg, such as 61725984-6126f6f9-040f19c4"),
        ),
        Some(0..=AGE_S_MAX) => failure(
            ErrorCode::RID_NOT_FOUND,
            text!(
                "this server did not give this rid since its last start, or its caller was unknown, or newer calls replaced it"
            ),
        ),
        Some(_) => failure(
            ErrorCode::RID_TOO_OLD,
            text!("calls are kept for 7 days; the first group of a rid is its time"),
        ),
    }
}
