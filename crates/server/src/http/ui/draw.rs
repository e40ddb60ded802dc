//! What is around each page, and the pages that need no figures: signing in, keys and links, errors.

use axum::{
    body::Body,
    http::{Response, StatusCode, Uri},
};
use i18n::{Lang, Text, text};
use pages::{BeijingTime, ErrorPage, Frame, LoginPage, NavEntry, SignedIn};

use super::{seal, viewer::Viewer};
use crate::http::state::App;

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug)]
pub enum SignInFailure {
    /// The key is not valid. The page does not say why.
    WrongKey,
    /// There were too many tries.
    TooMany,
    /// The operating system gave no random numbers.
    NoSession,
}

/// A page with our style and script.
pub fn html(status: StatusCode, document: String) -> Response<Body> {
    seal::html(status, document, pages::STYLE, pages::SCRIPT)
}

/// What is around a page of a viewer. `uri` is that of the request, `current` the entry of the navigation that is shown.
pub fn frame(app: &App, viewer: &Viewer, uri: &Uri, current: Option<NavEntry>) -> Frame {
    let is_link = viewer.share.is_some();
    let is_allowed =
        |entry: &NavEntry| viewer.is_admin() || !matches!(entry, NavEntry::Connect | NavEntry::Keys);
    let entries = NavEntry::ALL.into_iter().filter(|entry| !is_link && is_allowed(entry)).collect();
    let signed_in = (!is_link)
        .then(|| SignedIn { key_name: viewer.key_name(app).unwrap_or_default(), csrf: viewer.csrf.clone() });
    Frame { entries, current, signed_in, ..bare_frame(viewer.lang, uri, app.clock.now_s()) }
}

/// What is around a page that anybody may see.
fn bare_frame(lang: Lang, uri: &Uri, now_s: i64) -> Frame {
    Frame {
        lang,
        now: BeijingTime::from_unix_s(now_s),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        entries: Vec::new(),
        current: None,
        signed_in: None,
        live: None,
        notices: Vec::new(),
    }
}

fn error(frame: &Frame, status: StatusCode, title: Text, text: Text) -> Response<Body> {
    let page = ErrorPage { status: status.as_u16(), title, text, remedy: None };
    html(status, pages::error(frame, &page))
}

/// The page that leads to signing in, without anybody doing something.
pub fn no_session(lang: Lang, uri: &Uri, target: &str) -> Response<Body> {
    let to: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let page = LoginPage { next: format!("/ui/login?to={to}"), reloads: true, ..LoginPage::default() };
    html(StatusCode::UNAUTHORIZED, pages::login(&bare_frame(lang, uri, 0), &page))
}

/// The form to sign in. `to` is the page to go to afterwards.
pub fn sign_in(
    status: StatusCode,
    lang: Lang,
    uri: &Uri,
    to: &str,
    failure: Option<SignInFailure>,
) -> Response<Body> {
    let error = failure.map(|failure| match failure {
        SignInFailure::WrongKey => {
            text!("The key is refused: it is neither admin_key nor a valid key of `msgcube key add`.")
        }
        SignInFailure::TooMany => text!("Too many tries. Wait a minute, then try again."),
        SignInFailure::NoSession => text!("Signing in failed. The log of the server says why."),
    });
    let page = LoginPage { next: to.to_owned(), error, ..LoginPage::default() };
    html(status, pages::login(&bare_frame(lang, uri, 0), &page))
}

/// A session did not end everywhere.
pub fn sign_out_failed(lang: Lang, uri: &Uri) -> Response<Body> {
    let found = text!("Signing out failed. The log of the server says why.");
    error(&bare_frame(lang, uri, 0), StatusCode::SERVICE_UNAVAILABLE, text!("Not signed out"), found)
}

/// A form that did not come from a page of this session.
pub fn foreign_form(lang: Lang, uri: &Uri) -> Response<Body> {
    let found = text!(
        "Nothing was changed: the form did not come from a page of this session. Go back, load the page again, and repeat it."
    );
    error(&bare_frame(lang, uri, 0), StatusCode::FORBIDDEN, text!("Nothing was changed"), found)
}

/// There is no such page, or nothing that this viewer may see.
pub fn not_found(app: &App, viewer: &Viewer, uri: &Uri) -> Response<Body> {
    let found = text!("There is no such page, or your key does not show it.");
    error(&frame(app, viewer, uri, None), StatusCode::NOT_FOUND, text!("Not found"), found)
}

/// The share link is wrong, has ended or was revoked.
pub fn no_link(lang: Lang, uri: &Uri) -> Response<Body> {
    let found =
        text!("This link has ended, was revoked, or is not complete. Ask whoever sent it for another.");
    error(&bare_frame(lang, uri, 0), StatusCode::NOT_FOUND, text!("Not found"), found)
}

/// The page is only for an admin.
pub fn admin_only(app: &App, viewer: &Viewer, uri: &Uri) -> Response<Body> {
    let found = text!("This page needs the scope admin.");
    error(&frame(app, viewer, uri, None), StatusCode::FORBIDDEN, text!("Not allowed"), found)
}

/// The figures cannot be read.
pub fn store_failed(app: &App, viewer: &Viewer, uri: &Uri) -> Response<Body> {
    let found = text!("The figures cannot be read. The log of the server says why.");
    let frame = frame(app, viewer, uri, None);
    error(&frame, StatusCode::INTERNAL_SERVER_ERROR, text!("No figures"), found)
}
