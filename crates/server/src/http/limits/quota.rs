//! `openapi/quota/get`, `openapi/quota/clear` and `clear_quota`: the quotas of the seven. Those of other paths are
//! WeChat's.

use std::sync::Arc;

use datacube::{ErrorCode, INTERFACES, Interface};
use i18n::text;
use serde::Serialize;

use super::{Answer, Failure, Question, Success, failure, ok};
use crate::{
    accounts::registry::Account,
    auth::quota::{CLEARINGS_A_MONTH, ClearError},
    config::AccountKind,
    http::state::App,
};

/// What is said where there is no limit: the largest number that every SDK takes.
const NO_LIMIT: u32 = i32::MAX.cast_unsigned();

#[derive(Serialize)]
struct Quota {
    daily_limit: u32,
    used: u32,
    remain: u32,
}

/// There is none: no calls in no time.
#[derive(Default, Serialize)]
struct RateLimit {
    call_count: u32,
    refresh_second: u32,
}

#[derive(Serialize)]
struct Quotas {
    quota: Quota,
    rate_limit: RateLimit,
    component_rate_limit: RateLimit,
}

/// How much of a quota is used and left.
pub fn get(app: &App, question: &Question) -> Result<Answer, Failure> {
    let Some(interface) = interface(app, question)? else { return Ok(Answer::WeChats) };
    let account = &question.caller.account;
    let used = account.calls.used(interface, app.clock.today());
    let daily_limit = match account.config.quota_per_day {
        0 => NO_LIMIT,
        limit => limit,
    };
    let quota = Quota { daily_limit, used, remain: daily_limit.saturating_sub(used) };
    let (rate_limit, component_rate_limit) = (RateLimit::default(), RateLimit::default());
    Ok(Answer::Ours(Success::bytes(Quotas { quota, rate_limit, component_rate_limit })))
}

/// Clears the quota of one interface.
pub async fn clear_one(app: &Arc<App>, question: &Question) -> Result<Answer, Failure> {
    let Some(interface) = interface(app, question)? else { return Ok(Answer::WeChats) };
    clear_these(app, &question.caller.account, std::slice::from_ref(interface)).await?;
    Ok(Answer::Ours(ok()))
}

/// Clears all seven; WeChat then clears its own, too.
pub async fn clear(app: &Arc<App>, question: &Question) -> Result<Answer, Failure> {
    let account = &question.caller.account;
    if question.text("appid") != Some(&account.config.appid) {
        return Err(failure(
            ErrorCode::INVALID_APPID,
            text!("appid is to be the one that the access_token belongs to"),
        ));
    }
    clear_these(app, account, &INTERFACES).await?;
    Ok(if app.upstream().is_some() { Answer::WeChats } else { Answer::Ours(ok()) })
}

/// Runs also if the caller hangs up: what is on disk and what is in memory must agree.
pub async fn clear_these(
    app: &Arc<App>,
    account: &Arc<Account>,
    interfaces: &'static [Interface],
) -> Result<(), Failure> {
    let (app, account) = (app.clone(), account.clone());
    let clear = async move { account.calls.clear(interfaces, &app.ingest, &app.clock).await };
    match tokio::spawn(clear).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ClearError::TooOften)) => Err(failure(
            ErrorCode::CLEARED_TOO_OFTEN,
            text!(
                "cleared {clearings_a_month} times this month; the next one begins on the 1st, Beijing time",
                clearings_a_month = CLEARINGS_A_MONTH
            ),
        )),
        Ok(Err(ClearError::NotDurable(error))) => Err(not_durable(&error.to_string())),
        Err(error) => Err(not_durable(&error.to_string())),
    }
}

fn not_durable(error: &str) -> Failure {
    tracing::error!(error, "a quota was not cleared");
    failure(ErrorCode::SYSTEM_ERROR, text!("see /readyz and the log of the server"))
}

/// The interface of ours that is asked about; none if WeChat is to say.
fn interface(app: &App, question: &Question) -> Result<Option<&'static Interface>, Failure> {
    let path = question.text("cgi_path");
    let known = INTERFACES.iter().find(|interface| path == Some(&interface.path()));
    match (known, path) {
        (Some(interface), _) => {
            check_account(&question.caller.account)?;
            Ok(Some(interface))
        }
        (None, _) if app.upstream().is_some() => Ok(None),
        (None, Some(path)) => Err(unknown(path)),
        (None, None) => Err(failure(
            ErrorCode::DATA_FORMAT,
            text!("cgi_path is missing; write it like \"/datacube/getupstreammsgmonth\""),
        )),
    }
}

fn check_account(account: &Account) -> Result<(), Failure> {
    if account.config.kind != AccountKind::Other && account.config.certified {
        return Ok(());
    }
    Err(failure(
        ErrorCode::CGI_PATH_OF_ANOTHER,
        text!("this account may not call it; see kind and certified in the configuration"),
    ))
}

/// Source of which code means what: WeChat's page on quota/get.
fn unknown(path: &str) -> Failure {
    if !path.starts_with('/') {
        return failure(
            ErrorCode::RID_OF_ANOTHER,
            text!("cgi_path is a path alone, from its first /; without https://api.weixin.qq.com"),
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
