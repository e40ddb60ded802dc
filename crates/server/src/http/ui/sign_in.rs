//! Signing in with a key, and signing out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header, request::Parts},
};

use super::{
    super::{admin_api::access::access_of_key, connection::Peer, sign_in_tries::PERIOD_S},
    draw::{self, SignInFailure},
    guard::{self, SentForm},
    own_cookies, seal,
    viewer::{Viewer, language},
};
use crate::{auth::sessions::AGE_MAX_S, http::state::App};

/// Where somebody goes who signed in without having asked for a page.
const HOME: &str = "/ui/";

/// `GET /ui/login?to=/ui/…` shows the form. Who has a session goes on at once.
pub async fn show(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let to = form_urlencoded::parse(query).find(|(name, _)| name == "to");
    let to = target(to.as_ref().map_or("", |(_, to)| to));
    match Viewer::of_request(&app, &parts) {
        Some(_) => seal::see_other(to),
        None => draw::sign_in(StatusCode::OK, language(&parts), &parts.uri, to, None),
    }
}

/// `POST /ui/login` opens a session for a right key. All wrong keys get the same answer.
pub async fn sign_in(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let lang = language(&parts);
    if !guard::is_from_own_page(&app, &parts) {
        return draw::foreign_form(lang, &parts.uri);
    }
    let Some(form) = SentForm::read(body).await else { return draw::foreign_form(lang, &parts.uri) };
    let (to, now_s) = (target(form.get("to")), app.clock.now_s());
    let refuse = |status, failure| draw::sign_in(status, lang, &parts.uri, to, Some(failure));
    let no_session = |error: &str| {
        tracing::error!(error, "no session could be opened");
        refuse(StatusCode::INTERNAL_SERVER_ERROR, SignInFailure::NoSession)
    };
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.address());
    let counted_as = peer.and_then(|address| app.config.get().proxies.counted_as(address));
    // Counted before the key is checked, so that concurrent tries are limited too.
    match app.sign_in_tries.take_of_all(counted_as, now_s, &app.store).await {
        Ok(true) => {}
        Ok(false) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, SignInFailure::TooMany);
            response.headers_mut().insert(header::RETRY_AFTER, PERIOD_S.into());
            return response;
        }
        Err(error) => {
            tracing::error!(%error, "tries to sign in cannot be counted");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, SignInFailure::NoSession);
        }
    }
    let Some((holder, _)) = access_of_key(&app, form.get("key")) else {
        if app.log_throttle.may_log("", "sign_in", now_s) {
            tracing::warn!(address = ?peer, "a key was refused at /ui/login");
        }
        return refuse(StatusCode::FORBIDDEN, SignInFailure::WrongKey);
    };
    if let Err(error) = app.sign_in_tries.give_back_of_all(counted_as, &app.store).await {
        tracing::warn!(%error, "a right key counts as a wrong one for {PERIOD_S} s");
    }
    end_former(&app, &parts).await;
    tracing::info!(key = %holder, address = ?peer, "signed in at /ui/login");
    let shared = app.clone();
    // To the end even if the browser goes away.
    let opened = tokio::spawn(async move { shared.sessions.open(holder, now_s).await }).await;
    let id = match opened.map_err(|error| error.to_string()) {
        Ok(Ok(id)) => id,
        Ok(Err(error)) => return no_session(&error.to_string()),
        Err(error) => return no_session(&error),
    };
    with_session(&app, seal::see_other(to), id.reveal(), AGE_MAX_S)
}

/// `POST /ui/logout` ends the session.
pub async fn sign_out(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let uri = request.uri().clone();
    match guard::change(&app, request).await {
        Ok((viewer, _)) => {
            let ended = viewer.sign_out(&app).await;
            let response = match ended {
                Ok(()) => seal::see_other("/ui/login"),
                Err(error) => {
                    tracing::error!(%error, "a session did not end in all processes");
                    draw::sign_out_failed(viewer.lang, &uri)
                }
            };
            with_session(&app, response, "", 0)
        }
        Err(response) => response,
    }
}

/// Ends the session that the browser had before.
async fn end_former(app: &App, parts: &Parts) {
    if let Some(former) = Viewer::of_request(app, parts)
        && let Err(error) = former.sign_out(app).await
    {
        tracing::warn!(%error, "the session before did not end in all processes");
    }
}

fn with_session(app: &App, mut response: Response<Body>, id: &str, age_s: i64) -> Response<Body> {
    let is_secure = app.config.get().has_https_ui();
    if let Some(cookie) = own_cookies::set(own_cookies::SESSION, id, age_s, is_secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The page to go to after signing in: only one of ours, and not one that leads back here.
fn target(to: &str) -> &str {
    let lower = to.to_ascii_lowercase();
    let is_ours = lower.starts_with(HOME)
        && lower.bytes().all(|byte| byte.is_ascii_graphic())
        && !["..", "%2e", "\\", "/ui/log"].iter().any(|part| lower.contains(part));
    if is_ours { to } else { HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_to() {
        for to in ["/ui/", "/ui/accounts/wx1?from=2026-11-01&by=type", "/ui/keys"] {
            assert_eq!(target(to), to);
        }
        for to in [
            "",
            "/",
            "/v1/keys",
            "//evil.example/ui/",
            "https://evil.example/ui/",
            "/ui/../cgi-bin/x",
            "/ui/%2E%2e/x",
            "/ui/..\\x",
            "/ui/\r\nSet-Cookie: a=b",
            "/ui/login?to=/ui/",
            "/ui/logout",
            "/uix",
            "/ui/ü",
        ] {
            assert_eq!(target(to), HOME, "{to}");
        }
    }
}
