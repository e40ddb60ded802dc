//! `GET /v1/stats?accounts=*`: the figures of many accounts, page by page.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use datacube::{Day, Granularity};
use serde::{Deserialize, Serialize};
use storage::store::{
    StoreError,
    statistics::{Grouping, Span},
};

use super::{
    access,
    page_format::{self, AccountRow, Format, Page, Row},
    parameters::Values,
    statistics::{Question, add_rows, day},
    store_failed,
};
use crate::{
    accounts::registry::Account,
    auth::api_keys::{Access, Scope},
    http::{answer, state::App},
};

/// Rows of a page of JSON, unless another number is asked for.
const ROWS: usize = 1_000;
/// At most; also in formats that people save to a file, where no `next` stands.
const ROWS_MAX: usize = 10_000;
/// Stretches of time that one page looks at, also where there are no rows.
const SPANS_MAX: usize = 20_000;
/// Accounts that can be named one by one; `*` means any number.
const NAMED_MAX: usize = 1_000;

/// Up to where the former page went. Accounts that are added or removed meanwhile do not shift it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    from: Day,
    to: Day,
    account: String,
    period: String,
    /// None: all types of that period.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

struct Asked {
    question: Question,
    limit: usize,
    cursor: Option<Cursor>,
    format: Format,
}

pub async fn answer(
    State(app): State<Arc<App>>,
    Extension(access): Extension<Access>,
    request: Request,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let values: Values<'_> = form_urlencoded::parse(query.as_bytes()).collect();
    let asked = match Asked::parse(&values, request.headers(), app.clock.today()) {
        Ok(asked) => asked,
        Err(error) => return answer::own_error(StatusCode::BAD_REQUEST, error),
    };
    let accounts = match accounts(&app, &access, values.get("accounts").map_or("*", AsRef::as_ref)) {
        Ok(accounts) => accounts,
        Err(refused) => return refused.response(),
    };
    let (format, by_type) = (asked.format, asked.question.by_type);
    // Never closed, so there is always a place in the end.
    let place = app.statistics_places.clone().acquire_owned().await;
    let shared = app.clone();
    // The place is held for as long as it counts, also if the caller hangs up.
    let counted = tokio::task::spawn_blocking(move || {
        let _place = place;
        page(&shared, &accounts, &asked)
    });
    let counted = counted.await;
    match counted {
        Ok(Ok(page)) => page_format::response(&page, format, by_type, &query),
        Ok(Err(error)) => store_failed(&error),
        Err(_) => answer::own_error(StatusCode::INTERNAL_SERVER_ERROR, "counting ended early; see the log"),
    }
}

impl Asked {
    fn parse(values: &Values<'_>, headers: &HeaderMap, today: Day) -> Result<Asked, String> {
        let cursor = values.get("cursor").map(|text| Cursor::parse(text)).transpose()?;
        let (from, to) = (day(values, "from")?, day(values, "to")?);
        let question = Question::new(values, |grouping| {
            let cursor_days = cursor.as_ref().map(|cursor| (cursor.from, cursor.to));
            let (usual_from, usual_to) = cursor_days.unwrap_or_else(|| usual_days(grouping, today));
            (from.unwrap_or(usual_from.min(to.unwrap_or(usual_from))), to.unwrap_or(usual_to))
        })?;
        if cursor.as_ref().is_some_and(|cursor| (cursor.from, cursor.to) != (question.from, question.to)) {
            return Err("the cursor belongs to other days; leave cursor out to begin anew".to_owned());
        }
        let format = Format::of(values, headers)?;
        let usual = if format == Format::Json { ROWS } else { ROWS_MAX };
        let limit = values.get("limit").map_or(Some(usual), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=ROWS_MAX).contains(limit));
        let limit = limit.ok_or(format!("limit: 1 to {ROWS_MAX} rows a page"))?;
        Ok(Asked { question, limit, cursor, format })
    }

    /// Whether all rows of a period were on former pages.
    fn is_past(&self, account: &str, period: &str) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| {
            let place = (account, period).cmp(&(&cursor.account, &cursor.period));
            place.is_lt() || (place.is_eq() && cursor.kind.is_none())
        })
    }

    /// Takes out the rows of a period that were on a former page: types come in a fixed order.
    fn drop_past(&self, account: &str, period: &str, rows: &mut Vec<Row>) {
        let Some(cursor) = &self.cursor else { return };
        if (account, period) == (&cursor.account, &cursor.period)
            && let Some(last) = rows.iter().position(|row| row.kind == cursor.kind.as_deref())
        {
            rows.drain(..=last);
        }
    }

    fn cursor(&self, account: &str, period: &str, kind: Option<&str>) -> Cursor {
        let Question { from, to, .. } = self.question;
        let (account, period) = (account.to_owned(), period.to_owned());
        Cursor { from, to, account, period, kind: kind.map(ToOwned::to_owned) }
    }
}

/// The present period and the one before it.
fn usual_days(grouping: Grouping, today: Day) -> (Day, Day) {
    let granularity = match grouping {
        Grouping::By(granularity) => granularity,
        Grouping::Total => Granularity::Month,
    };
    (today.start_of(granularity).plus_days(-1).start_of(granularity), today)
}

impl Cursor {
    fn parse(text: &str) -> Result<Cursor, String> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.ok_or("cursor: take it from next of the former page, or leave it out".to_owned())
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Why accounts cannot be shown.
enum Refused {
    Asked(String),
    Forbidden(Scope),
    Unknown(String),
}

impl Refused {
    fn response(&self) -> Response<Body> {
        match self {
            Refused::Asked(error) => answer::own_error(StatusCode::BAD_REQUEST, error),
            Refused::Forbidden(scope) => access::forbidden(scope),
            Refused::Unknown(appid) => {
                let error =
                    format!("accounts: no account has the appid {appid}; GET /v1/accounts lists them");
                answer::own_error(StatusCode::NOT_FOUND, error)
            }
        }
    }
}

/// Those asked for, sorted. Whoever may not read an account does not learn whether there is one.
fn accounts(app: &App, access: &Access, asked: &str) -> Result<Vec<Arc<Account>>, Refused> {
    let scope = |appid: &str| Scope::Read(Some(appid.to_owned()));
    let mut accounts = access::readable(app, access);
    if asked == "*" {
        return Ok(accounts);
    }
    let named: BTreeSet<&str> = asked.split(',').filter(|appid| !appid.is_empty()).collect();
    if named.is_empty() || named.len() > NAMED_MAX {
        let error = format!("accounts: * or 1 to {NAMED_MAX} appids with commas between them");
        return Err(Refused::Asked(error));
    }
    if let Some(appid) = named.iter().find(|appid| !access.allows(&scope(appid))) {
        return Err(Refused::Forbidden(scope(appid)));
    }
    accounts.retain(|account| named.contains(account.config.appid.as_str()));
    let is_there = |appid: &&str| accounts.iter().any(|account| account.config.appid == **appid);
    match named.iter().find(|appid| !is_there(appid)) {
        Some(appid) => Err(Refused::Unknown((*appid).to_owned())),
        None => Ok(accounts),
    }
}

fn page(app: &App, accounts: &[Arc<Account>], asked: &Asked) -> Result<Page, StoreError> {
    let today = app.clock.today();
    let Question { from, to, .. } = asked.question;
    let mut page = Page { from, to, rows: Vec::new(), next: None };
    let first = asked.cursor.as_ref().map_or("", |cursor| &cursor.account);
    let accounts = &accounts[accounts.partition_point(|account| account.config.appid.as_str() < first)..];
    let places = accounts.iter().flat_map(|account| {
        let spans = asked.question.spans(today);
        spans.map(move |(period, span)| (account, period, span))
    });
    let places = places.filter(|(account, period, _)| !asked.is_past(&account.config.appid, period));
    for (looked_at, (account, period, span)) in places.enumerate() {
        let mut rows = rows(app, account, &period, span, asked)?;
        let room = asked.limit - page.rows.len();
        let is_full = rows.len() > room;
        rows.truncate(room);
        page.rows.extend(rows);
        if is_full || looked_at + 1 == SPANS_MAX {
            let cursor = match page.rows.last().filter(|_| is_full) {
                Some(last) => asked.cursor(&last.account, &last.row.period, last.row.kind),
                None => asked.cursor(&account.config.appid, &period, None),
            };
            page.next = Some(cursor.text());
            break;
        }
    }
    Ok(page)
}

/// What one stretch of time adds to a page.
fn rows(
    app: &App,
    account: &Account,
    period: &str,
    span: Span,
    asked: &Asked,
) -> Result<Vec<AccountRow>, StoreError> {
    let mut rows = Vec::new();
    add_rows(&mut rows, period, app.store.slice(account.number, span)?, asked.question.by_type);
    asked.drop_past(&account.config.appid, period, &mut rows);
    Ok(AccountRow::all(app, account, span, rows))
}
