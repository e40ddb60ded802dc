//! `/ui/accounts/{appid}` and `/ui/share/{token}`: one account over a range of days, and its figures as files. In the
//! query: `from`, `to`, `by`, `compare`.

mod covered;
mod figures;
mod range;
mod sources;
mod tables;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode, request::Parts},
};
use pages::{AccountFiguresView, AccountName, AccountPage, BeijingTime, Download, Frame, RangeCoverage};

use super::{
    curl::CurlCommands,
    draw, export,
    overview::shown_state,
    seal,
    viewer::{Viewer, Visitor},
};
use crate::{
    accounts::registry::ServedAccount,
    figures::{health, statistics::StatisticsError, summary::may_read},
    http::state::App,
};
use covered::CountedTime;
use figures::{AccountReader, EVENTS_SHOWN_MAX};
use range::RangeQuery;
use sources::FigureSources;

/// The name of a file with all tables, without its ending.
const ALL_TABLES: &str = "figures";

/// `GET /ui/accounts/{appid}`.
pub async fn show(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    answer(&app, &viewer, &appid, &request.into_parts().0, None).await
}

/// `GET /ui/accounts/{appid}/{file}`.
pub async fn save(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path((appid, file)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    answer(&app, &viewer, &appid, &request.into_parts().0, Some(&file)).await
}

/// `GET /ui/share/{token}` shows one account to whoever has the link.
pub async fn show_shared(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<String>,
    request: Request,
) -> Response<Body> {
    answer_shared(&app, visitor, &token, &request.into_parts().0, None).await
}

/// `GET /ui/share/{token}/{file}`.
pub async fn save_shared(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path((token, file)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    answer_shared(&app, visitor, &token, &request.into_parts().0, Some(&file)).await
}

async fn answer_shared(
    app: &Arc<App>,
    visitor: Visitor,
    token: &str,
    parts: &Parts,
    file: Option<&str>,
) -> Response<Body> {
    let link = app.share_links.of_token(token, app.clock.now_s());
    match link.filter(|link| app.accounts.get(&link.account).is_some()) {
        Some(link) => {
            let appid = link.account.clone();
            answer(app, &Viewer::of_link(link, visitor.lang), &appid, parts, file).await
        }
        None => draw::no_link(visitor.lang, &parts.uri),
    }
}

/// The page, or one of its files.
async fn answer(
    app: &Arc<App>,
    viewer: &Viewer,
    appid: &str,
    parts: &Parts,
    file: Option<&str>,
) -> Response<Body> {
    let (uri, query) = (&parts.uri, parts.uri.query().unwrap_or_default());
    let account = app.accounts.get(appid).filter(|_| may_read(&viewer.access, appid));
    let Some(account) = account else { return draw::not_found(app, viewer, uri) };
    let path = match file {
        Some(_) => uri.path().rsplit_once('/').map_or("", |(page, _)| page),
        None => uri.path(),
    };
    let now_s = app.clock.now_s();
    let asked = RangeQuery::parse(path, query, counting::day_of(now_s));
    if file.is_some() && asked.chosen.is_none() {
        // The page says what is wrong with the range.
        return seal::see_other(&format!("{path}?{query}"));
    }
    let range = asked.chosen.as_ref().map(|chosen| asked.query(chosen)).unwrap_or_default();
    let sources = FigureSources::new(CurlCommands::new(app, viewer, parts), appid, path, range);
    // The semaphore is never closed, so this ends with a permit.
    let visit = match &viewer.share {
        Some(_) => app.share_links.views.0.clone().acquire_owned().await.ok(),
        None => None,
    };
    // Large files take their time, so they are made beside the figures.
    let shared = (viewer.clone(), parts.clone(), file.map(str::to_owned));
    let made = app.read_blocking(move |app| {
        let _visit = visit;
        let (viewer, parts, file) = &shared;
        let page = page(app, now_s, &account, asked, &sources)?;
        Ok::<_, StatisticsError>(drawn(app, viewer, parts, page, file.as_deref(), now_s))
    });
    match made.await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            app.log_store_failure(&error);
            draw::store_failed(app, viewer, uri)
        }
        Err(_) => draw::store_failed(app, viewer, uri),
    }
}

/// Reads everything that the page shows. Blocks for the disk.
fn page(
    app: &App,
    now_s: i64,
    account: &ServedAccount,
    asked: RangeQuery,
    sources: &FigureSources,
) -> Result<AccountPage, StatisticsError> {
    let report = app.store.coverage(account.number, |coverage| coverage.report(now_s));
    let counted = CountedTime::new(report, now_s);
    let reader = AccountReader { store: &app.store, now_s, account, counted: &counted, sources };
    let mut figures = asked.chosen.as_ref().map(|chosen| reader.figures(chosen)).transpose()?;
    if let Some(figures) =
        figures.as_mut().filter(|figures| figures.coverage == RangeCoverage::BeforeCounting)
    {
        let first = counted.since().map(|since| since.day);
        figures.first_counted =
            first.map(|day| asked.address(day, day.plus_days(27).min(counting::day_of(now_s)).max(day)));
    }
    let downloads = [("CSV", "csv"), ("XLSX", "xlsx")]
        .map(|(format, ending)| Download { format, href: sources.file(&format!("{ALL_TABLES}.{ending}")) });
    Ok(AccountPage {
        account: AccountName { appid: account.config.appid.clone(), name: account.config.name.clone() },
        state: shown_state(health::state(&app.store, now_s, account)),
        since: counted.since(),
        today: reader.today()?,
        downloads: if figures.is_some() { downloads.into() } else { Vec::new() },
        figures,
        range: asked.form,
    })
}

fn drawn(
    app: &App,
    viewer: &Viewer,
    parts: &Parts,
    mut page: AccountPage,
    file: Option<&str>,
    now_s: i64,
) -> Response<Body> {
    let frame = draw::frame(app, viewer, &parts.uri, None);
    let is_signed_in = viewer.share.is_none();
    let frame = Frame {
        live: is_signed_in.then(|| "/ui/live/events".to_owned()),
        now: BeijingTime::from_unix_s(now_s),
        ..frame
    };
    if let Some(file) = file {
        let saved = page.figures.as_ref().and_then(|figures| saved(&frame, &page, figures, file));
        return saved.unwrap_or_else(|| draw::not_found(app, viewer, &parts.uri));
    }
    if let Some(figures) = &mut page.figures {
        figures.more_events = figures.events.len().saturating_sub(EVENTS_SHOWN_MAX);
        figures.events.truncate(EVENTS_SHOWN_MAX);
    }
    let status = if page.range.error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    draw::html(status, pages::account(&frame, &page))
}

/// A file of the page. None: there is none with this name.
fn saved(
    frame: &Frame,
    page: &AccountPage,
    figures: &AccountFiguresView,
    file: &str,
) -> Option<Response<Body>> {
    let (stem, ending) = file.rsplit_once('.')?;
    let name = format!("{}-{}-{}-{stem}", page.account.appid, figures.from, figures.to);
    if ending == "svg" {
        let charts = pages::account_svg_files(frame, figures);
        let (_, chart) = charts.into_iter().find(|(known, _)| *known == stem)?;
        return Some(export::file(&format!("{name}.svg"), "image/svg+xml", chart));
    }
    let mut tables = tables::tables(page, figures, frame.lang);
    if stem != ALL_TABLES {
        tables.retain(|table| table.file == stem);
    }
    if tables.is_empty() {
        return None;
    }
    export::tables_file(&tables, &name, ending, frame.now.unix_s())
}
