//! `GET /v1/components/{component}/ticket`: the newest ticket that WeChat pushed to a platform with role "receive".

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};

use super::answer;
use crate::{app::App, config::Role, secret::Secret};

/// The newest ticket that was received.
pub fn received_ticket(app: &App, component: &str) -> Option<Secret> {
    app.received.ticket(component)
}

pub async fn ticket(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let missing = |error: &str| answer::own_error(StatusCode::NOT_FOUND, error);
    match app.components.get(&appid).map(|component| component.config.role) {
        None => missing("no [[component]] of the configuration has this appid"),
        Some(Role::Serve) => missing("only role = \"receive\" is sent tickets"),
        Some(Role::Receive) => match received_ticket(&app, &appid) {
            Some(ticket) => {
                answer::own(StatusCode::OK, &BTreeMap::from([("component_verify_ticket", ticket.reveal())]))
            }
            None => missing(
                "no ticket came yet; WeChat pushes one every ten minutes, or on api_start_push_ticket",
            ),
        },
    }
}
