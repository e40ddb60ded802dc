//! `openapi/rid/get`: a call that was answered with an error, for whoever has its rid and speaks for its account.

use datacube::ErrorCode;
use i18n::text;
use serde::Serialize;
use wechat::request_id::Rid;

use super::{Answer, Failure, Question, Success, failure};
use crate::http::{
    error_log::{AGE_S_MAX, Call, Found},
    state::App,
};

#[derive(Serialize)]
struct Shown<'a> {
    request: &'a Call,
}

pub fn get(app: &App, question: &Question) -> Result<Answer, Failure> {
    find(app, question.text("rid"), &question.caller.account.config.appid)
}

/// The same for a platform about its own calls.
pub fn find(app: &App, rid: Option<&str>, appid: &str) -> Result<Answer, Failure> {
    let rid = rid.and_then(|text| text.parse::<Rid>().ok());
    let now_s = app.clock.now_s();
    match rid.map_or(Found::Nothing, |rid| app.refused_calls.find(rid, appid, now_s)) {
        Found::Call(refused) => Ok(Answer::Ours(Success::bytes(Shown { request: &refused.call }))),
        Found::OfAnother => Err(failure(
            ErrorCode::RID_OF_ANOTHER,
            text!("ask with a token of the account, or of the platform, that made the call"),
        )),
        // Only what was given here is known here.
        Found::Nothing if app.upstream().is_some() => Ok(Answer::WeChats),
        Found::Nothing => Err(nothing(rid.map(|rid| now_s - rid.at_s()))),
    }
}

fn nothing(age_s: Option<i64>) -> Failure {
    match age_s {
        None => failure(
            ErrorCode::RID_INVALID,
            text!("rid stands at the end of errmsg; it is like 61725984-6126f6f9-040f19c4"),
        ),
        Some(0..=AGE_S_MAX) => failure(
            ErrorCode::RID_NOT_FOUND,
            text!(
                "not given by this server since its last start, or its caller was unknown, or newer calls replaced it"
            ),
        ),
        Some(_) => failure(
            ErrorCode::RID_TOO_OLD,
            text!("calls are kept for 7 days; the first group of a rid is its time"),
        ),
    }
}
