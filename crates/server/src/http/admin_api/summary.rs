//! `GET /v1/summary`: each account's messages today and before, in one call.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use counting::HOUR_S;
use serde::Serialize;

use super::{access, answer, beijing_time, store_failed};
use crate::{
    auth::api_keys::Access,
    figures::{
        health::AccountState,
        summary::{SummarizedAccount, summaries},
    },
    http::state::App,
};

/// The answer. Times are RFC 3339 in Beijing time, and numbers are messages of the five types that WeChat counts.
#[derive(Serialize)]
struct SummaryAnswer {
    /// The time of the figures.
    time: String,
    /// The accounts that the key may read, sorted by appid.
    accounts: Vec<AccountSummaryAnswer>,
}

#[derive(Serialize)]
struct AccountSummaryAnswer {
    account: String,
    /// Empty if the account has none.
    name: String,
    /// As in the health of the account.
    state: AccountState,
    /// The newest CreateTime of a message. `null` if there is none.
    last_message: Option<String>,
    today: u64,
    yesterday: u64,
    same_hours: SameHours,
    /// This calendar month, today included.
    month: u64,
    /// The calendar month before.
    last_month: u64,
}

/// The whole hours of today that are over, and the same hours seven days before.
#[derive(Serialize)]
struct SameHours {
    /// The end of those hours.
    until: String,
    today: u64,
    last_week: u64,
}

impl AccountSummaryAnswer {
    fn new(account: SummarizedAccount, until: String) -> AccountSummaryAnswer {
        let SummarizedAccount { account, state, summary } = account;
        AccountSummaryAnswer {
            account: account.config.appid.clone(),
            name: account.config.name.clone(),
            state,
            last_message: summary.last_message_s.map(beijing_time),
            today: summary.today(),
            yesterday: summary.yesterday(),
            same_hours: SameHours {
                until,
                today: summary.same_hours_today,
                last_week: summary.same_hours_last_week,
            },
            month: summary.month,
            last_month: summary.last_month,
        }
    }
}

/// Answers a [`SummaryAnswer`].
pub async fn answer(State(app): State<Arc<App>>, Extension(access): Extension<Access>) -> Response<Body> {
    // After the start and on a new day, figures are read from disk.
    let summarized = app.read_blocking(move |app| {
        let now_s = app.clock.now_s();
        summaries(&app.store, &access::readable(app, &access), now_s).map(|accounts| (now_s, accounts))
    });
    match summarized.await {
        Ok(Ok((now_s, accounts))) => {
            let until = beijing_time(now_s - now_s.rem_euclid(HOUR_S));
            let accounts = accounts.into_iter().map(|one| AccountSummaryAnswer::new(one, until.clone()));
            let shown = SummaryAnswer { time: beijing_time(now_s), accounts: accounts.collect() };
            answer::api_json(StatusCode::OK, &shown)
        }
        Ok(Err(error)) => store_failed(&app, &error),
        Err(_) => {
            answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, "counting failed; see the log of the server")
        }
    }
}
