//! Who calls one of WeChat's interfaces: the account that the access token in the query names.

use std::{borrow::Cow, sync::Arc};

use msgcube_client::ErrorCode;

use super::hint::Hint;
use crate::{accounts::Account, app::App};

/// Why a call has no answer.
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
pub fn failure(code: ErrorCode, en: impl Into<String>, zh: impl Into<String>) -> Failure {
    Failure { code, hint: Some(Hint::new(en, zh)) }
}

/// The token in a query, if there is one.
pub fn token_in(query: &str) -> Option<Cow<'_, str>> {
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "access_token");
    token.map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// The account that the token names: one of ours, or the real one where callers were given it.
pub fn caller(app: &App, query: &str, now_s: i64) -> Result<Arc<Account>, Failure> {
    let token = token_in(query).ok_or_else(|| {
        let en = "add ?access_token=...; a token comes from /cgi-bin/stable_token";
        failure(ErrorCode::ACCESS_TOKEN_MISSING, en, "缺少 access_token；用 /cgi-bin/stable_token 获取")
    })?;
    let account = match app.tokens.with(&token, |appid| app.accounts.get(appid), now_s) {
        Ok(account) => account,
        Err(code) => {
            let real = app.upstream.as_ref().and_then(|upstream| upstream.appid_of(&token, now_s));
            let appid = real.ok_or_else(|| unknown(code))?;
            app.accounts.get(&appid)
        }
    };
    account.ok_or_else(|| ErrorCode::INVALID_CREDENTIAL.into())
}

fn unknown(code: ErrorCode) -> Failure {
    let en =
        "get a token from /cgi-bin/stable_token of this very server; WeChat's own tokens are not known here";
    failure(code, en, "请从本服务的 /cgi-bin/stable_token 获取；微信的 token 在此无效")
}
