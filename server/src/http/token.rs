//! The two token endpoints. The order of their checks is the contract's.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response},
};
use bytes::Bytes;
use msgcube_client::ErrorCode;
use serde_json::{Map, Value};

use super::{answer, gateway, hint::Hint, record::Told, serve::Peer};
use crate::{
    accounts::Account,
    app::App,
    body::{self, BodyError},
    config::AccountConfig,
    store::NotDurable,
    token::{Endpoint, Holder, Issued},
    upstream::{Failure, Kept, Upstream},
};

/// Nobody is known yet when the body is read, so little of it is kept. Larger ones are no data: 47001.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

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

/// `/cgi-bin/token`
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let query = request.uri().query().unwrap_or("").to_owned();
    let mut values = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values.entry(name.into_owned()).or_insert(value.into_owned());
    }
    let given = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    let applicant = Applicant {
        appid: given("appid"),
        grant_type: given("grant_type"),
        secret: given("secret"),
        client: request.extensions().get().copied(),
    };
    match applicant.check(&app) {
        Ok(account) if let Some(upstream) = exposing(&app) => {
            finish_real(&app, "token", upstream.token(&account).await)
        }
        Ok(account) => {
            let shared = app.clone();
            let holder = Holder::account(&account.config.appid, Endpoint::Token);
            let issued =
                async move { shared.tokens.issue(holder, Vec::new(), &shared.ingest, &shared.clock).await };
            let told = Told::proven(account, Bytes::new());
            finish(&app, "token", to_its_end(issued).await, told)
        }
        Err(code) => applicant.refuse(&app, "token", code, Bytes::new()),
    }
}

/// `/cgi-bin/stable_token`
pub async fn stable_token(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let client = request.extensions().get().copied();
    let (body, object) = match read_object(&app, request).await {
        Ok(read) => read,
        Err(code) => return refuse(&app, "stable_token", code),
    };
    let given = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let force = object.get("force_refresh").and_then(Value::as_bool).unwrap_or(false);
    let (appid, grant_type, secret) = (given("appid"), given("grant_type"), given("secret"));
    let applicant = Applicant { appid, grant_type, secret, client };
    match applicant.check(&app) {
        Ok(account) if let Some(upstream) = exposing(&app) => {
            let token = if force { upstream.forced(&account).await } else { upstream.token(&account).await };
            finish_real(&app, "stable_token", token)
        }
        Ok(account) => {
            let (shared, appid) = (app.clone(), account.config.appid.clone());
            let issued =
                async move { shared.tokens.issue_stable(&appid, force, &shared.ingest, &shared.clock).await };
            finish(&app, "stable_token", to_its_end(issued).await, Told::proven(account, body))
        }
        Err(code) => applicant.refuse(&app, "stable_token", code, body),
    }
}

async fn read_object(app: &App, request: Request) -> Result<(Bytes, Map<String, Value>), ErrorCode> {
    if request.method() != Method::POST {
        return Err(ErrorCode::REQUIRE_POST);
    }
    let budget = &app.bodies.unproven;
    let bytes = body::read_sharing(request.into_body(), BODY_BYTES_MAX, BODY_TIME_MAX, budget).await;
    let bytes = bytes.map_err(BodyError::code)?;
    let object = body::object(&bytes)?;
    Ok((bytes, object))
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

/// WeChat, if callers are given the real token.
fn exposing(app: &App) -> Option<Arc<Upstream>> {
    app.upstream().filter(|upstream| upstream.config.expose_real_token)
}

/// The kept real token with the seconds it has left: whoever asks, nobody's is taken.
fn finish_real(app: &App, name: &'static str, kept: Result<Kept, Failure>) -> Response<Body> {
    match kept {
        Ok(kept) => {
            let expires_in = (kept.expires_s - app.clock.now_s()).max(0);
            give(app, name, &Issued { access_token: kept.token.reveal().to_owned(), expires_in })
        }
        Err(failure) => {
            app.metrics.call(name, ErrorCode::SYSTEM_ERROR.code);
            gateway::failed(app, failure)
        }
    }
}

/// Runs also if the caller hangs up: what is on disk and what is in memory must agree.
async fn to_its_end(
    issued: impl Future<Output = Result<Issued, NotDurable>> + Send + 'static,
) -> Result<Issued, NotDurable> {
    tokio::spawn(issued).await.unwrap_or_else(|error| Err(NotDurable(error.to_string())))
}

fn finish(app: &App, name: &'static str, issued: Result<Issued, NotDurable>, told: Told) -> Response<Body> {
    match issued {
        Ok(issued) => give(app, name, &issued),
        Err(error) => {
            tracing::error!(%error, "no token was given out");
            told.beside(refuse(app, name, ErrorCode::SYSTEM_ERROR))
        }
    }
}

fn give(app: &App, name: &'static str, issued: &Issued) -> Response<Body> {
    app.metrics.call(name, 0);
    answer::json(serde_json::to_vec(issued).unwrap_or_default())
}

fn refuse(app: &App, name: &'static str, code: ErrorCode) -> Response<Body> {
    app.metrics.call(name, code.code);
    answer::error(app, code, hint(code).as_ref())
}

/// Which secret it has to be, and whether WeChat's own was shown in its place.
fn secret_hint(account: &Account, shown: &str) -> Hint {
    let config = &account.config;
    let has_shown_upstream = config.upstream_secret.as_ref().is_some_and(|secret| secret.is(shown));
    let (en, zh) = if config.secret.reveal().is_empty() {
        (
            "this account has no secret here yet; set one: msgcube account set APPID secret=@FILE",
            "该账号在此还没有 secret；请设置：msgcube account set APPID secret=@文件",
        )
    } else if has_shown_upstream {
        (
            "this is upstream_secret, which WeChat alone is shown; callers of msgcube show the account's secret",
            "这是 upstream_secret，只用于微信；请用该账号的 secret",
        )
    } else if account.is_configured {
        (
            "neither secret nor upstream_secret of this account; it must be secret of its [[account]] in the configuration",
            "既不是该账号的 secret，也不是 upstream_secret；应为配置中 [[account]] 的 secret",
        )
    } else {
        (
            "neither secret nor upstream_secret of this account; it must be the secret that msgcube account add showed, or rotate-key or set since",
            "既不是 secret 也不是 upstream_secret；应为 account add（或之后 rotate-key、set）的 secret",
        )
    };
    Hint::new(en, zh)
}

fn hint(code: ErrorCode) -> Option<Hint> {
    let (en, zh) = match code {
        ErrorCode::INVALID_APPID => (
            "no account here has this appid: no [[account]] of the configuration, and none added at run time (msgcube account list)",
            "没有该 appid 的账号：配置的 [[account]] 和运行时添加的都没有（msgcube account list）",
        ),
        ErrorCode::INVALID_GRANT_TYPE => {
            ("grant_type must be client_credential", "grant_type 须为 client_credential")
        }
        ErrorCode::INVALID_IP => (
            "add the address to ip_allow of the account; behind a proxy it is the proxy's",
            "请把该地址加入账号的 ip_allow；经过代理时为代理的地址",
        ),
        ErrorCode::APPSECRET_FROZEN => {
            ("secret_frozen of the account is true", "该账号的 secret_frozen 为 true")
        }
        ErrorCode::REQUIRE_POST | ErrorCode::EMPTY_BODY | ErrorCode::DATA_FORMAT => (
            r#"POST {"grant_type":"client_credential","appid":"...","secret":"..."}"#,
            r#"请 POST {"grant_type":"client_credential","appid":"...","secret":"..."}"#,
        ),
        ErrorCode::SYSTEM_ERROR => ("see /readyz and the log of the server", "请查看 /readyz 和服务日志"),
        _ => return None,
    };
    Some(Hint::new(en, zh))
}
