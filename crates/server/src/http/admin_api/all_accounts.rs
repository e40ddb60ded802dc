//! `GET /v1/stats?accounts=*`: the figures of several accounts, page by page.

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
    page_format::{self, Format, StatisticsPage},
    store_failed,
};
use crate::{
    accounts::registry::ServedAccount,
    auth::api_keys::{Access, Scope},
    figures::statistics::{AccountRow, QueryValues, ROWS_MAX, StatisticsQuery, day, rows_of_spans},
    http::{answer, state::App},
};

/// Rows of a page of JSON, unless `limit` says another number.
const ROWS: usize = 1_000;
/// Most periods that one page examines. Periods without rows count too.
const SPANS_MAX: usize = 20_000;
/// Periods of an account that are read together. Few, since the page may be full before the last one.
const SPANS_TOGETHER_MAX: usize = 100;
/// Most appids in `accounts`. `*` has no such limit.
const NAMED_MAX: usize = 1_000;

/// The last place of the previous page. It names the place, so accounts that are added or removed do not shift it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    from: Day,
    to: Day,
    account: String,
    period: String,
    /// The key of the last row of that period on the page. None: all its rows.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// The parameters of a call.
struct PageRequest {
    query: StatisticsQuery,
    limit: usize,
    cursor: Option<Cursor>,
    format: Format,
}

/// Answers a page of rows as [`StatisticsPage`], or its rows alone as NDJSON or CSV.
pub async fn answer(
    State(app): State<Arc<App>>,
    Extension(access): Extension<Access>,
    request: Request,
) -> Response<Body> {
    let query_text = request.uri().query().unwrap_or("").to_owned();
    let values: QueryValues<'_> = form_urlencoded::parse(query_text.as_bytes()).collect();
    let page_request =
        match PageRequest::parse(&values, request.headers(), counting::day_of(app.clock.now_s())) {
            Ok(page_request) => page_request,
            Err(error) => return answer::api_error(StatusCode::BAD_REQUEST, error),
        };
    let accounts = match accounts(&app, &access, values.get("accounts").map_or("*", AsRef::as_ref)) {
        Ok(accounts) => accounts,
        Err(error) => return error.response(),
    };
    let (format, query) = (page_request.format, page_request.query);
    match app.read_blocking(move |app| page(app, &accounts, &page_request)).await {
        Ok(Ok(page)) => page_format::response(&page, format, &query, &query_text),
        Ok(Err(error)) => store_failed(&app, &error),
        Err(_) => {
            answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, "counting failed; see the log of the server")
        }
    }
}

impl PageRequest {
    fn parse(values: &QueryValues<'_>, headers: &HeaderMap, today: Day) -> Result<PageRequest, String> {
        let cursor = values.get("cursor").map(|text| Cursor::parse(text)).transpose()?;
        let (from, to) = (day(values, "from")?, day(values, "to")?);
        // A period that was open on the first page may be over now. It stays in the following pages.
        let reference = cursor.as_ref().map_or(today, |cursor| cursor.to.min(today));
        let query = StatisticsQuery::parse_with_days(values, reference, |grouping| {
            let cursor_days = cursor.as_ref().map(|cursor| (cursor.from, cursor.to));
            let (default_from, default_to) = cursor_days.unwrap_or_else(|| default_days(grouping, today));
            (from.unwrap_or(default_from.min(to.unwrap_or(default_from))), to.unwrap_or(default_to))
        })?;
        if cursor.as_ref().is_some_and(|cursor| (cursor.from, cursor.to) != (query.from(), query.to())) {
            return Err("the cursor belongs to other days; leave cursor out to start again".to_owned());
        }
        let key = cursor.as_ref().and_then(|cursor| cursor.key.as_deref());
        if key.is_some_and(|key| query.by().and_then(|by| by.place_of(key)).is_none()) {
            return Err(
                "the cursor belongs to another value of by; leave cursor out to start again".to_owned()
            );
        }
        let format = Format::choose(values, headers)?;
        // People save NDJSON and CSV to files. These have no field `next`, so they get as many rows as there may be.
        let default = if format == Format::Json { ROWS } else { ROWS_MAX };
        let limit = values.get("limit").map_or(Some(default), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=ROWS_MAX).contains(limit));
        let limit = limit.ok_or(format!("limit: 1 to {ROWS_MAX} rows per page"))?;
        Ok(PageRequest { query, limit, cursor, format })
    }

    /// Whether all rows of a period were on previous pages.
    fn is_past(&self, account: &str, period: &str) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| {
            let order = (account, period).cmp(&(&cursor.account, &cursor.period));
            order.is_lt() || (order.is_eq() && cursor.key.is_none())
        })
    }

    /// Removes the rows of a period that were on a previous page. Keys have a fixed order, and the row of the cursor may
    /// be gone: a user who writes again moves to another row of `by=count`.
    fn drop_past(&self, account: &str, period: &str, rows: &mut Vec<AccountRow>) {
        let Some(cursor) = &self.cursor else { return };
        if (account, period) == (&cursor.account, &cursor.period) {
            let place = |key: &str| self.query.by().and_then(|by| by.place_of(key));
            let last = cursor.key.as_deref().and_then(place);
            rows.retain(|row| row.row.key().and_then(place) > last);
        }
    }

    fn cursor(&self, account: &str, period: &str, key: Option<&str>) -> Cursor {
        let (from, to) = (self.query.from(), self.query.to());
        let (account, period) = (account.to_owned(), period.to_owned());
        Cursor { from, to, account, period, key: key.map(ToOwned::to_owned) }
    }
}

/// The days that are shown without `from` and `to`: the current period and the one before it.
fn default_days(grouping: Grouping, today: Day) -> (Day, Day) {
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
        cursor.ok_or("cursor: copy it from next of the previous page, or leave it out".to_owned())
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Why accounts cannot be shown. `BadList`: the parameter `accounts` is malformed.
enum AccountsError {
    BadList(String),
    Forbidden(Scope),
    Unknown(String),
}

impl AccountsError {
    fn response(&self) -> Response<Body> {
        match self {
            AccountsError::BadList(error) => answer::api_error(StatusCode::BAD_REQUEST, error),
            AccountsError::Forbidden(scope) => access::forbidden(scope),
            AccountsError::Unknown(appid) => {
                let error =
                    format!("accounts: no account has the appid {appid}; GET /v1/accounts lists them");
                answer::api_error(StatusCode::NOT_FOUND, error)
            }
        }
    }
}

/// The accounts that `list` names, sorted by appid. A key without the scope for an account does not learn whether it
/// exists.
fn accounts(app: &App, access: &Access, list: &str) -> Result<Vec<Arc<ServedAccount>>, AccountsError> {
    let scope = |appid: &str| Scope::Read(Some(appid.to_owned()));
    let mut accounts = access::readable(app, access);
    if list == "*" {
        return Ok(accounts);
    }
    let named: BTreeSet<&str> = list.split(',').filter(|appid| !appid.is_empty()).collect();
    if named.is_empty() || named.len() > NAMED_MAX {
        let error = format!("accounts: * or 1 to {NAMED_MAX} appids with commas between them");
        return Err(AccountsError::BadList(error));
    }
    if let Some(appid) = named.iter().find(|appid| !access.allows(&scope(appid))) {
        return Err(AccountsError::Forbidden(scope(appid)));
    }
    accounts.retain(|account| named.contains(account.config.appid.as_str()));
    let exists = |appid: &&str| accounts.iter().any(|account| account.config.appid == **appid);
    match named.iter().find(|appid| !exists(appid)) {
        Some(appid) => Err(AccountsError::Unknown((*appid).to_owned())),
        None => Ok(accounts),
    }
}

fn page(
    app: &App,
    accounts: &[Arc<ServedAccount>],
    request: &PageRequest,
) -> Result<StatisticsPage, StoreError> {
    let now_s = app.clock.now_s();
    let today = counting::day_of(now_s);
    let (from, to) = (request.query.from(), request.query.to());
    let mut page = StatisticsPage { from, to, rows: Vec::new(), next: None };
    let first = request.cursor.as_ref().map_or("", |cursor| &cursor.account);
    let accounts = &accounts[accounts.partition_point(|account| account.config.appid.as_str() < first)..];
    let mut examined = 0;
    for account in accounts {
        let appid = &account.config.appid;
        let spans = request.query.spans(today).filter(|(period, _)| !request.is_past(appid, period));
        let spans: Vec<(String, Span)> = spans.collect();
        for some in spans.chunks(SPANS_TOGETHER_MAX) {
            let found = rows_of_spans(&app.store, now_s, account, &request.query, some)?;
            for ((period, _), mut rows) in some.iter().zip(found) {
                examined += 1;
                request.drop_past(appid, period, &mut rows);
                let room = request.limit - page.rows.len();
                let is_full = rows.len() > room;
                rows.truncate(room);
                page.rows.extend(rows);
                if is_full || examined == SPANS_MAX {
                    let cursor = match page.rows.last().filter(|_| is_full) {
                        Some(last) => request.cursor(&last.account, &last.row.period, last.row.key()),
                        None => request.cursor(appid, period, None),
                    };
                    page.next = Some(cursor.encode());
                    return Ok(page);
                }
            }
        }
    }
    Ok(page)
}
