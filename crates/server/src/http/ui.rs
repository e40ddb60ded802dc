//! The pages below `/ui`: who may see them, signing in, keys and share links.

mod account;
mod connect;
mod curl;
mod draw;
mod export;
mod guard;
mod health;
mod keys;
mod live;
mod overview;
mod seal;
mod sign_in;
mod viewer;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode, Uri, header},
    middleware::from_fn_with_state,
    routing::{any, get, post},
};

use super::{answer, own_cookies};
use crate::http::state::App;
use viewer::Viewer;

/// The routes of the pages, and the redirect of browsers from `/`.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/", any(home))
        .route("/ui", get(async || seal::see_other("/ui/")))
        .route("/ui/", get(overview::show))
        .route("/ui/accounts.csv", get(overview::save_csv))
        .route("/ui/accounts.xlsx", get(overview::save_xlsx))
        .route("/ui/accounts/{appid}", get(account::show))
        .route("/ui/accounts/{appid}/{file}", get(account::save))
        .route("/ui/live", get(live::show))
        .route("/ui/live/events", get(live::events))
        .route("/ui/health", get(health::show))
        .route("/ui/connect", get(connect::show).post(connect::add))
        .route("/ui/keys", get(keys::show).post(keys::add_key))
        .route("/ui/keys/remove", post(keys::remove_key))
        .route("/ui/links", post(keys::add_link))
        .route("/ui/links/remove", post(keys::remove_link))
        .route("/ui/login", get(sign_in::show).post(sign_in::sign_in))
        .route("/ui/logout", post(sign_in::sign_out))
        .route("/ui/share/{token}", get(account::show_shared))
        .route("/ui/share/{token}/{file}", get(account::save_shared))
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
