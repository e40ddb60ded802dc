//! What a request must prove before it sees a page or changes something.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{Method, Response, request::Parts},
};

use super::{
    draw,
    viewer::{Viewer, host, language},
};
use crate::{auth::sessions, http::state::App, net::body::read_within};

const FORM_BYTES_MAX: usize = 16 << 10;
const FORM_TIME_MAX: Duration = Duration::from_secs(10);

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Viewer, Response<Body>> {
        Viewer::of_request(app, parts).ok_or_else(|| no_session(parts))
    }
}

/// The page that leads to signing in. It loads the next page from our own site: a browser does not send the cookie with
/// a link on another site, such as one in a mail, and so may have a session all the same.
fn no_session(parts: &Parts) -> Response<Body> {
    let is_page = matches!(parts.method, Method::GET | Method::HEAD);
    let target = parts.uri.path_and_query().filter(|_| is_page).map_or("/ui/", |path| path.as_str());
    draw::no_session(language(parts), &parts.uri, target)
}

/// Names and values of a form. They may include a key, so there is no `Debug`.
pub struct SentForm(Vec<(String, String)>);

impl SentForm {
    /// Reads the form of a request. None if it is too large or too slow.
    pub async fn read(body: Body) -> Option<SentForm> {
        let bytes = read_within(body, FORM_BYTES_MAX, FORM_TIME_MAX).await.ok()?;
        Some(SentForm(form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// The first value of a name, without blanks around it. Empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }
}

/// The viewer and the form of a request that changes something.
///
/// # Errors
///
/// The answer, if there is no session, or the form does not come from a page of this session.
pub async fn change(app: &App, request: Request) -> Result<(Viewer, SentForm), Response<Body>> {
    let (parts, body) = request.into_parts();
    if !is_from_own_page(app, &parts) {
        return Err(draw::foreign_form(language(&parts), &parts.uri));
    }
    let viewer = Viewer::of_request(app, &parts).ok_or_else(|| no_session(&parts))?;
    let foreign = || draw::foreign_form(viewer.lang, &parts.uri);
    let form = SentForm::read(body).await.ok_or_else(foreign)?;
    if !sessions::is_csrf_token(&viewer.csrf, form.get("csrf")) {
        return Err(foreign());
    }
    Ok((viewer, form))
}

/// The viewer and the form of a change that only an admin may make.
///
/// # Errors
///
/// The answer, as for [`change`], or if the viewer is no admin.
pub async fn admin_change(app: &App, request: Request) -> Result<(Viewer, SentForm), Response<Body>> {
    let uri = request.uri().clone();
    let (viewer, form) = change(app, request).await?;
    if viewer.is_admin() { Ok((viewer, form)) } else { Err(draw::admin_only(app, &viewer, &uri)) }
}

/// Whether a form can come from our own page, as far as the browser says. Browsers leave out `Sec-Fetch-Site` on plain
/// HTTP, and send `Origin: null` from a page with our `Referrer-Policy`; then only the token of the form proves it.
pub fn is_from_own_page(app: &App, parts: &Parts) -> bool {
    let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return false;
    }
    let Some(origin) = text("origin").filter(|origin| *origin != "null") else { return true };
    let is_configured = app.config.get().ui_origin().is_some_and(|own| own.origin() == origin);
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    let is_host =
        origin_host.zip(host(parts)).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
    is_configured || is_host
}
