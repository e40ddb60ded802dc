//! The seven interfaces: one handler. The order of its checks is the contract's.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response},
};
use msgcube_client::{Day, ErrorCode, Granularity, Interface, List, Row, check_range};
use msgcube_cube::{Coverage, Period, second_of_day};
use serde_json::{Map, Value};

use super::{answer, body, body::BodyError, hint::Hint};
use crate::{
    app::{Account, App},
    config::AccountKind,
};

/// Source: the contract.
const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// Why there is no list.
struct Failure {
    code: ErrorCode,
    hint: Option<Hint>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Failure {
        Failure { code, hint: None }
    }
}

fn failure(code: ErrorCode, en: impl Into<String>, zh: impl Into<String>) -> Failure {
    Failure { code, hint: Some(Hint::new(en, zh)) }
}

struct Dates {
    begin: Day,
    end: Day,
}

/// Answers one of the seven.
pub async fn answer(
    interface: &'static Interface,
    State(app): State<Arc<App>>,
    request: Request,
) -> Response<Body> {
    let now_s = app.clock.now_s();
    match list(interface, &app, request, now_s).await {
        Ok((list, hint)) => {
            app.metrics.call(interface.name, 0);
            let mut response = answer::json(bytes_of(&list));
            answer::add_hint(&mut response, hint.as_ref());
            response
        }
        Err(failure) => {
            app.metrics.call(interface.name, failure.code.code);
            answer::error(&app, failure.code, failure.hint.as_ref())
        }
    }
}

/// One line of JSON, in one allocation.
fn bytes_of(list: &List) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 96 * list.list.len());
    // Nothing in a row can fail to be written.
    let _ = serde_json::to_writer(&mut bytes, list);
    bytes
}

async fn list(
    interface: &Interface,
    app: &App,
    request: Request,
    now_s: i64,
) -> Result<(List, Option<Hint>), Failure> {
    let account = caller(app, request.uri().query().unwrap_or(""), now_s)?;
    if request.method() != Method::POST {
        let en = "send the dates as a JSON object in the body of a POST";
        return Err(failure(ErrorCode::REQUIRE_POST, en, "请用 POST，日期以 JSON 放在请求体中"));
    }
    check_permission(&account)?;
    let dates = read_dates(interface, app, request.into_body(), now_s).await?;
    let periods = periods(interface, &dates, app.config.datacube.live, now_s);
    rows(interface, app, &account, &dates, periods, now_s)
}

/// The account that the token names.
fn caller(app: &App, query: &str, now_s: i64) -> Result<Arc<Account>, Failure> {
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token");
    let token = token.map(|(_, value)| value).filter(|value| !value.is_empty()).ok_or_else(|| {
        let en = "add ?access_token=...; a token comes from /cgi-bin/stable_token";
        failure(ErrorCode::ACCESS_TOKEN_MISSING, en, "缺少 access_token；用 /cgi-bin/stable_token 获取")
    })?;
    let account = app.tokens.with(&token, |appid| app.account(appid).cloned(), now_s).map_err(|code| {
        let en = "get a token from /cgi-bin/stable_token of this very server; WeChat's own tokens are not known here";
        failure(code, en, "请从本服务的 /cgi-bin/stable_token 获取；微信的 token 在此无效")
    })?;
    account.ok_or_else(|| ErrorCode::INVALID_CREDENTIAL.into())
}

fn check_permission(account: &Account) -> Result<(), Failure> {
    if account.config.kind == AccountKind::Other || !account.config.certified {
        let en = "WeChat answers certified service and subscription accounts only; see kind and certified in the configuration";
        return Err(failure(
            ErrorCode::API_UNAUTHORIZED,
            en,
            "仅认证的服务号和订阅号可用，见配置 kind、certified",
        ));
    }
    Ok(())
}

async fn read_dates(interface: &Interface, app: &App, body: Body, now_s: i64) -> Result<Dates, Failure> {
    let body = body::read_within(body, BODY_BYTES_MAX, BODY_TIME_MAX).await.map_err(|error| match error {
        BodyError::TooLarge => {
            failure(ErrorCode::DATA_FORMAT, "the body is larger than 1 MiB", "请求体超过 1 MiB")
        }
        BodyError::TooSlow | BodyError::Broken => {
            failure(ErrorCode::DATA_FORMAT, "the body did not arrive within 30 s", "请求体未在 30 秒内到达")
        }
    })?;
    let example = r#"{"begin_date":"2014-12-07","end_date":"2014-12-07"}"#;
    if body.is_empty() {
        return Err(failure(ErrorCode::EMPTY_BODY, format!("send {example}"), format!("请发送 {example}")));
    }
    let object: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| {
        failure(
            ErrorCode::DATA_FORMAT,
            format!("send a JSON object: {example}"),
            format!("请发送 JSON：{example}"),
        )
    })?;
    let dates = Dates { begin: date(&object, "begin_date")?, end: date(&object, "end_date")? };
    check_dates(interface, app, &dates, now_s)?;
    Ok(dates)
}

fn date(object: &Map<String, Value>, name: &str) -> Result<Day, Failure> {
    let wrong = |what: &str, zh: &str| {
        let en = format!("{name} {what}; write it like \"2014-12-07\"");
        failure(ErrorCode::DATE_FORMAT, en, format!("{name} {zh}，格式如 \"2014-12-07\""))
    };
    match object.get(name) {
        None => Err(wrong("is missing", "缺失")),
        Some(Value::String(text)) => text.parse().map_err(|error| match error {
            msgcube_client::DayError::Form => wrong("is not of the form YYYY-MM-DD", "格式错误"),
            msgcube_client::DayError::NoSuchDay => wrong("is no day of the calendar", "日期不存在"),
        }),
        Some(_) => Err(wrong("is not a string", "不是字符串")),
    }
}

fn check_dates(interface: &Interface, app: &App, dates: &Dates, now_s: i64) -> Result<(), Failure> {
    let datacube = &app.config.datacube;
    let yesterday = msgcube_cube::day_of(now_s).plus_days(-1);
    let last = if datacube.live { yesterday.plus_days(1) } else { yesterday };
    check_range(interface, datacube.date_profile, dates.begin, dates.end, last).map_err(|error| Failure {
        code: ErrorCode::DATE_RANGE,
        hint: Some(Hint::of_range(interface, error, dates.begin, last)),
    })?;
    let minute = second_of_day(now_s) / 60;
    match datacube.not_ready_before_minute {
        Some(ready) if dates.end == yesterday && minute < ready => {
            let time = format!("{:02}:{:02}", ready / 60, ready % 60);
            let en = format!(
                "figures of {yesterday} are ready at {time} Beijing time; an end_date before it works now"
            );
            Err(failure(ErrorCode::NOT_READY, en, format!("{yesterday}的数据{time}（北京时间）后可查")))
        }
        _ => Ok(()),
    }
}

/// The periods named by the days asked for, and those of them that are not over.
struct Periods {
    answered: Vec<Period>,
    open: Option<Period>,
}

fn periods(interface: &Interface, dates: &Dates, live: bool, now_s: i64) -> Periods {
    let days = (0..=dates.end.days_since(dates.begin)).map(|n| dates.begin.plus_days(n));
    let named = days.filter(|day| day.start_of(interface.granularity) == *day);
    let all = named.flat_map(|day| {
        let hours = if interface.granularity == Granularity::Hour { 24 } else { 1 };
        (0..hours).map(move |hour| match interface.granularity {
            Granularity::Hour => Period::hour(day, hour),
            granularity => Period::holding(granularity, day),
        })
    });
    let begun = all.filter(|period| period.start_s() <= now_s);
    let (answered, open): (Vec<Period>, Vec<Period>) =
        begun.partition(|period| live || period.end_s() <= now_s);
    Periods { answered, open: open.first().copied() }
}

fn rows(
    interface: &Interface,
    app: &App,
    account: &Account,
    dates: &Dates,
    mut periods: Periods,
    now_s: i64,
) -> Result<(List, Option<Hint>), Failure> {
    let partial = app.store.coverage(account.number, |coverage| {
        let partial = periods.answered.iter().find(|period| !is_covered(coverage, **period, now_s)).copied();
        if app.config.datacube.withhold_partial {
            periods.answered.retain(|period| is_covered(coverage, *period, now_s));
        }
        partial
    });
    let mut list = app.store.rows(account.number, interface, &periods.answered).map_err(|error| {
        tracing::error!(%error, interface = interface.name, "figures cannot be read");
        Failure::from(ErrorCode::SYSTEM_ERROR)
    })?;
    if app.config.datacube.user_source {
        list.iter_mut().for_each(|row: &mut Row| row.user_source = Some(0));
    }
    let hint = match (partial, periods.open) {
        (Some(period), _) if app.config.datacube.withhold_partial => {
            Some(Hint::withheld(period.start(), &account.config.appid))
        }
        (Some(period), _) => Some(Hint::partial(period.start(), &account.config.appid)),
        (None, Some(open)) => Some(Hint::not_over(open.start(), open.last_day().plus_days(1))),
        (None, None) if periods.answered.is_empty() => Hint::no_period(interface, dates.begin, dates.end),
        (None, None) => None,
    };
    Ok((List { list }, hint))
}

fn is_covered(coverage: &Coverage, period: Period, now_s: i64) -> bool {
    coverage.holds(period.start_s(), period.end_s(), now_s)
}
