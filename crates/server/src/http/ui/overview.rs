//! `/ui/`: all accounts that the viewer may read. In the query: `q`, `sort`, `state`, `page`.

mod list;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, Uri},
};
use counting::Coverage;
use datacube::Day;
use i18n::{Text, text};
use pages::{
    AccountName, Attention, BeijingTime, Compared, DailySeries, DailyStack, Download, FigureSource,
    FigureTile, Frame, NavEntry, OverviewPage, ShownState, Words,
};
use storage::store::{AccountSummary, DAYS};

use super::{curl::CurlCommands, draw, export, viewer::Viewer};
use crate::{
    figures::{
        health::AccountState,
        summary::{SummarizedAccount, readable, summaries},
    },
    http::state::App,
};
use list::ListQuery;

/// Accounts with a colour of their own in the chart.
const LARGEST: usize = 5;

/// An account with everything that the overview shows of it.
#[derive(Clone, Debug)]
struct OverviewAccount {
    name: AccountName,
    state: ShownState,
    /// Since when its messages are counted, Unix seconds.
    since_s: Option<i64>,
    summary: AccountSummary,
}

/// `GET /ui/`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let uri = &parts.uri;
    let now_s = app.clock.now_s();
    let accounts = match read(&app, &viewer, uri, now_s).await {
        Ok(accounts) => accounts,
        Err(response) => return response,
    };
    let frame = draw::frame(&app, &viewer, uri, Some(NavEntry::Overview));
    let query_text = uri.query().unwrap_or_default();
    let query = ListQuery::parse(query_text);
    let page = page(&accounts, &query, now_s, &CurlCommands::new(&app, &viewer, &parts));
    let downloads = [("CSV", "csv"), ("XLSX", "xlsx")]
        .map(|(format, ending)| Download { format, href: format!("/ui/accounts.{ending}?{query_text}") });
    let page = OverviewPage { downloads: downloads.into(), ..page };
    let frame = Frame { live: Some("/ui/live/events".to_owned()), ..frame };
    draw::html(StatusCode::OK, pages::overview(&frame, &page))
}

/// `GET /ui/accounts.csv`: all accounts of the list.
pub async fn save_csv(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    save(&app, &viewer, &uri, "csv").await
}

/// `GET /ui/accounts.xlsx`: all accounts of the list.
pub async fn save_xlsx(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    save(&app, &viewer, &uri, "xlsx").await
}

async fn save(app: &Arc<App>, viewer: &Viewer, uri: &Uri, format: &str) -> Response<Body> {
    let now_s = app.clock.now_s();
    let accounts = match read(app, viewer, uri, now_s).await {
        Ok(accounts) => accounts,
        Err(response) => return response,
    };
    let query = ListQuery::parse(uri.query().unwrap_or_default());
    let (words, format) = (Words(viewer.lang), format.to_owned());
    let saved = app.read_blocking(move |_| {
        let table = list::table(&query.all_rows(&accounts, now_s), words);
        let name = format!("accounts-{}", BeijingTime::from_unix_s(now_s).day);
        export::tables_file(&[table], &name, &format, now_s)
    });
    saved.await.ok().flatten().unwrap_or_else(|| draw::not_found(app, viewer, uri))
}

/// The accounts that the viewer may read.
///
/// # Errors
///
/// The answer, if figures cannot be read.
async fn read(
    app: &Arc<App>,
    viewer: &Viewer,
    uri: &Uri,
    now_s: i64,
) -> Result<Vec<OverviewAccount>, Response<Body>> {
    let served = readable(&app.accounts, &viewer.access);
    let shared = app.clone();
    // After a start or at midnight, summaries are made from figures on disk.
    let read = tokio::task::spawn_blocking(move || {
        let summaries = summaries(&shared.store, &served, now_s)?;
        Ok(summaries.into_iter().map(|found| of_account(&shared, found)).collect())
    });
    match read.await {
        Ok(Ok(accounts)) => Ok(accounts),
        Ok(Err(error)) => Err(failed(app, viewer, uri, &error)),
        Err(_) => Err(draw::store_failed(app, viewer, uri)),
    }
}

fn failed(app: &App, viewer: &Viewer, uri: &Uri, error: &storage::store::StoreError) -> Response<Body> {
    app.log_store_failure(error);
    draw::store_failed(app, viewer, uri)
}

fn of_account(app: &App, found: SummarizedAccount) -> OverviewAccount {
    let account = found.account;
    OverviewAccount {
        name: AccountName { appid: account.config.appid.clone(), name: account.config.name.clone() },
        state: shown_state(found.state),
        since_s: app.store.coverage(account.number, Coverage::since),
        summary: found.summary,
    }
}

/// The state as pages show it.
pub fn shown_state(state: AccountState) -> ShownState {
    match state {
        AccountState::Refusing => ShownState::Refusing,
        AccountState::Gap => ShownState::Gap,
        AccountState::WaitingCheck => ShownState::WaitingCheck,
        AccountState::WaitingMessage => ShownState::WaitingMessage,
        AccountState::Quiet => ShownState::Quiet,
        AccountState::Receiving => ShownState::Receiving,
    }
}

fn page(accounts: &[OverviewAccount], query: &ListQuery, now_s: i64, curl: &CurlCommands) -> OverviewPage {
    let now = BeijingTime::from_unix_s(now_s);
    let sum = |of: &dyn Fn(&AccountSummary) -> u64| accounts.iter().map(|account| of(&account.summary)).sum();
    let source = FigureSource { curl: curl.of("/v1/summary"), csv: String::new() };
    let tile = |value, compared| FigureTile { value, compared, is_at_least: false, source: source.clone() };
    let of_all = |first, value| compared(earliest(accounts), first, value);
    let month = now.day.first_of_month();
    let before = month.plus_days(-1).first_of_month();
    let (list, rows) = query.rows(accounts, now_s);
    OverviewPage {
        accounts: accounts.len(),
        today: tile(
            sum(&AccountSummary::today),
            of_all(now.day.plus_days(-7), sum(&|summary| summary.same_hours_last_week)),
        ),
        today_whole_hours: sum(&|summary| summary.same_hours_today),
        today_until: BeijingTime { second: now.second / 3600 * 3600, ..now },
        month: tile(
            sum(&|summary| summary.month),
            of_all(before, sum(&|summary| summary.same_days_last_month)),
        ),
        month_whole_days: sum(&|summary| summary.month_before_today),
        last_month: tile(sum(&|summary| summary.last_month), Compared::No),
        attention: attention(accounts),
        days: daily_stack(accounts, now.day, source.clone()),
        list,
        rows,
        downloads: Vec::new(),
        source,
    }
}

/// Since when the first of the accounts is counted. None: none is.
fn earliest(accounts: &[OverviewAccount]) -> Option<i64> {
    accounts.iter().filter_map(|account| account.since_s).min()
}

/// What to compare with: the figure of a time from `first` on, if messages were counted then.
fn compared(since_s: Option<i64>, first: Day, value: u64) -> Compared {
    match since_s.map(BeijingTime::from_unix_s) {
        Some(since) if since > (BeijingTime { day: first, second: 0 }) => {
            Compared::NotCountedBefore(since.day)
        }
        Some(_) => Compared::With(value),
        None => Compared::No,
    }
}

fn attention(accounts: &[OverviewAccount]) -> Attention {
    let needing = accounts.iter().filter(|account| account.state.needs_attention());
    let worst = needing.clone().min_by_key(|account| account.state);
    Attention { count: needing.count(), worst: worst.map(|account| (account.name.clone(), account.state)) }
}

/// Messages a day of the largest accounts and of all others together.
fn daily_stack(accounts: &[OverviewAccount], today: Day, source: FigureSource) -> DailyStack {
    let total = |account: &&OverviewAccount| std::cmp::Reverse(account.summary.days.iter().sum::<u64>());
    let mut largest: Vec<&OverviewAccount> = accounts.iter().collect();
    largest.sort_by_cached_key(total);
    let others = largest.split_off(largest.len().min(LARGEST));
    let mut series: Vec<DailySeries> = largest
        .into_iter()
        .map(|account| DailySeries {
            name: Text::plain(account.name.shown()),
            messages: account.summary.days.to_vec(),
        })
        .collect();
    if !others.is_empty() {
        let day = |at: usize| others.iter().map(|account| account.summary.days[at]).sum();
        series.push(DailySeries { name: text!("all others"), messages: (0..DAYS).map(day).collect() });
    }
    DailyStack {
        first_day: i32::try_from(DAYS).map_or(today, |days| today.plus_days(1 - days)),
        series,
        source,
    }
}
