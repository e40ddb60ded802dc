//! `/ui/health`: what is well and what is not, of the accounts that the viewer may read. What concerns the whole process
//! is shown to admins only.

mod intake;
mod process;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode, Uri},
};
use i18n::{Text, text};
use pages::{AccountName, AlertLevel, BeijingTime, HealthCheck, HealthPage, HealthRow, NavEntry, ShownState};

use super::{draw, overview::shown_state, viewer::Viewer};
use crate::{
    accounts::registry::ServedAccount,
    auth::api_keys::Access,
    figures::summary::{readable, states},
    http::state::App,
};

/// Accounts in the list.
const ROWS_MAX: usize = 50;

/// `GET /ui/health`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    let (shared, access, is_admin) = (app.clone(), viewer.access.clone(), viewer.is_admin());
    // The newest message of an account may have to be read from disk.
    let read = tokio::task::spawn_blocking(move || page(&shared, &access, is_admin));
    let Ok(page) = read.await else { return draw::store_failed(&app, &viewer, &uri) };
    let frame = draw::frame(&app, &viewer, &uri, Some(NavEntry::Health));
    draw::html(StatusCode::OK, pages::health(&frame, &page))
}

fn page(app: &App, access: &Access, is_admin: bool) -> HealthPage {
    let now_s = app.clock.now_s();
    let accounts = readable(&app.accounts, access);
    let mut checks = intake::checks(app, now_s, &accounts, is_admin);
    if is_admin {
        checks.extend(process::checks(app, now_s));
    }
    let states = states(&app.store, &accounts, now_s);
    let mut rows: Vec<HealthRow> = accounts
        .iter()
        .zip(states)
        .filter_map(|(account, state)| needing(account, shown_state(state)))
        .collect();
    // The accounts come sorted by appid, and sorting keeps that order among equals.
    rows.sort_by_key(|row| row.state);
    let more_accounts = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    HealthPage { since: BeijingTime::from_unix_s(app.started_s), checks, accounts: rows, more_accounts }
}

/// The row of an account that needs attention.
fn needing(account: &ServedAccount, state: ShownState) -> Option<HealthRow> {
    let finding = match state {
        ShownState::Refusing => text!(
            "Messages of the last 24 hours were refused or could not be stored. The checks below say why."
        ),
        ShownState::Gap => text!("A gap touches the last 24 hours. The checks below say why."),
        ShownState::WaitingCheck => text!(
            "WeChat has not checked the address of its callbacks, and no message has arrived. An admin connects it under Connect an account."
        ),
        ShownState::WaitingMessage | ShownState::Quiet | ShownState::Receiving => return None,
    };
    let account = AccountName { appid: account.config.appid.clone(), name: account.config.name.clone() };
    Some(HealthRow { account, state, finding })
}

fn good(title: Text, finding: Text) -> HealthCheck {
    HealthCheck { level: AlertLevel::Good, title, finding, remedy: None }
}

fn warning(title: Text, finding: Text, remedy: Text) -> HealthCheck {
    HealthCheck { level: AlertLevel::Warning, title, finding, remedy: Some(remedy) }
}

fn bad(title: Text, finding: Text, remedy: Text) -> HealthCheck {
    HealthCheck { level: AlertLevel::Bad, title, finding, remedy: Some(remedy) }
}

/// A time in Beijing as both languages write it: `2026-11-28 15:14:41`.
fn moment(unix_s: i64) -> String {
    let time = BeijingTime::from_unix_s(unix_s);
    let (hour, minute, second) = time.clock();
    format!("{} {hour:02}:{minute:02}:{second:02}", time.day)
}
