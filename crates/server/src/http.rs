//! HTTP: which path is answered by whom. The only place, with the modules below it, that knows status codes.

mod activity;
mod admin_api;
mod analysis;
mod answer;
mod answering;
mod applicant;
mod callback;
mod caller;
mod cloud;
mod concurrency_limit;
mod connection;
mod consent_tries;
mod debug;
mod drain;
pub mod error_log;
mod gateway;
mod hint;
mod limit_call;
mod limits;
pub mod openapi;
mod operation;
pub mod page;
mod pieces;
mod platform;
mod record;
mod relay;
mod serve;
pub mod state;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use datacube::INTERFACES;

use crate::{http::state::App, intake::path};

pub use connection::Peer;
pub use platform::push;
pub use serve::{Routes, Watcher, serve};

/// The public address: WeChat's interfaces, callbacks, and the rest behind the key.
pub fn router(app: Arc<App>) -> Routes {
    let router = Router::new()
        .route(&path::of_account("{appid}"), callback::route())
        .route("/cloud/admin", post(cloud::admin))
        .route("/metrics", get(operation::metrics_behind_key))
        .merge(everywhere(&app))
        .merge(platform::router());
    let router =
        router.fallback(gateway::fallback).method_not_allowed_fallback(async || answer::wrong_method());
    Routes { router: router.with_state(app.clone()), app, is_public: true }
}

/// The operator's address: no callbacks and no gateway, and the metrics without a key.
pub fn admin_router(app: Arc<App>) -> Routes {
    let router = Router::new().route("/metrics", get(operation::metrics)).merge(everywhere(&app));
    let router = router.method_not_allowed_fallback(async || answer::wrong_method());
    Routes { router: router.with_state(app.clone()), app, is_public: false }
}

/// What both addresses have: the own interface, the pages, and what the debugging page asks.
fn everywhere(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new()
        .route("/cgi-bin/token", any(token::token))
        .route("/cgi-bin/stable_token", any(token::stable_token));
    for interface in &INTERFACES {
        let handler = move |state, request| analysis::answer(interface, state, request);
        router = router.route(&interface.path(), any(handler));
    }
    router
        .merge(admin_api::router(app))
        .merge(operation::router())
        .merge(limits::router())
        .merge(debug::router())
        .merge(openapi::router(app))
}
