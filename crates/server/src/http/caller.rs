//! Finds the caller of one of WeChat's interfaces: the account of the access token in the query.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use axum::http::request::Parts;
use datacube::ErrorCode;
use i18n::{Text, text};
use storage::store::NotDurable;

use super::{connection::Peer, hint::AnswerHint};
use crate::{
    accounts::registry::ServedAccount,
    auth::{
        access_token::{Endpoint, Holder},
        upstream_token_index::TokenOwner,
    },
    config::Role,
    http::state::App,
};

/// Why a call is answered with an error code.
#[derive(Debug)]
pub struct CallFailure {
    /// The error code of the answer.
    pub code: ErrorCode,
    /// For the headers of the answer.
    pub hint: Option<AnswerHint>,
}

impl From<ErrorCode> for CallFailure {
    fn from(code: ErrorCode) -> CallFailure {
        CallFailure { code, hint: None }
    }
}

/// A failure with a hint.
pub fn failure(code: ErrorCode, hint: Text) -> CallFailure {
    CallFailure { code, hint: Some(AnswerHint::new(hint)) }
}

/// The failure of a call for which the store could not be reached. The cause goes to the log.
pub fn store_failure(error: &NotDurable) -> CallFailure {
    tracing::error!(%error, "a call is refused: the store cannot be reached");
    failure(ErrorCode::SYSTEM_ERROR, text!("see /readyz and the log of the server"))
}

/// The first `access_token` in a query. None if it is missing or empty.
pub fn token_in(query: &str) -> Option<Cow<'_, str>> {
    // Nearly all queries have only this parameter, and nothing to decode.
    let is_plain = |token: &&str| !token.is_empty() && !token.contains(['&', '+', '%']);
    if let Some(token) = query.strip_prefix("access_token=").filter(is_plain) {
        return Some(Cow::Borrowed(token));
    }
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token");
    token.map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// The caller of an interface.
#[derive(Debug)]
pub struct Caller {
    /// The account whose data the call asks for.
    pub account: Arc<ServedAccount>,
    /// The appid of the third-party platform that calls for the account. None: the account itself calls.
    pub component: Option<String>,
    /// The token was issued by WeChat, so it can be passed on to WeChat.
    pub has_real_token: bool,
}

impl Caller {
    /// The account itself, with a token of this server or without a token.
    pub fn account(account: Arc<ServedAccount>) -> Caller {
        Caller { account, component: None, has_real_token: false }
    }

    /// The account whose real token must replace the one in the query. None if the query has a real token.
    pub fn account_for_real_token(self) -> Option<Arc<ServedAccount>> {
        Some(self.account).filter(|_| !self.has_real_token)
    }
}

/// The caller of the token in the query: a token of this server, or a real token that passed through this server.
///
/// # Errors
///
/// The token is missing, unknown or expired, or it is a platform's own token.
pub fn caller(app: &App, parts: &Parts, now_s: i64) -> Result<Caller, CallFailure> {
    let token = token_in(parts.uri.query().unwrap_or("")).ok_or_else(|| {
        failure(
            ErrorCode::ACCESS_TOKEN_MISSING,
            text!("add ?access_token=...; a token comes from /cgi-bin/stable_token"),
        )
    })?;
    match app.tokens.look_up(&token, |holder| caller_of_holder(app, holder), now_s) {
        Ok(caller) => caller,
        Err(code) => {
            if let Some(owner) = app.upstream_token_index.owner_of(&token, now_s) {
                return caller_of_upstream_token(app, owner);
            }
            let real = app.upstream().and_then(|upstream| upstream.appid_of(&token, now_s));
            let appid = real.ok_or_else(|| unknown_token(app, code))?;
            let account = app.accounts.get(&appid).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
            Ok(Caller::account(account))
        }
    }
}

/// The caller of a call without `access_token`, as programs in WeChat's Cloud Hosting make it: there a sidecar adds the
/// token. Such calls are accepted only from addresses in `allow_from` of a `[[cloud]]`.
///
/// None if the call does not look like one from Cloud Hosting.
pub fn caller_from_cloud_hosting(app: &App, parts: &Parts) -> Option<Result<Caller, CallFailure>> {
    let query = parts.uri.query().unwrap_or("");
    let value = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
    // Calls from Cloud Hosting lack the parameter. An empty value is a mistake of some other program.
    if value("access_token").is_some() {
        return None;
    }
    let from_appid = value("from_appid").map(|(_, appid)| appid);
    let peer = parts.extensions.get::<Peer>()?.0.ip();
    let config = app.config.get();
    let mut clouds = config.clouds.iter().filter(|cloud| cloud.allow_from.contain(peer)).peekable();
    let Some(first) = clouds.peek() else {
        let is_meant_for_cloud =
            !config.clouds.is_empty() || from_appid.is_some() || value("cloudbase_access_token").is_some();
        return is_meant_for_cloud.then(|| Err(address_not_allowed(peer)));
    };
    let appid = match &from_appid {
        None => first.appids.first(),
        Some(appid) => clouds.flat_map(|cloud| &cloud.appids).find(|allowed| *allowed == appid),
    };
    let account = appid.and_then(|appid| app.accounts.get(appid));
    Some(account.map(Caller::account).ok_or_else(|| {
        failure(
            ErrorCode::API_UNAUTHORIZED,
            text!(
                "from_appid must be in appids of the [[cloud]] that allows this address, and be served here"
            ),
        )
    }))
}

fn address_not_allowed(peer: IpAddr) -> CallFailure {
    let peer = peer.to_canonical();
    failure(
        ErrorCode::ACCESS_TOKEN_MISSING,
        text!(
            "add ?access_token=... from /cgi-bin/stable_token; calls without a token are accepted only from addresses in allow_from of a [[cloud]], and this one came from {peer}",
            peer
        ),
    )
}

fn caller_of_holder(app: &App, holder: &Holder) -> Result<Caller, CallFailure> {
    if holder.endpoint == Endpoint::Platform {
        return Err(platform_token_failure());
    }
    let account = app.accounts.get(&holder.appid).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
    Ok(Caller { account, component: holder.component.clone(), has_real_token: false })
}

fn platform_token_failure() -> CallFailure {
    failure(
        ErrorCode::COMPONENT_TOKEN,
        text!(
            "this is the platform's own token; use the authorizer_access_token of api_query_auth or api_authorizer_token"
        ),
    )
}

/// The appid of the platform whose own token is in the query, as `component_access_token` or `access_token`.
///
/// # Errors
///
/// The token is missing, unknown or expired, or it is an account's token.
pub fn calling_platform(app: &App, query: &str) -> Result<String, CallFailure> {
    let is_token = |name: &str| matches!(name, "component_access_token" | "access_token");
    let mut values = form_urlencoded::parse(query.as_bytes());
    let token = values.find(|(name, value)| is_token(name) && !value.is_empty());
    let (_, token) = token.ok_or_else(|| {
        failure(
            ErrorCode::ACCESS_TOKEN_MISSING,
            text!("add ?component_access_token=...; it comes from api_component_token"),
        )
    })?;
    let holder = app.tokens.look_up(&token, Holder::clone, app.clock.now_s()).map_err(|code| {
        failure(code, text!("get a component_access_token from api_component_token of this server"))
    })?;
    if holder.endpoint != Endpoint::Platform {
        return Err(failure(
            ErrorCode::ACCOUNT_TOKEN,
            text!("this is an account's token; use the component_access_token of api_component_token"),
        ));
    }
    Ok(holder.appid)
}

/// The caller of a token that WeChat issued to a platform. Its permission sets are not checked here: WeChat checks
/// them.
fn caller_of_upstream_token(app: &App, owner: TokenOwner) -> Result<Caller, CallFailure> {
    let appid = owner.account.ok_or_else(platform_token_failure)?;
    let platform = app.platforms.get(&owner.component);
    let is_served = platform.is_some_and(|platform| platform.config.role == Role::Receive);
    if !is_served || app.platform_receiver.is_withdrawn(&owner.component, &appid) {
        return Err(failure(
            ErrorCode::COMPONENT_NOT_AUTHORIZED,
            text!("the account took its authorisation back, or this server no longer serves its platform"),
        ));
    }
    let account = app.accounts.get(&appid).ok_or_else(|| {
        failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!(
                "this server has not seen a message of {appid}, nor an event that it authorised the platform",
                appid
            ),
        )
    })?;
    Ok(Caller { account, component: None, has_real_token: true })
}

/// The owner of the real token in a query, if the token passed through this server. Some calls of platforms name the
/// parameter `component_access_token`.
pub fn upstream_token_owner(app: &App, parts: &Parts) -> Option<TokenOwner> {
    let query = parts.uri.query().unwrap_or("");
    let platform_token =
        || form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "component_access_token");
    let token = token_in(query).or_else(|| platform_token().map(|(_, token)| token))?;
    app.upstream_token_index.owner_of(&token, app.clock.now_s())
}

/// Whether a query contains a token of this server. Such a query must never go to WeChat.
pub fn contains_own_token(app: &App, parts: &Parts) -> bool {
    let now_s = app.clock.now_s();
    let values = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes());
    values.into_iter().any(|(_, value)| app.tokens.look_up(&value, |_| (), now_s).is_ok())
}

/// The error of a token that is not known, with the ways to get one on this server.
fn unknown_token(app: &App, code: ErrorCode) -> CallFailure {
    let has = |role| app.platforms.all().iter().any(|component| component.config.role == role);
    let mut hint = vec![text!("get a token from /cgi-bin/stable_token of this server")];
    if has(Role::Serve) {
        hint.push(text!(", a platform's authorizer_access_token from api_authorizer_token"));
    }
    hint.push(if has(Role::Receive) && app.upstream().is_some() {
        text!("; of WeChat's own tokens, this server knows those that api_query_auth and api_authorizer_token issued through it")
    } else {
        text!("; WeChat's own tokens are not known here")
    });
    failure(code, Text::list(hint, Text::plain("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_in_a_query_counts_however_it_is_written() {
        for (query, token) in [
            ("access_token=mc_a-b", Some("mc_a-b")),
            ("access_token=a&access_token=b", Some("a")),
            ("lang=zh&access_token=a", Some("a")),
            ("access%5Ftoken=a", Some("a")),
            ("access_token=a%2Bb+c", Some("a+b c")),
            ("access_token=a=b", Some("a=b")),
            ("access_token=\u{e9}", Some("\u{e9}")),
            ("access_token=&access_token=b", None),
            ("access_token=", None),
            ("access_token", None),
            ("Access_token=a", None),
            ("", None),
        ] {
            assert_eq!(token_in(query).as_deref(), token, "{query}");
        }
    }
}
