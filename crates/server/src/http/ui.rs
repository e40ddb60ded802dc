//! The pages below `/ui`: who may see them, signing in, keys and share links.

mod curl;
mod draw;
mod guard;
mod keys;
mod overview;
mod seal;
mod sign_in;
mod stream;
mod viewer;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, StatusCode, Uri, header},
    middleware::from_fn_with_state,
    routing::{any, get, post},
};

use super::{answer, own_cookies};
use crate::http::state::App;
use viewer::{Viewer, Visitor};

/// The routes of the pages, and the redirect of browsers from `/`.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/", any(home))
        .route("/ui", get(async || seal::see_other("/ui/")))
        .route("/ui/", get(overview::show))
        .route("/ui/accounts/{appid}", get(account))
        .route("/ui/live", get(live))
        .route("/ui/live/events", get(live_events))
        .route("/ui/health", get(health))
        .route("/ui/connect", get(connect))
        .route("/ui/keys", get(keys::show).post(keys::add_key))
        .route("/ui/keys/remove", post(keys::remove_key))
        .route("/ui/links", post(keys::add_link))
        .route("/ui/links/remove", post(keys::remove_link))
        .route("/ui/login", get(sign_in::show).post(sign_in::sign_in))
        .route("/ui/logout", post(sign_in::sign_out))
        .route("/ui/share/{token}", get(shared_account))
        .route("/ui/{*rest}", any(no_page))
        .method_not_allowed_fallback(answer_wrong_method)
        .layer(from_fn_with_state(app.clone(), seal::seal))
}

/// `GET /` brings a browser to the pages. Other programs get 404, as on any path that does not exist.
async fn home(headers: HeaderMap) -> Response<Body> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/html") {
        return seal::see_other("/ui/");
    }
    answer::api_error(StatusCode::NOT_FOUND, "no such path; /openapi.json lists the paths")
}

async fn answer_wrong_method() -> Response<Body> {
    answer::wrong_method()
}

async fn no_page(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    draw::not_found(&app, &viewer, &uri)
}

async fn account(
    State(app): State<Arc<App>>,
    viewer: Viewer,
    Path(_appid): Path<String>,
    uri: Uri,
) -> Response<Body> {
    draw::not_found(&app, &viewer, &uri)
}

/// `/ui/share/{token}` shows one account to whoever has the link.
async fn shared_account(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(token): Path<String>,
    uri: Uri,
) -> Response<Body> {
    let link = app.share_links.of_token(&token, app.clock.now_s());
    let account = link.as_ref().and_then(|link| app.accounts.get(&link.account));
    match link.zip(account) {
        Some((link, _account)) => draw::not_found(&app, &Viewer::of_link(link, visitor.lang), &uri),
        None => draw::no_link(visitor.lang, &uri),
    }
}

async fn live(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    draw::not_found(&app, &viewer, &uri)
}

async fn live_events(State(app): State<Arc<App>>, viewer: Viewer) -> Response<Body> {
    stream::answer(app, viewer, stream::only_retry())
}

async fn health(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    draw::not_found(&app, &viewer, &uri)
}

async fn connect(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    if viewer.is_admin() {
        draw::not_found(&app, &viewer, &uri)
    } else {
        draw::admin_only(&app, &viewer, &uri)
    }
}
