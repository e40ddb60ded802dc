//! `openapi/quota/get`, `openapi/quota/clear` and `clear_quota`: the quotas of the seven interfaces. Quotas of other
//! paths are WeChat's.

use std::sync::Arc;

use datacube::{ErrorCode, INTERFACES, Interface};
use i18n::text;
use serde::Serialize;

use super::{CallFailure, LimitAnswer, LimitRequest, Success, failure, ok_json, store_failure};
use crate::{
    accounts::registry::ServedAccount,
    auth::quota::{CLEARINGS_A_MONTH, ClearError},
    config::AccountKind,
    http::state::App,
};

/// The value of `daily_limit` without a limit: the largest number that every SDK can read.
const NO_LIMIT: u32 = i32::MAX.cast_unsigned();

/// Calls of one interface today, in Beijing time.
#[derive(Serialize)]
struct DailyQuota {
    daily_limit: u32,
    used: u32,
    remain: u32,
}

/// Always 0: there is no such limit here.
#[derive(Default, Serialize)]
struct RateLimit {
    call_count: u32,
    refresh_second: u32,
}

#[derive(Serialize)]
struct QuotaAnswer {
    quota: DailyQuota,
    rate_limit: RateLimit,
    component_rate_limit: RateLimit,
}

/// `quota/get`: how many calls of an interface are used and left today.
pub async fn get(app: &App, request: &LimitRequest) -> Result<LimitAnswer, CallFailure> {
    let Some(interface) = interface(app, request)? else { return Ok(LimitAnswer::AskWechat) };
    let account = &request.caller.account;
    let used = account.calls.used_of_all(interface, counting::day_of(app.clock.now_s()), &app.store).await;
    let used = used.map_err(|error| store_failure(&error))?;
    let daily_limit = match account.config.quota_per_day {
        0 => NO_LIMIT,
        limit => limit,
    };
    let quota = DailyQuota { daily_limit, used, remain: daily_limit.saturating_sub(used) };
    let (rate_limit, component_rate_limit) = (RateLimit::default(), RateLimit::default());
    Ok(LimitAnswer::Ready(Success::json(QuotaAnswer { quota, rate_limit, component_rate_limit })))
}

/// `quota/clear`: clears the quota of one interface.
pub async fn clear_one(app: &Arc<App>, request: &LimitRequest) -> Result<LimitAnswer, CallFailure> {
    let Some(interface) = interface(app, request)? else { return Ok(LimitAnswer::AskWechat) };
    clear_these(app, &request.caller.account, std::slice::from_ref(interface)).await?;
    Ok(LimitAnswer::Ready(ok_json()))
}

/// `clear_quota`: clears all seven quotas. With an upstream WeChat then clears its own.
pub async fn clear(app: &Arc<App>, request: &LimitRequest) -> Result<LimitAnswer, CallFailure> {
    let account = &request.caller.account;
    if request.text("appid") != Some(&account.config.appid) {
        return Err(failure(
            ErrorCode::INVALID_APPID,
            text!("appid must be the one that the access_token belongs to"),
        ));
    }
    clear_these(app, account, &INTERFACES).await?;
    Ok(if app.upstream().is_some() { LimitAnswer::AskWechat } else { LimitAnswer::Ready(ok_json()) })
}

/// Completes even if the caller hangs up: disk and memory must agree.
pub async fn clear_these(
    app: &Arc<App>,
    account: &Arc<ServedAccount>,
    interfaces: &'static [Interface],
) -> Result<(), CallFailure> {
    let (app, account) = (app.clone(), account.clone());
    let clear = async move { account.calls.clear(interfaces, &app.store, &app.ingest, &app.clock).await };
    match tokio::spawn(clear).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ClearError::TooOften)) => Err(failure(
            ErrorCode::CLEARED_TOO_OFTEN,
            text!(
                "cleared {clearings_a_month} times this month, which is the limit; the next month begins on the 1st, Beijing time",
                clearings_a_month = CLEARINGS_A_MONTH
            ),
        )),
        Ok(Err(ClearError::NotDurable(error))) => Err(not_durable(&error.to_string())),
        Err(error) => Err(not_durable(&error.to_string())),
    }
}

fn not_durable(error: &str) -> CallFailure {
    tracing::error!(error, "a quota was not cleared");
    failure(ErrorCode::SYSTEM_ERROR, text!("see /readyz and the log of the server"))
}

/// The interface in `cgi_path`. None if WeChat has to answer.
fn interface(app: &App, request: &LimitRequest) -> Result<Option<&'static Interface>, CallFailure> {
    let path = request.text("cgi_path");
    let known = INTERFACES.iter().find(|interface| path == Some(&interface.path()));
    match (known, path) {
        (Some(interface), _) => {
            check_account(&request.caller.account)?;
            Ok(Some(interface))
        }
        (None, _) if app.upstream().is_some() => Ok(None),
        (None, Some(path)) => Err(unknown_path(path)),
        (None, None) => Err(failure(
            ErrorCode::DATA_FORMAT,
            text!("cgi_path is missing; write it like \"/datacube/getupstreammsgmonth\""),
        )),
    }
}

fn check_account(account: &ServedAccount) -> Result<(), CallFailure> {
    if account.config.kind != AccountKind::Other && account.config.certified {
        return Ok(());
    }
    Err(failure(
        ErrorCode::CGI_PATH_OF_ANOTHER,
        text!("this account may not call it; see kind and certified in the configuration"),
    ))
}

/// The error of a path that is not one of the seven. Source of the codes: WeChat's page on quota/get.
fn unknown_path(path: &str) -> CallFailure {
    if !path.starts_with('/') {
        return failure(
            ErrorCode::RID_OF_ANOTHER,
            text!("cgi_path must be a path that begins with /, without https://api.weixin.qq.com"),
        );
    }
    if path.starts_with("/sns/") || path.starts_with("/cgi-bin/component/") {
        return failure(
            ErrorCode::CGI_PATH_OF_ANOTHER,
            text!("its quota does not belong to the account; msgcube counts the seven message interfaces"),
        );
    }
    failure(
        ErrorCode::CGI_PATH_NOT_FOUND,
        text!("msgcube counts the seven message interfaces; other quotas are WeChat's, see [upstream]"),
    )
}
