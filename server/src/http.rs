//! HTTP: which path is answered by whom. The only place, with the modules below it, that knows status codes.

mod activity;
mod answer;
pub(crate) mod body;
mod callback;
mod caller;
mod cloud;
mod component;
mod datacube;
mod drain;
mod gateway;
mod hint;
mod limits;
mod operation;
mod own;
pub mod page;
mod record;
pub mod relay;
mod serve;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use msgcube_client::INTERFACES;

use crate::app::App;

pub use component::{Tries, push};
pub use gateway::{Budget, CALLS};
pub use serve::{Listener, Peer, Routes, Watcher, serve};

/// The public address: WeChat's interfaces, callbacks, and the rest behind the key.
pub fn router(app: Arc<App>) -> Routes {
    let mut router = Router::new()
        .route("/callback/{appid}", get(callback::verify))
        .route("/cgi-bin/token", any(token::token))
        .route("/cgi-bin/stable_token", any(token::stable_token))
        .route("/cloud/admin", post(cloud::admin))
        .route("/metrics", get(operation::metrics_behind_key));
    for interface in &INTERFACES {
        let handler = move |state, request| datacube::answer(interface, state, request);
        router = router.route(&interface.path(), any(handler));
    }
    let router = router.merge(own::router(&app)).merge(operation::router()).merge(component::router());
    let router = router.merge(limits::router());
    let router = router.fallback(gateway::fallback).with_state(app.clone());
    Routes { router, public: Some(app) }
}

/// The operator's address: the own interface and the metrics, these without a key.
pub fn admin_router(app: Arc<App>) -> Routes {
    let router = Router::new().route("/metrics", get(operation::metrics));
    let router = router.merge(own::router(&app)).merge(operation::router()).with_state(app);
    Routes { router, public: None }
}
