//! How a third-party platform fares: its tickets, what waits for its address, its accounts. No ticket and no secret.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use serde::Serialize;
use system::sync::lock;

use super::{answer, beijing, unknown};
use crate::{
    accounts::{
        platform_issuer::{Platform, TicketPushes},
        platform_receiver::Status,
    },
    config::Role,
    http::state::App,
};

#[derive(Serialize)]
struct Shown<'a> {
    appid: &'a str,
    role: &'static str,
    /// Without path and query, which may hold a key.
    push_url: Option<String>,
    ticket: ShownTicket,
    /// Absent if the queue cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<ShownEvents>,
    /// How many stand how.
    accounts: BTreeMap<Status, usize>,
}

/// Serve: the last one that `push_url` took since the start. Receive: the newest one that came.
#[derive(Serialize)]
struct ShownTicket {
    time: Option<String>,
    /// Why `push_url` did not take the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What waits for `push_url`.
#[derive(Serialize)]
struct ShownEvents {
    waiting: usize,
    oldest: Option<String>,
}

/// `GET /v1/components/{c}`
pub async fn show(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let Some(component) = app.components.get(&appid) else { return unknown() };
    let events = app.copies.waiting_events(&component).await;
    let shown = Shown {
        appid: &appid,
        role: match component.config.role {
            Role::Serve => "serve",
            Role::Receive => "receive",
        },
        push_url: component.config.push_url.as_ref().map(ToString::to_string),
        ticket: ticket(&app, &component),
        events: events
            .map(|events| ShownEvents { waiting: events.number, oldest: events.oldest_s.map(beijing) }),
        accounts: accounts(&app, &component),
    };
    answer::own(StatusCode::OK, &shown)
}

fn ticket(app: &App, component: &Platform) -> ShownTicket {
    match component.config.role {
        Role::Serve => {
            let TicketPushes { taken_s, error } = lock(&component.ticket_pushes).clone();
            ShownTicket { time: taken_s.map(beijing), error }
        }
        Role::Receive => {
            let ticket = app.received.ticket(&component.config.appid);
            ShownTicket { time: ticket.map(|ticket| beijing(ticket.created_s)), error: None }
        }
    }
}

fn accounts(app: &App, component: &Platform) -> BTreeMap<Status, usize> {
    let appid = &component.config.appid;
    match component.config.role {
        Role::Serve => BTreeMap::from([(Status::Authorized, app.components.authorizations(appid).len())]),
        Role::Receive => app.received.numbers(appid),
    }
}
