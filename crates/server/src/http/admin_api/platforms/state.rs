//! `GET /v1/components/{c}`: the state of a third-party platform. It shows no ticket and no secret.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use serde::Serialize;
use system::sync::lock;

use super::{answer, beijing_time, unknown_platform};
use crate::{
    accounts::{
        platform_issuer::{Platform, TicketPushes},
        platform_receiver::Status,
    },
    config::Role,
    http::state::App,
};

/// The answer.
#[derive(Serialize)]
struct PlatformAnswer<'a> {
    appid: &'a str,
    /// `serve`: this server issues the tickets. `receive`: WeChat does.
    role: &'static str,
    /// Without path and query, which may hold a key. `null` if it is not configured.
    push_url: Option<String>,
    ticket: TicketAnswer,
    /// Missing if the outbox cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<EventsAnswer>,
    /// How many accounts are in each authorization state: `authorized`, `pending`, `unauthorized`. States without
    /// accounts may be missing.
    accounts: BTreeMap<Status, usize>,
}

/// The last ticket.
#[derive(Serialize)]
struct TicketAnswer {
    /// RFC 3339 in Beijing time. Role `serve`: when `push_url` last accepted a ticket since the start. Role `receive`:
    /// when WeChat made the newest ticket that arrived. `null` if there is none.
    time: Option<String>,
    /// Why `push_url` did not accept the newest ticket. Missing if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The events that wait to be sent to `push_url`.
#[derive(Serialize)]
struct EventsAnswer {
    /// How many.
    waiting: usize,
    /// When the oldest came, as RFC 3339 in Beijing time. `null` if none waits.
    oldest: Option<String>,
}

/// Answers a [`PlatformAnswer`].
pub async fn show(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(platform) = app.platforms.get(&appid) else { return unknown_platform() };
    let events = app.outbox.waiting_events(&platform).await;
    let state = PlatformAnswer {
        appid: &appid,
        role: match platform.config.role {
            Role::Serve => "serve",
            Role::Receive => "receive",
        },
        push_url: platform.config.push_url.as_ref().map(ToString::to_string),
        ticket: ticket(&app, &platform),
        events: events
            .map(|events| EventsAnswer { waiting: events.number, oldest: events.oldest_s.map(beijing_time) }),
        accounts: accounts(&app, &platform),
    };
    answer::api_json(StatusCode::OK, &state)
}

fn ticket(app: &App, platform: &Platform) -> TicketAnswer {
    match platform.config.role {
        Role::Serve => {
            let TicketPushes { taken_s, error } = lock(&platform.ticket_pushes).clone();
            TicketAnswer { time: taken_s.map(beijing_time), error }
        }
        Role::Receive => {
            let ticket = app.platform_receiver.ticket(&platform.config.appid);
            TicketAnswer { time: ticket.map(|ticket| beijing_time(ticket.created_s)), error: None }
        }
    }
}

fn accounts(app: &App, platform: &Platform) -> BTreeMap<Status, usize> {
    let appid = &platform.config.appid;
    match platform.config.role {
        Role::Serve => BTreeMap::from([(Status::Authorized, app.platforms.authorizations(appid).len())]),
        Role::Receive => app.platform_receiver.numbers(appid),
    }
}
