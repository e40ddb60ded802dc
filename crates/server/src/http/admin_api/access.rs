//! Who may do what on the own interface: the admin key, or a key with scopes.

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
    accounts::registry::Account,
    auth::api_keys::{Access, Scope},
    http::state::App,
};

const NO_KEY: &str = "send the header: Authorization: Bearer KEY (admin_key of the configuration, or a key of `msgcube key add`)";
const REFUSED: &str = "the key is refused: it is neither the admin_key that the server was started with nor a key of `msgcube key add` that holds (ended, expired, or mistyped?)";

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any key; the handler shows what its scopes allow.
    AnyKey,
    /// To read the account in the path.
    ReadAccount,
    /// To write to the account in the path.
    WriteAccount,
    Admin,
}

impl Need {
    /// What it comes to for a request of this path.
    fn scope(self, path: &str) -> Option<Scope> {
        match self {
            Need::AnyKey => None,
            Need::ReadAccount => Some(Scope::Read(Some(appid_of(path)))),
            Need::WriteAccount => Some(Scope::Write(Some(appid_of(path)))),
            Need::Admin => Some(Scope::Admin),
        }
    }
}

/// The accounts that a key may read, in order.
pub fn readable(app: &App, access: &Access) -> Vec<Arc<Account>> {
    let may_read = |account: &Account| access.allows(&Scope::Read(Some(account.config.appid.clone())));
    let mut accounts = app.accounts.select(may_read);
    accounts.sort_by(|one, other| one.config.appid.cmp(&other.config.appid));
    accounts
}

/// Routes that only those reach who may, with no parameters but those that there are.
pub fn guarded(
    app: &Arc<App>,
    parameters: &Arc<Parameters>,
    need: Need,
    routes: MethodRouter<Arc<App>>,
) -> MethodRouter<Arc<App>> {
    routes.layer(from_fn_with_state((app.clone(), parameters.clone(), need), require))
}

async fn require(
    State((app, parameters, need)): State<(Arc<App>, Arc<Parameters>, Need)>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let Some(access) = access(&app, request.headers()) else { return unauthorized(request.headers()) };
    let scope = need.scope(request.uri().path());
    if let Some(scope) = scope.filter(|scope| !access.allows(scope)) {
        return forbidden(&scope);
    }
    if let Some(flaw) = parameters.flaw(&request) {
        return answer::own_error(StatusCode::BAD_REQUEST, flaw);
    }
    request.extensions_mut().insert(access);
    next.run(request).await
}

/// `/v1/accounts/{appid}/…`
fn appid_of(path: &str) -> String {
    let appid = path.split('/').nth(3).unwrap_or_default();
    percent_decode_str(appid).decode_utf8_lossy().into_owned()
}

/// What the caller may do. None: no key that is known.
pub fn access(app: &App, headers: &HeaderMap) -> Option<Access> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, shown) = shown.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    let shown = shown.trim();
    match &app.config.get().admin_key {
        Some(key) if key.is(shown) => Some(Access::everything()),
        _ => app.api_keys.access(shown, app.clock.now_s()),
    }
}

/// Says whether a key is missing or wrong, and nothing else.
pub fn unauthorized(headers: &HeaderMap) -> Response<Body> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let scheme = shown.and_then(|shown| shown.split_once(' ')).filter(|(_, key)| !key.trim().is_empty());
    let error = match scheme {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("bearer") => REFUSED,
        _ => NO_KEY,
    };
    let mut response = answer::own_error(StatusCode::UNAUTHORIZED, error);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub fn forbidden(scope: &Scope) -> Response<Body> {
    let error =
        format!("this key does not have the scope {scope}; `msgcube key list` shows what each key may do");
    answer::own_error(StatusCode::FORBIDDEN, error)
}
