//! Checks an account's appid and secret, at the token endpoints and elsewhere.

use std::sync::Arc;

use axum::{body::Body, http::Response};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;

use super::{answer, connection::Peer, error_recorder::CallContext, hint::AnswerHint};
use crate::{accounts::registry::ServedAccount, config::AccountConfig, http::state::App};

/// The only valid `grant_type`.
pub const CLIENT_CREDENTIAL: &str = "client_credential";

/// The credentials of a call. A missing value is an empty text.
#[derive(Clone, Copy, Debug)]
pub struct ClientCredentials<'a> {
    pub appid: &'a str,
    pub grant_type: &'a str,
    pub secret: &'a str,
    /// The address of the connection. Headers of proxies are not trusted.
    pub client: Option<Peer>,
}

/// Whether the account accepts its secret from this address.
pub fn is_allowed(config: &AccountConfig, client: Option<Peer>) -> bool {
    config.ip_allow.is_empty() || client.is_some_and(|client| config.ip_allow.contain(client.address()))
}

impl ClientCredentials<'_> {
    /// The account of the credentials. The order of the checks is the contract's.
    ///
    /// # Errors
    ///
    /// The code of the first check that fails.
    pub fn check(&self, app: &App) -> Result<Arc<ServedAccount>, ErrorCode> {
        if self.appid.is_empty() {
            return Err(ErrorCode::APPID_MISSING);
        }
        let account = app.accounts.get(self.appid).ok_or(ErrorCode::INVALID_APPID)?;
        let config = &account.config;
        if !is_allowed(config, self.client) {
            return Err(ErrorCode::INVALID_IP);
        }
        if config.secret_frozen {
            return Err(ErrorCode::APPSECRET_FROZEN);
        }
        if self.grant_type != CLIENT_CREDENTIAL {
            return Err(ErrorCode::INVALID_GRANT_TYPE);
        }
        if self.secret.is_empty() {
            return Err(ErrorCode::APPSECRET_MISSING);
        }
        if !config.secret.matches(self.secret) {
            return Err(ErrorCode::INVALID_APPSECRET);
        }
        Ok(account)
    }

    /// The answer to credentials that failed a check. The account counts as not proven: anybody can send its appid.
    pub fn error_answer(
        &self,
        app: &App,
        name: &'static str,
        code: ErrorCode,
        body: Bytes,
    ) -> Response<Body> {
        let account = app.accounts.get(self.appid);
        let wrong_secret = account.as_ref().filter(|_| code == ErrorCode::INVALID_APPSECRET);
        let secret_hint = wrong_secret.map(|account| secret_hint(account, self.secret));
        let context = CallContext::unproven(account, body);
        context.attach_to(match self.client {
            Some(client) if code == ErrorCode::INVALID_IP => {
                app.metrics.call(name, code.code);
                answer::invalid_ip(app, client.address(), hint(code).as_ref())
            }
            _ if secret_hint.is_some() => {
                app.metrics.call(name, code.code);
                answer::wechat_error(app, code, secret_hint.as_ref())
            }
            _ => error_answer(app, name, code),
        })
    }
}

/// An error of a call with credentials, with a hint.
pub fn error_answer(app: &App, name: &'static str, code: ErrorCode) -> Response<Body> {
    app.metrics.call(name, code.code);
    answer::wechat_error(app, code, hint(code).as_ref())
}

/// Says which secret the account needs, and whether the caller sent `upstream_secret` instead.
fn secret_hint(account: &ServedAccount, given: &str) -> AnswerHint {
    let config = &account.config;
    let is_upstream_secret = config.upstream_secret.as_ref().is_some_and(|secret| secret.matches(given));
    let hint = if config.secret.reveal().is_empty() {
        text!("this account has no secret here yet; set one: msgcube account set APPID secret=@FILE")
    } else if is_upstream_secret {
        text!(
            "this is upstream_secret, which is only for WeChat; callers of msgcube use the account's secret"
        )
    } else if account.is_configured {
        text!(
            "this is neither secret nor upstream_secret of the account; use secret of its [[account]] in the configuration"
        )
    } else {
        text!(
            "this is neither secret nor upstream_secret of the account; use the secret of msgcube account add, or of a later rotate-key or set"
        )
    };
    AnswerHint::new(hint)
}

fn hint(code: ErrorCode) -> Option<AnswerHint> {
    let hint = match code {
        ErrorCode::INVALID_APPID => text!(
            "no account here has this appid: none in the configuration, and none added at run time (see msgcube account list)"
        ),
        ErrorCode::INVALID_GRANT_TYPE => {
            text!("grant_type must be client_credential")
        }
        ErrorCode::INVALID_IP => {
            text!("add the address to ip_allow of the account; behind a proxy, add the proxy's address")
        }
        ErrorCode::APPSECRET_FROZEN => {
            text!("secret_frozen of the account is true")
        }
        ErrorCode::REQUIRE_POST | ErrorCode::EMPTY_BODY | ErrorCode::DATA_FORMAT => {
            text!(r#"POST {{"grant_type":"client_credential","appid":"...","secret":"..."}}"#)
        }
        ErrorCode::SYSTEM_ERROR => text!("see /readyz and the log of the server"),
        _ => return None,
    };
    Some(AnswerHint::new(hint))
}
