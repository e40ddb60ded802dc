//! `GET /v1/accounts/{appid}/health`: does an account receive its messages, and what happened to its callbacks lately?

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use serde::Serialize;

use super::{CoverageAnswer, answer, beijing_time, no_account};
use crate::{
    accounts::activity::{AddressCheck, CallbackCounts, FailedCheck, RelayReport},
    figures::health::{AccountState, Health},
    http::state::App,
};

/// The answer. Times are RFC 3339 in Beijing time. Counts are those of the current hour and the 23 before it.
#[derive(Serialize)]
struct HealthAnswer {
    /// The appid.
    account: String,
    /// What people call it. Empty if it has no name.
    name: String,
    state: AccountState,
    /// When the server started. Of the time before, only `coverage` and `last_message` are known, and the state as far as
    /// it follows from them.
    since: String,
    /// The newest CreateTime of the messages of the five counted types, and of all messages and events that arrived as
    /// callbacks since the start. `null` if there is none.
    last_message: Option<String>,
    /// `null` if the address was not checked.
    last_check: Option<CheckAnswer>,
    /// Newest first, at most 10.
    failed_checks: Vec<FailedCheckAnswer>,
    callbacks: CallbacksAnswer,
    /// `null` if no callback was passed on to a bot.
    relay: Option<RelayTimesAnswer>,
    coverage: CoverageAnswer,
}

#[derive(Serialize)]
struct CheckAnswer {
    time: String,
    /// `ok` or `refused`.
    result: &'static str,
    /// Named as in the metrics. `null` if it is `ok`.
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct FailedCheckAnswer {
    time: String,
    reason: &'static str,
}

/// The reasons are named as in the metrics.
#[derive(Serialize)]
struct CallbacksAnswer {
    accepted: u64,
    repeat: u64,
    aside: u64,
    refused: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
}

/// The times are upper bounds, in milliseconds, of the answers that were in time. `null` without such answers.
#[derive(Serialize)]
struct RelayTimesAnswer {
    count: u64,
    late: u64,
    failed: u64,
    p50_ms: Option<u32>,
    p99_ms: Option<u32>,
}

impl From<AddressCheck> for CheckAnswer {
    fn from(AddressCheck { time_s, failure }: AddressCheck) -> CheckAnswer {
        let result = if failure.is_none() { "ok" } else { "refused" };
        CheckAnswer { time: beijing_time(time_s), result, reason: failure }
    }
}

impl From<FailedCheck> for FailedCheckAnswer {
    fn from(FailedCheck { time_s, reason }: FailedCheck) -> FailedCheckAnswer {
        FailedCheckAnswer { time: beijing_time(time_s), reason }
    }
}

impl From<CallbackCounts> for CallbacksAnswer {
    fn from(counts: CallbackCounts) -> CallbacksAnswer {
        let CallbackCounts { accepted, repeat, quarantined: aside, refused, closed } = counts;
        CallbacksAnswer { accepted, repeat, aside, refused, closed }
    }
}

impl From<RelayReport> for RelayTimesAnswer {
    fn from(RelayReport { count, late, failed, p50_ms, p99_ms }: RelayReport) -> RelayTimesAnswer {
        RelayTimesAnswer { count, late, failed, p50_ms, p99_ms }
    }
}

/// Answers with the health of the account in the path.
pub async fn answer(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let Health { state, last_message_s, activity, coverage } =
        Health::of(&app.store, app.clock.now_s(), &account);
    let failed_checks = activity.failed_checks.into_iter();
    let health = HealthAnswer {
        account: appid,
        name: account.config.name.clone(),
        state,
        since: beijing_time(app.started_s),
        last_message: last_message_s.map(beijing_time),
        last_check: activity.last_check.map(CheckAnswer::from),
        failed_checks: failed_checks.map(FailedCheckAnswer::from).collect(),
        callbacks: activity.callbacks.into(),
        relay: activity.relay.map(RelayTimesAnswer::from),
        coverage: coverage.into(),
    };
    answer::api_json(StatusCode::OK, &health)
}
