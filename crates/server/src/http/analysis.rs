//! One handler for the seven interfaces. The order of its checks is the contract's.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Response, Uri, request::Parts},
};
use bytes::Bytes;
use counting::{Coverage, Period, second_of_day, start_of_day_s};
use datacube::{Day, ErrorCode, Granularity, Interface, List, Row, check_range};
use i18n::{Text, text};
use serde_json::{Map, Value};

use super::{
    answer,
    caller::{CallFailure, Caller, caller, caller_from_cloud_hosting, failure, store_failure},
    error_recorder::CallContext,
    gateway,
    hint::AnswerHint,
};
use crate::{
    accounts::{
        platform_issuer::{MESSAGES, Permission},
        registry::ServedAccount,
    },
    config::AccountKind,
    http::state::App,
    net::body::{self, BodyError},
};

/// 1 MiB. Source: the contract.
const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A header that Cloud Hosting adds to answers of calls without a token. Programs look for it to see that theirs needed
/// none.
const SEQUENCE: HeaderName = HeaderName::from_static("x-openapi-seqid");

/// The days of a request, both included.
struct Dates {
    begin: Day,
    end: Day,
}

/// Answers a call of one of the seven interfaces.
pub async fn answer(
    interface: &'static Interface,
    State(app): State<Arc<App>>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let mut caller = caller(&app, &parts, app.clock.now_s());
    let mut is_hosted = false;
    // A call with a token does not come from Cloud Hosting.
    if is_without_token(&caller)
        && let Some(hosted) = caller_from_cloud_hosting(&app, &parts)
    {
        // A refused call was not accepted without a token, so its answer lacks the header.
        is_hosted = hosted.is_ok();
        caller = hosted;
        parts.uri = uri_without_token(interface);
    }
    let mut response = answer_to(interface, &app, caller, parts, body).await;
    let sequence = is_hosted.then(|| app.rids.next(app.clock.now_s()).to_string());
    if let Some(sequence) = sequence.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(SEQUENCE, sequence);
    }
    response
}

fn is_without_token(caller: &Result<Caller, CallFailure>) -> bool {
    matches!(caller, Err(failure) if failure.code == ErrorCode::ACCESS_TOKEN_MISSING)
}

/// The interface at a path. None if it is not one of the seven.
pub fn interface_at(path: &str) -> Option<&'static Interface> {
    Interface::by_name(path.strip_prefix("/datacube/")?)
}

/// The address for a call that came without a token. Its `access_token` is empty: when the call is passed on to WeChat,
/// the gateway puts the real token there.
pub fn uri_without_token(interface: &Interface) -> Uri {
    format!("{}?access_token=", interface.path()).parse().unwrap_or_default()
}

/// Answers a call whose caller was looked up before.
pub async fn answer_to(
    interface: &'static Interface,
    app: &Arc<App>,
    caller: Result<Caller, CallFailure>,
    parts: Parts,
    body: Body,
) -> Response<Body> {
    let now_s = app.clock.now_s();
    let mut context = CallContext::of_caller(app, &caller, &parts);
    let analysis = match check_request(interface, app, caller, &parts, body, &mut context, now_s).await {
        Ok(analysis) => analysis,
        Err(failure) => return context.attach_to(refuse(interface, app, &failure)),
    };
    if let Some(upstream) = app.upstream()
        && upstream.config.passes_uncovered
        && !analysis.touches_covered(interface, app, now_s)
    {
        let account = Some(analysis.account).filter(|_| !analysis.has_real_token);
        // Boxed, so that answers of our own do not reserve the memory of a call to WeChat.
        return Box::pin(gateway::pass_uncovered(app, &upstream, account, parts, analysis.body)).await;
    }
    match rows(interface, app, &analysis, now_s).await {
        Ok((list, hint)) => {
            app.metrics.call(interface.name, 0);
            let mut response = answer::wechat_json(list_json(&list));
            answer::add_hint(&mut response, hint.as_ref());
            response
        }
        Err(failure) => context.attach_to(refuse(interface, app, &failure)),
    }
}

fn refuse(interface: &Interface, app: &App, failure: &CallFailure) -> Response<Body> {
    app.metrics.call(interface.name, failure.code.code);
    answer::wechat_error(app, failure.code, failure.hint.as_ref())
}

/// The list as one line of JSON, in one allocation.
fn list_json(list: &List) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 96 * list.list.len());
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, list);
    bytes
}

/// A valid request of one of the seven interfaces.
struct AnalysisRequest {
    account: Arc<ServedAccount>,
    /// The caller's token was issued by WeChat.
    has_real_token: bool,
    dates: Dates,
    /// As it came, to be passed on to WeChat.
    body: Bytes,
}

impl AnalysisRequest {
    /// Whether any time of the request is covered: of its days, or of the periods that start on them.
    fn touches_covered(&self, interface: &Interface, app: &App, now_s: i64) -> bool {
        let last = periods_starting_in(interface, &self.dates).last();
        let days_end_s = start_of_day_s(self.dates.end.plus_days(1));
        let end_s = last.map_or(days_end_s, |period| period.end_s().max(days_end_s));
        let begin_s = start_of_day_s(self.dates.begin);
        app.store.coverage(self.account.number, |coverage| coverage.touches(begin_s, end_s, now_s))
    }
}

async fn check_request(
    interface: &Interface,
    app: &App,
    caller: Result<Caller, CallFailure>,
    parts: &Parts,
    body: Body,
    context: &mut CallContext,
    now_s: i64,
) -> Result<AnalysisRequest, CallFailure> {
    // The body is read first, so that rid/get can show it after any error. Errors of the body itself are reported
    // later, in the order of the contract.
    let body = match &caller {
        Ok(_) => read_body(app, body).await,
        // No body is read from unknown callers.
        Err(_) => Ok(Bytes::new()),
    };
    context.body = body.as_ref().cloned().unwrap_or_default();
    // COMPONENT_NOT_AUTHORIZED is checked after the method. Other errors of the caller come before it.
    let comes_first = |failure: &CallFailure| failure.code != ErrorCode::COMPONENT_NOT_AUTHORIZED;
    if parts.method != Method::POST && !caller.as_ref().is_err_and(comes_first) {
        return Err(failure(
            ErrorCode::REQUIRE_POST,
            text!("send the dates as a JSON object in the body of a POST"),
        ));
    }
    let caller = caller?;
    check_permission(app, &caller)?;
    let Caller { account, has_real_token, .. } = caller;
    check_quota(interface, app, &account, now_s).await?;
    let body = body?;
    let dates = read_dates(interface, app, &body, now_s)?;
    Ok(AnalysisRequest { account, has_real_token, dates, body })
}

fn check_permission(app: &App, caller: &Caller) -> Result<(), CallFailure> {
    let account = &caller.account;
    if let Some(component) = &caller.component {
        check_authorization(app.platforms.permission(component, &account.config.appid, MESSAGES))?;
    }
    if account.config.kind == AccountKind::Other || !account.config.certified {
        return Err(failure(
            ErrorCode::API_UNAUTHORIZED,
            text!(
                "WeChat answers certified service and subscription accounts only; see kind and certified in the configuration"
            ),
        ));
    }
    Ok(())
}

/// Uses one call of today's quota, even if a later check fails.
async fn check_quota(
    interface: &Interface,
    app: &App,
    account: &Arc<ServedAccount>,
    now_s: i64,
) -> Result<(), CallFailure> {
    let limit = account.config.quota_per_day;
    let is_left = account.calls.spend_of_all(interface, counting::day_of(now_s), limit, &app.store).await;
    if !is_left.map_err(|error| store_failure(&error))? {
        return Err(failure(
            ErrorCode::DAILY_QUOTA,
            text!(
                "quota_per_day of this account is {limit}; it is reset at 00:00 Beijing time, or by /cgi-bin/clear_quota",
                limit
            ),
        ));
    }
    if limit > 0 && !app.store.is_shared() {
        account.calls.write_soon(&app.ingest, &app.clock);
    }
    Ok(())
}

/// Turns a missing permission of a platform into its error.
pub fn check_authorization(permission: Permission) -> Result<(), CallFailure> {
    match permission {
        Permission::Granted => Ok(()),
        Permission::NotAuthorized => Err(failure(
            ErrorCode::COMPONENT_NOT_AUTHORIZED,
            text!("the account took its authorisation back; it has to authorise the platform again"),
        )),
        Permission::SetMissing => Err(failure(
            ErrorCode::API_UNAUTHORIZED_TO_COMPONENT,
            text!("permission set 1 (messages) was not granted; ask the account to authorise again with it"),
        )),
    }
}

async fn read_body(app: &App, body: Body) -> Result<Bytes, CallFailure> {
    let read = body::read_sharing(body, BODY_BYTES_MAX, BODY_TIME_MAX, &app.bodies.proven);
    read.await.map_err(|error| match error {
        BodyError::Full => ErrorCode::SYSTEM_ERROR.into(),
        BodyError::TooLarge => failure(ErrorCode::DATA_FORMAT, text!("the body is larger than 1 MiB")),
        BodyError::TooSlow | BodyError::Broken => {
            failure(ErrorCode::DATA_FORMAT, text!("the body did not arrive within 30 s"))
        }
    })
}

fn read_dates(interface: &Interface, app: &App, body: &[u8], now_s: i64) -> Result<Dates, CallFailure> {
    let example = r#"{"begin_date":"2014-12-07","end_date":"2014-12-07"}"#;
    if body.is_empty() {
        return Err(failure(ErrorCode::EMPTY_BODY, text!("send {example}", example)));
    }
    let object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| failure(ErrorCode::DATA_FORMAT, text!("send a JSON object: {example}", example)))?;
    let dates = Dates { begin: date(&object, "begin_date")?, end: date(&object, "end_date")? };
    check_dates(interface, app, &dates, now_s)?;
    Ok(dates)
}

fn date(object: &Map<String, Value>, name: &str) -> Result<Day, CallFailure> {
    let wrong = |what: Text| {
        failure(ErrorCode::DATE_FORMAT, text!("{name} {what}; write it like \"2014-12-07\"", name, what))
    };
    match object.get(name) {
        None => Err(wrong(text!("is missing"))),
        Some(Value::String(text)) => text.parse().map_err(|error| match error {
            datacube::DayError::Form => wrong(text!("is not of the form YYYY-MM-DD")),
            datacube::DayError::NoSuchDay => wrong(text!("is not a day of the calendar")),
        }),
        Some(_) => Err(wrong(text!("is not a string"))),
    }
}

fn check_dates(interface: &Interface, app: &App, dates: &Dates, now_s: i64) -> Result<(), CallFailure> {
    let datacube = app.config.get().datacube;
    let yesterday = counting::day_of(now_s).plus_days(-1);
    let last = if datacube.live { yesterday.plus_days(1) } else { yesterday };
    check_range(interface, datacube.date_profile, dates.begin, dates.end, last).map_err(|error| {
        CallFailure {
            code: ErrorCode::DATE_RANGE,
            hint: Some(AnswerHint::date_range(interface, error, dates.begin, last)),
        }
    })?;
    let minute = second_of_day(now_s) / 60;
    match datacube.not_ready_before_minute {
        Some(ready) if dates.end == yesterday && minute < ready => {
            let time = format!("{:02}:{:02}", ready / 60, ready % 60);
            Err(failure(
                ErrorCode::NOT_READY,
                text!(
                    "figures of {yesterday} are ready at {time} Beijing time; an earlier end_date works now",
                    yesterday,
                    time
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// The periods that start on the days of a request.
struct Periods {
    /// Those with rows.
    answered: Vec<Period>,
    /// The first one that is not over and gets no row.
    open: Option<Period>,
}

fn periods(interface: &Interface, dates: &Dates, live: bool, now_s: i64) -> Periods {
    let begun = periods_starting_in(interface, dates).filter(|period| period.start_s() <= now_s);
    let (answered, open): (Vec<Period>, Vec<Period>) =
        begun.partition(|period| live || period.end_s() <= now_s);
    Periods { answered, open: open.first().copied() }
}

/// The periods whose first day is one of the days, in order.
fn periods_starting_in(interface: &Interface, dates: &Dates) -> impl Iterator<Item = Period> {
    let (begin, granularity) = (dates.begin, interface.granularity);
    let days = (0..=dates.end.days_since(dates.begin)).map(move |n| begin.plus_days(n));
    let first_days = days.filter(move |day| day.start_of(granularity) == *day);
    first_days.flat_map(move |day| {
        let hours = if granularity == Granularity::Hour { 24 } else { 1 };
        (0..hours).map(move |hour| match granularity {
            Granularity::Hour => Period::hour(day, hour),
            granularity => Period::holding(granularity, day),
        })
    })
}

/// The rows, and a hint if they may be incomplete.
async fn rows(
    interface: &Interface,
    app: &App,
    analysis: &AnalysisRequest,
    now_s: i64,
) -> Result<(List, Option<AnswerHint>), CallFailure> {
    let AnalysisRequest { account, dates, .. } = analysis;
    let datacube = app.config.get().datacube;
    let mut periods = periods(interface, dates, datacube.live, now_s);
    let partial = app.store.coverage(account.number, |coverage| {
        let partial = periods.answered.iter().find(|period| !is_covered(coverage, **period, now_s));
        let partial = partial.map(|period| (*period, coverage.why(period.start_s(), period.end_s(), now_s)));
        if datacube.withhold_partial {
            periods.answered.retain(|period| is_covered(coverage, *period, now_s));
        }
        partial
    });
    let list = app.store.ask_rows(account.number, interface, &periods.answered).await;
    let mut list = list.map_err(|error| {
        app.log_store_failure(&error);
        CallFailure::from(ErrorCode::SYSTEM_ERROR)
    })?;
    if datacube.user_source {
        list.iter_mut().for_each(|row: &mut Row| row.user_source = Some(0));
    }
    let hint = match (partial, periods.open) {
        (Some((period, why)), _) if datacube.withhold_partial => {
            Some(AnswerHint::withheld(period.start(), &why, &account.config.appid))
        }
        (Some((period, why)), _) => Some(AnswerHint::partial(period.start(), &why, &account.config.appid)),
        (None, Some(open)) => Some(AnswerHint::not_over(open.start(), open.last_day().plus_days(1))),
        (None, None) if periods.answered.is_empty() => {
            AnswerHint::no_period(interface, dates.begin, dates.end)
        }
        (None, None) => None,
    };
    Ok((List { list }, hint))
}

fn is_covered(coverage: &Coverage, period: Period, now_s: i64) -> bool {
    coverage.holds(period.start_s(), period.end_s(), now_s)
}
