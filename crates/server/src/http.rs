//! HTTP: the routes of both addresses. Only this module and those below it know status codes.

mod admin_api;
mod analysis;
mod answer;
mod answer_progress;
mod body_reader;
mod callback;
mod caller;
mod client_credentials;
mod cloud;
mod concurrency_limit;
mod connection;
mod consent_tries;
mod debug;
pub mod error_log;
mod error_recorder;
mod fence;
mod gateway;
mod hint;
mod idle_timeout;
mod limit_call;
mod limits;
pub mod openapi;
mod operation;
mod own_cookies;
pub mod page;
mod platform;
mod poll_body;
mod relay;
mod serve;
mod sign_in_tries;
pub mod state;
mod token;
mod ui;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use datacube::INTERFACES;

use crate::{http::state::App, intake::path};

pub use admin_api::beijing_time;
pub use connection::Peer;
pub use platform::push;
pub use serve::{Opening, Routes, Watcher, serve};

/// Routes of the public address: WeChat's interfaces, callbacks, the admin API and the gateway.
pub fn router(app: Arc<App>) -> Routes {
    let router = Router::new()
        .route(&path::of_account("{appid}"), callback::route())
        .route("/cloud/admin", post(cloud::answer))
        .route("/metrics", get(operation::metrics_behind_key))
        .merge(shared_routes(&app))
        .merge(platform::router());
    // The pages share an origin with the gateway's answers here, so they are only at admin_listen if that is set.
    let has_pages = app.config.get().admin_listen.is_none();
    let router = if has_pages { router.merge(ui::router(&app)) } else { router };
    let router =
        router.fallback(gateway::fallback).method_not_allowed_fallback(async || answer::wrong_method());
    Routes { router: router.with_state(app.clone()), app, is_public: true }
}

/// Routes of the operator's address: no callbacks, no gateway, and metrics without a key.
pub fn admin_router(app: Arc<App>) -> Routes {
    let router = Router::new()
        .route("/metrics", get(operation::metrics))
        .merge(shared_routes(&app))
        .merge(ui::router(&app));
    let router = router.method_not_allowed_fallback(async || answer::wrong_method());
    Routes { router: router.with_state(app.clone()), app, is_public: false }
}

/// Routes of both addresses: tokens, the seven interfaces, the admin API and the pages.
fn shared_routes(app: &Arc<App>) -> Router<Arc<App>> {
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
