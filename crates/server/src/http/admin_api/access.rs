//! Access to the admin API: by the admin key, or by an API key with scopes.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    routing::MethodRouter,
};
use percent_encoding::percent_decode_str;

use super::{answer, parameters::Parameters};
use crate::{
    accounts::registry::ServedAccount,
    auth::api_keys::{Access, KeyHolder, Scope},
    figures::summary,
    http::state::App,
};

const NO_KEY: &str = "send the header: Authorization: Bearer KEY (admin_key of the configuration, or a key of `msgcube key add`)";
const INVALID_KEY: &str = "the key is refused: it is neither the server's admin_key nor a valid key of `msgcube key add`; it may be revoked, expired or mistyped";

/// What the caller's key must allow for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any valid key. The handler shows only what its scopes allow.
    AnyKey,
    /// Reading the account in the path.
    ReadAccount,
    /// Writing to the account in the path.
    WriteAccount,
    /// Everything.
    Admin,
}

impl Need {
    /// The scope that a request of this path needs. None: any valid key.
    fn scope(self, path: &str) -> Option<Scope> {
        match self {
            Need::AnyKey => None,
            Need::ReadAccount => Some(Scope::Read(Some(appid_of(path)))),
            Need::WriteAccount => Some(Scope::Write(Some(appid_of(path)))),
            Need::Admin => Some(Scope::Admin),
        }
    }
}

/// The accounts that a key may read, sorted by appid.
pub fn readable(app: &App, access: &Access) -> Vec<Arc<ServedAccount>> {
    summary::readable(&app.accounts, access)
}

/// Puts the checks before routes: the key, its scope, then the names of the query parameters.
pub fn guarded(
    app: &Arc<App>,
    parameters: &Arc<Parameters>,
    need: Need,
    routes: MethodRouter<Arc<App>>,
) -> MethodRouter<Arc<App>> {
    routes.layer(from_fn_with_state((app.clone(), parameters.clone(), need), check_request))
}

async fn check_request(
    State((app, parameters, need)): State<(Arc<App>, Arc<Parameters>, Need)>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let Some(access) = access(&app, request.headers()) else { return unauthorized(request.headers()) };
    let scope = need.scope(request.uri().path());
    if let Some(scope) = scope.filter(|scope| !access.allows(scope)) {
        return forbidden(&scope);
    }
    if let Some(error) = parameters.error(&request) {
        return answer::api_error(StatusCode::BAD_REQUEST, error);
    }
    request.extensions_mut().insert(access);
    next.run(request).await
}

/// The decoded appid of a path like `/v1/accounts/{appid}/…`.
fn appid_of(path: &str) -> String {
    let appid = path.split('/').nth(3).unwrap_or_default();
    percent_decode_str(appid).decode_utf8_lossy().into_owned()
}

/// What the caller's key allows. None: the key is missing or not valid.
pub fn access(app: &App, headers: &HeaderMap) -> Option<Access> {
    access_of_key(app, given_key(headers)?).map(|(_, access)| access)
}

/// The text of the caller's key.
pub fn given_key(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, given) = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(given.trim())
}

/// What a key allows that a caller shows, and which one it is. None: it is not valid.
pub fn access_of_key(app: &App, shown: &str) -> Option<(KeyHolder, Access)> {
    match &app.config.get().admin_key {
        Some(key) if key.matches(shown) => Some((KeyHolder::of_admin_key(key), Access::everything())),
        _ => app.api_keys.access(shown, app.clock.now_s()),
    }
}

/// What a key allows now that a caller showed before. None: it was revoked, it has expired, or there is another
/// `admin_key`.
pub fn access_now(app: &App, holder: &KeyHolder) -> Option<Access> {
    match holder {
        KeyHolder::Key(id) => app.api_keys.access_of(id, app.clock.now_s()),
        KeyHolder::Admin(_) => {
            let config = app.config.get();
            let key = config.admin_key.as_ref().filter(|key| KeyHolder::of_admin_key(key) == *holder);
            key.map(|_| Access::everything())
        }
    }
}

/// Answers 401. The error says whether the key is missing or not valid, and nothing else.
pub fn unauthorized(headers: &HeaderMap) -> Response<Body> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme = given.and_then(|given| given.split_once(' ')).filter(|(_, key)| !key.trim().is_empty());
    let error = match scheme {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("bearer") => INVALID_KEY,
        _ => NO_KEY,
    };
    let mut response = answer::api_error(StatusCode::UNAUTHORIZED, error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Answers 403: the key is valid and lacks this scope.
pub fn forbidden(scope: &Scope) -> Response<Body> {
    let error =
        format!("this key does not have the scope {scope}; `msgcube key list` shows what each key may do");
    answer::api_error(StatusCode::FORBIDDEN, error)
}
