//! Whoever shows an account's secret, at a token endpoint or elsewhere. The order of the checks is the contract's.

use std::sync::Arc;

use axum::{body::Body, http::Response};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;

use super::{answer, connection::Peer, hint::Hint, record::Told};
use crate::{accounts::registry::Account, config::AccountConfig, http::state::App};

/// The only `grant_type`.
pub const CLIENT_CREDENTIAL: &str = "client_credential";

/// Whoever shows an account's secret.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    pub appid: &'a str,
    pub grant_type: &'a str,
    pub secret: &'a str,
    /// Where the connection comes from; what a proxy says of others is not believed.
    pub client: Option<Peer>,
}

/// Whether an account's secret is taken from there.
pub fn is_allowed(config: &AccountConfig, client: Option<Peer>) -> bool {
    config.ip_allow.is_empty() || client.is_some_and(|client| config.ip_allow.contain(client.address()))
}

impl Applicant<'_> {
    /// Whose secret it is. The order is the contract's.
    pub fn check(&self, app: &App) -> Result<Arc<Account>, ErrorCode> {
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
        if !config.secret.is(self.secret) {
            return Err(ErrorCode::INVALID_APPSECRET);
        }
        Ok(account)
    }

    /// The answer to whoever did not pass. Anybody can name an account.
    pub fn refuse(&self, app: &App, name: &'static str, code: ErrorCode, body: Bytes) -> Response<Body> {
        let account = app.accounts.get(self.appid);
        let wrong_secret = account.as_ref().filter(|_| code == ErrorCode::INVALID_APPSECRET);
        let secret = wrong_secret.map(|account| secret_hint(account, self.secret));
        let told = Told::unproven(account, body);
        told.beside(match self.client {
            Some(client) if code == ErrorCode::INVALID_IP => {
                app.metrics.call(name, code.code);
                answer::invalid_ip(app, client.address(), hint(code).as_ref())
            }
            _ if secret.is_some() => {
                app.metrics.call(name, code.code);
                answer::error(app, code, secret.as_ref())
            }
            _ => refuse(app, name, code),
        })
    }
}

/// An error of a call that shows a secret, with what would be right.
pub fn refuse(app: &App, name: &'static str, code: ErrorCode) -> Response<Body> {
    app.metrics.call(name, code.code);
    answer::error(app, code, hint(code).as_ref())
}

/// Which secret it has to be, and whether WeChat's own was shown in its place.
fn secret_hint(account: &Account, shown: &str) -> Hint {
    let config = &account.config;
    let has_shown_upstream = config.upstream_secret.as_ref().is_some_and(|secret| secret.is(shown));
    let hint = if config.secret.reveal().is_empty() {
        text!("this account has no secret here yet; set one: msgcube account set APPID secret=@FILE")
    } else if has_shown_upstream {
        text!(
            "this is upstream_secret, which WeChat alone is shown; callers of msgcube show the account's secret"
        )
    } else if account.is_configured {
        text!(
            "neither secret nor upstream_secret of this account; it must be secret of its [[account]] in the configuration"
        )
    } else {
        text!(
            "neither secret nor upstream_secret of this account; it must be the secret that msgcube account add showed, or rotate-key or set since"
        )
    };
    Hint::new(hint)
}

fn hint(code: ErrorCode) -> Option<Hint> {
    let hint = match code {
        ErrorCode::INVALID_APPID => text!(
            "no account here has this appid: no [[account]] of the configuration, and none added at run time (msgcube account list)"
        ),
        ErrorCode::INVALID_GRANT_TYPE => {
            text!("grant_type must be client_credential")
        }
        ErrorCode::INVALID_IP => {
            text!("add the address to ip_allow of the account; behind a proxy it is the proxy's")
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
    Some(Hint::new(hint))
}
