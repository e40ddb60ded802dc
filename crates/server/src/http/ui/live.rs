//! `/ui/live`: what comes in now. In the query: `account`, an appid. `/ui/live/events` is the stream of its numbers.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use i18n::{Text, text};
use pages::{
    AccountName, BeijingTime, FigureSource, Frame, LIVE_MINUTES, LiveAccountRow, LivePage, MinuteSeries,
    NavEntry,
};
use storage::store::{AccountSummary, StoreError};

use super::{
    super::{admin_api, answer},
    curl::CurlCommands,
    draw,
    viewer::Viewer,
};
use crate::{
    accounts::registry::ServedAccount,
    auth::api_keys::Access,
    figures::{
        hours::{counted_hours, messages_by_hour},
        summary::{SummarizedAccount, readable, summaries},
    },
    http::state::App,
};

/// The address of the stream.
pub const EVENTS: &str = "/ui/live/events";
/// Accounts with a colour of their own in the chart.
const LARGEST: usize = 5;
/// Accounts in the list.
const ROWS_MAX: usize = 50;
/// Minutes that the list adds up.
const LAST_MINUTES: usize = 5;
/// The day a week ago is read for at most so many accounts: its figures are on disk.
const ACCOUNTS_BEFORE_MAX: usize = 200;

/// What the page shows, as it was read.
struct LiveReading {
    now_s: i64,
    selected: Option<AccountName>,
    accounts: Vec<SummarizedAccount>,
    today: [Option<u64>; 24],
    last_week: [Option<u64>; 24],
}

/// `GET /ui/live`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let uri = &parts.uri;
    let query = uri.query().unwrap_or_default().as_bytes();
    let asked = form_urlencoded::parse(query).find(|(name, _)| name == "account");
    let asked = asked.map(|(_, appid)| appid.trim().to_owned()).filter(|appid| !appid.is_empty());
    let (access, appid) = (viewer.access.clone(), asked.clone());
    let reading = app.read_blocking(move |app| read(app, &access, appid.as_deref()));
    let reading = match reading.await {
        Ok(Ok(reading)) => reading,
        Ok(Err(error)) => {
            app.log_store_failure(&error);
            return draw::store_failed(&app, &viewer, uri);
        }
        Err(_) => return draw::store_failed(&app, &viewer, uri),
    };
    let frame = draw::frame(&app, &viewer, uri, Some(NavEntry::Live));
    let frame = Frame { live: Some(EVENTS.to_owned()), ..frame };
    let unknown = asked.filter(|_| reading.selected.is_none());
    let page = page(&reading, unknown, &CurlCommands::new(&app, &viewer, &parts));
    draw::html(StatusCode::OK, pages::live(&frame, &page))
}

/// `GET /ui/live/events`: as `/v1/live`, for the accounts of the viewer. It ends as soon as the session does.
pub async fn events(State(app): State<Arc<App>>, viewer: Viewer) -> Response<Body> {
    let (holder, shared) = (viewer.stream_holder(&app), app.clone());
    match app.live.open(&holder, move || viewer.access_now(&shared)) {
        Ok(events) => admin_api::live::response(events),
        Err(error) => answer::api_error(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// Reads the figures of all accounts that the viewer may read, and the hours of `appid`. Blocks for the disk.
fn read(app: &App, access: &Access, appid: Option<&str>) -> Result<LiveReading, StoreError> {
    let (now_s, store) = (app.clock.now_s(), &app.store);
    let all = readable(&app.accounts, access);
    let accounts = summaries(store, &all, now_s)?;
    let selected = all.iter().find(|account| Some(account.config.appid.as_str()) == appid);
    let shown = selected.map_or(&all[..], std::slice::from_ref);
    let today = counting::day_of(now_s);
    let with_messages = |account: &&SummarizedAccount| account.summary.today() > 0;
    let busy: Vec<&Arc<ServedAccount>> =
        accounts.iter().filter(with_messages).map(|account| &account.account).collect();
    let is_shown = |account: &&&Arc<ServedAccount>| selected.is_none_or(|one| one.number == account.number);
    let before = if shown.len() <= ACCOUNTS_BEFORE_MAX { shown } else { &[] };
    let last_week = today.plus_days(-7);
    Ok(LiveReading {
        now_s,
        selected: selected.map(|account| name(account)),
        today: where_counted(
            messages_by_hour(store, busy.iter().filter(is_shown).copied(), today)?,
            counted_hours(store, shown, today, now_s),
        ),
        last_week: where_counted(
            messages_by_hour(store, before, last_week)?,
            counted_hours(store, before, last_week, now_s),
        ),
        accounts,
    })
}

fn name(account: &ServedAccount) -> AccountName {
    AccountName { appid: account.config.appid.clone(), name: account.config.name.clone() }
}

/// The messages of the hours that were counted, or that have messages all the same, such as imported ones.
fn where_counted(messages: [u64; 24], is_counted: [bool; 24]) -> [Option<u64>; 24] {
    std::array::from_fn(|hour| (is_counted[hour] || messages[hour] > 0).then_some(messages[hour]))
}

fn page(reading: &LiveReading, unknown: Option<String>, curl: &CurlCommands) -> LivePage {
    let now = BeijingTime::from_unix_s(reading.now_s);
    let path = match &reading.selected {
        Some(account) => {
            let appid =
                percent_encoding::utf8_percent_encode(&account.appid, percent_encoding::NON_ALPHANUMERIC);
            format!("/v1/accounts/{appid}/stats?from={0}&to={0}&period=hour", now.day)
        }
        None => "/v1/summary".to_owned(),
    };
    LivePage {
        minutes: minutes(reading),
        selected: reading.selected.clone(),
        unknown,
        minute_now: BeijingTime { second: now.second / 60 * 60, ..now },
        source: FigureSource { curl: curl.of(&path), csv: String::new() },
        today: reading.today,
        last_week: reading.last_week,
        accounts: rows(&reading.accounts),
    }
}

/// The minutes of the selected account, or of the largest accounts and all others.
fn minutes(reading: &LiveReading) -> Vec<MinuteSeries> {
    let of = |found: &SummarizedAccount| found.summary.minutes;
    if let Some(selected) = &reading.selected {
        let found = reading.accounts.iter().find(|found| found.account.config.appid == selected.appid);
        return vec![MinuteSeries { name: text!("messages"), messages: found.map_or([0; LIVE_MINUTES], of) }];
    }
    let total = |found: &&SummarizedAccount| Reverse(last(&found.summary, LIVE_MINUTES));
    let mut largest: Vec<&SummarizedAccount> = reading.accounts.iter().collect();
    largest.sort_by_key(total);
    let others = largest.split_off(largest.len().min(LARGEST));
    let series = |found: &SummarizedAccount| MinuteSeries {
        name: Text::plain(name(&found.account).shown()),
        messages: of(found),
    };
    let mut all: Vec<MinuteSeries> = largest.into_iter().map(series).collect();
    if !others.is_empty() || all.is_empty() {
        let minute = |at: usize| others.iter().map(|found| of(found)[at]).fold(0, u32::saturating_add);
        all.push(MinuteSeries { name: text!("all others"), messages: std::array::from_fn(minute) });
    }
    all
}

/// Messages of the last minutes.
fn last(summary: &AccountSummary, minutes: usize) -> u64 {
    summary.minutes.iter().rev().take(minutes).map(|messages| u64::from(*messages)).sum()
}

/// The accounts with messages in the last five minutes, most first.
fn rows(accounts: &[SummarizedAccount]) -> Vec<LiveAccountRow> {
    let row = |found: &SummarizedAccount| LiveAccountRow {
        account: name(&found.account),
        last_minutes: last(&found.summary, LAST_MINUTES),
        today: found.summary.today(),
        last_message: found.summary.last_message_s.map(BeijingTime::from_unix_s),
    };
    let mut rows: Vec<LiveAccountRow> = accounts.iter().map(row).filter(|row| row.last_minutes > 0).collect();
    rows.sort_by_key(|row| Reverse(row.last_minutes));
    rows.truncate(ROWS_MAX);
    rows
}
