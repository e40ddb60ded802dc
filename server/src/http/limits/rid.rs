//! `openapi/rid/get`: a call that was answered with an error, for whoever has its rid and speaks for its account.

use std::sync::Arc;

use msgcube_client::ErrorCode;
use serde::Serialize;

use super::{Answer, Failure, Question, Success, failure};
use crate::{
    app::App,
    refused_calls::{AGE_S_MAX, Call, Found},
    rid::Rid,
};

#[derive(Serialize)]
struct Shown {
    request: Box<Call>,
}

pub async fn get(app: &Arc<App>, question: &Question) -> Result<Answer, Failure> {
    find(app, question.text("rid"), &question.caller.account.config.appid).await
}

/// The same for a platform about its own calls.
pub async fn find(app: &Arc<App>, rid: Option<&str>, appid: &str) -> Result<Answer, Failure> {
    let rid = rid.and_then(|text| text.parse::<Rid>().ok());
    let age_s = rid.map(|rid| app.clock.now_s() - rid.at_s());
    let found = match rid {
        Some(rid) if age_s <= Some(AGE_S_MAX) => {
            app.refused_calls.find(rid, appid).await.map_err(|error| unreadable(&error))?
        }
        _ => Found::Nothing,
    };
    match found {
        Found::Call(request) => Ok(Answer::Ours(Success::bytes(Shown { request }))),
        Found::OfAnother => Err(failure(
            ErrorCode::RID_OF_ANOTHER,
            "ask with a token of the account, or of the platform, that made the call",
            "请使用发起该调用的账号（或第三方平台）的 token 查询",
        )),
        // Only what was given here is known here.
        Found::Nothing if app.upstream().is_some() => Ok(Answer::WeChats),
        Found::Nothing => Err(nothing(age_s)),
    }
}

fn nothing(age_s: Option<i64>) -> Failure {
    match age_s {
        None => failure(
            ErrorCode::RID_INVALID,
            "rid stands at the end of errmsg; it is like 61725984-6126f6f9-040f19c4",
            "rid 位于 errmsg 末尾，例如 61725984-6126f6f9-040f19c4",
        ),
        Some(0..=AGE_S_MAX) => failure(
            ErrorCode::RID_NOT_FOUND,
            "not given by this server, or its call was of nobody known, or newer ones took its place",
            "并非本服务返回，或调用方未知，或已被更新的记录取代",
        ),
        Some(_) => failure(
            ErrorCode::RID_TOO_OLD,
            "calls are kept for 7 days; the first group of a rid is its time",
            "记录保留 7 天；rid 的第一段是时间",
        ),
    }
}

fn unreadable(error: &str) -> Failure {
    tracing::error!(error, "refused calls cannot be read");
    failure(ErrorCode::SYSTEM_ERROR, "see the log of the server", "请查看服务日志")
}
