//! Who calls one of WeChat's interfaces: the account that the access token in the query names.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use axum::http::request::Parts;
use datacube::ErrorCode;
use i18n::{Text, text};

use super::{connection::Peer, hint::Hint};
use crate::{
    accounts::registry::Account,
    auth::{
        access_token::{Endpoint, Holder},
        upstream_token_index::Whom,
    },
    config::Role,
    http::state::App,
};

/// Why a call has no answer.
#[derive(Debug)]
pub struct Failure {
    pub code: ErrorCode,
    pub hint: Option<Hint>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Failure {
        Failure { code, hint: None }
    }
}

/// A failure with its remedy.
pub fn failure(code: ErrorCode, hint: Text) -> Failure {
    Failure { code, hint: Some(Hint::new(hint)) }
}

/// The token in a query, if there is one.
pub fn token_in(query: &str) -> Option<Cow<'_, str>> {
    // Nearly all callers write nothing else, and nothing to decode.
    let is_plain = |token: &&str| !token.is_empty() && !token.contains(['&', '+', '%']);
    if let Some(token) = query.strip_prefix("access_token=").filter(is_plain) {
        return Some(Cow::Borrowed(token));
    }
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token");
    token.map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Who calls.
#[derive(Debug)]
pub struct Caller {
    /// The account that is asked for.
    pub account: Arc<Account>,
    /// The third-party platform that asks in its name.
    pub component: Option<String>,
    /// The token is WeChat's own, and passes as it is.
    pub has_real_token: bool,
}

impl Caller {
    /// The account itself.
    pub fn account(account: Arc<Account>) -> Caller {
        Caller { account, component: None, has_real_token: false }
    }

    /// The account whose real token takes the place of the one in the query; none if that is WeChat's own.
    pub fn in_need_of_token(self) -> Option<Arc<Account>> {
        Some(self.account).filter(|_| !self.has_real_token)
    }
}

/// Whom the token names: one of ours, or the real one where callers were given it.
pub fn caller(app: &App, parts: &Parts, now_s: i64) -> Result<Caller, Failure> {
    let token = token_in(parts.uri.query().unwrap_or("")).ok_or_else(|| {
        failure(
            ErrorCode::ACCESS_TOKEN_MISSING,
            text!("add ?access_token=...; a token comes from /cgi-bin/stable_token"),
        )
    })?;
    match app.tokens.with(&token, |holder| of_holder(app, holder), now_s) {
        Ok(caller) => caller,
        Err(code) => {
            if let Some(whom) = app.remembered.whom(&token, now_s) {
                return of_remembered(app, whom);
            }
            let real = app.upstream().and_then(|upstream| upstream.appid_of(&token, now_s));
            let appid = real.ok_or_else(|| unknown(app, code))?;
            let account = app.accounts.get(&appid).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
            Ok(Caller::account(account))
        }
    }
}

/// Who calls without an `access_token`, if it looks like a call from Cloud Hosting, whose side-car would add one: taken
/// only from addresses that a cloud names.
pub fn from_hosting(app: &App, parts: &Parts) -> Option<Result<Caller, Failure>> {
    let query = parts.uri.query().unwrap_or("");
    let value = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
    // There a call has none; an empty one is some program's mistake.
    if value("access_token").is_some() {
        return None;
    }
    let from_appid = value("from_appid").map(|(_, appid)| appid);
    let peer = parts.extensions.get::<Peer>()?.0.ip();
    let config = app.config.get();
    let mut clouds = config.clouds.iter().filter(|cloud| cloud.allow_from.contain(peer)).peekable();
    let Some(first) = clouds.peek() else {
        let is_told =
            !config.clouds.is_empty() || from_appid.is_some() || value("cloudbase_access_token").is_some();
        return is_told.then(|| Err(not_from(peer)));
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

fn not_from(peer: IpAddr) -> Failure {
    let peer = peer.to_canonical();
    failure(
        ErrorCode::ACCESS_TOKEN_MISSING,
        text!(
            "add ?access_token=..., which comes from /cgi-bin/stable_token; a call without one is taken from addresses in allow_from of a [[cloud]] only, and this one came from {peer}",
            peer
        ),
    )
}

fn of_holder(app: &App, holder: &Holder) -> Result<Caller, Failure> {
    if holder.endpoint == Endpoint::Platform {
        return Err(of_platform());
    }
    let account = app.accounts.get(&holder.appid).ok_or(ErrorCode::INVALID_CREDENTIAL)?;
    Ok(Caller { account, component: holder.component.clone(), has_real_token: false })
}

fn of_platform() -> Failure {
    failure(
        ErrorCode::COMPONENT_TOKEN,
        text!(
            "this is the platform's own token; use the authorizer_access_token of api_query_auth or api_authorizer_token"
        ),
    )
}

/// The platform of the token in the query, by either of its two names.
pub fn platform(app: &App, query: &str) -> Result<String, Failure> {
    let is_token = |name: &str| matches!(name, "component_access_token" | "access_token");
    let mut values = form_urlencoded::parse(query.as_bytes());
    let token = values.find(|(name, value)| is_token(name) && !value.is_empty());
    let (_, token) = token.ok_or_else(|| {
        failure(
            ErrorCode::ACCESS_TOKEN_MISSING,
            text!("add ?component_access_token=...; it comes from api_component_token"),
        )
    })?;
    let holder = app.tokens.with(&token, Holder::clone, app.clock.now_s()).map_err(|code| {
        failure(code, text!("get a component_access_token from api_component_token of this very server"))
    })?;
    if holder.endpoint != Endpoint::Platform {
        return Err(failure(
            ErrorCode::ACCOUNT_TOKEN,
            text!("this is an account's token; use the component_access_token of api_component_token"),
        ));
    }
    Ok(holder.appid)
}

/// Which permission sets it has is WeChat's business: it gave out the token.
fn of_remembered(app: &App, whom: Whom) -> Result<Caller, Failure> {
    let appid = whom.account.ok_or_else(of_platform)?;
    let platform = app.components.get(&whom.component);
    let is_served = platform.is_some_and(|platform| platform.config.role == Role::Receive);
    if !is_served || app.received.is_withdrawn(&whom.component, &appid) {
        return Err(failure(
            ErrorCode::COMPONENT_NOT_AUTHORIZED,
            text!("the account took its authorisation back, or its platform is not served here any more"),
        ));
    }
    let account = app.accounts.get(&appid).ok_or_else(|| {
        failure(
            ErrorCode::INVALID_CREDENTIAL,
            text!("no message of {appid} was seen yet, nor that it authorised the platform", appid),
        )
    })?;
    Ok(Caller { account, component: None, has_real_token: true })
}

/// Whom WeChat's own token in a query stands for, if it went by here. Some calls of platforms have another name for it.
pub fn remembered(app: &App, parts: &Parts) -> Option<Whom> {
    let query = parts.uri.query().unwrap_or("");
    let of_platform =
        || form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "component_access_token");
    let token = token_in(query).or_else(|| of_platform().map(|(_, token)| token))?;
    app.remembered.whom(&token, app.clock.now_s())
}

/// Whether a token that was given out here stands in a query: it never goes to WeChat.
pub fn carries_ours(app: &App, parts: &Parts) -> bool {
    let now_s = app.clock.now_s();
    let values = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes());
    values.into_iter().any(|(_, value)| app.tokens.with(&value, |_| (), now_s).is_ok())
}

fn unknown(app: &App, code: ErrorCode) -> Failure {
    let has = |role| app.components.all().iter().any(|component| component.config.role == role);
    let mut hint = vec![text!("get a token from /cgi-bin/stable_token of this very server")];
    if has(Role::Serve) {
        hint.push(text!(", a platform's authorizer_access_token from api_authorizer_token"));
    }
    hint.push(if has(Role::Receive) && app.upstream().is_some() {
        text!("; of WeChat's own tokens those are known that api_query_auth and api_authorizer_token gave out by way of this server")
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
