//! Accounts at run time: added, shown, changed, removed.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{CoverageAnswer, access::readable, answer, read};
use crate::{
    accounts::{
        platform_receiver::Status,
        registry::{Account, AccountError, SECRETS, settings::Settings},
        service::Rotated,
    },
    auth::api_keys::Access,
    http::{push, state::App},
    intake::path,
};

/// An account as it is shown: no secret, only which there are.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting by its name")]
#[derive(Serialize)]
struct Shown {
    appid: String,
    /// Whether it stands in the configuration file, was added at run time, or was brought by a platform.
    origin: &'static str,
    /// How it stands with the platforms that bring it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<ShownPlatform>,
    callback: String,
    original_id: Option<String>,
    kind: String,
    certified: bool,
    require_encryption: bool,
    quota_per_day: u32,
    ip_allow: Vec<String>,
    secret_frozen: bool,
    /// The platforms that its messages may come through, where it says so.
    components: Option<Vec<String>>,
    secrets: Vec<&'static str>,
    relay: Option<ShownRelay>,
    /// Whether other calls go on to WeChat.
    upstream: bool,
    warnings: Vec<String>,
    coverage: CoverageAnswer,
}

#[derive(Serialize)]
struct ShownPlatform {
    component: String,
    status: Status,
    original_id: Option<String>,
}

fn platforms(app: &App, account: &Account) -> Vec<ShownPlatform> {
    let standings = app.received.standings(&account.config.appid).into_iter();
    standings
        .map(|shown| ShownPlatform {
            component: shown.component,
            status: shown.status,
            original_id: shown.original_id,
        })
        .collect()
}

/// Where its callbacks come in: at its own address, or at its platform's.
fn callback(account: &Account, platforms: &[ShownPlatform]) -> String {
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let appid = part(&account.config.appid);
    match platforms.first().filter(|_| account.keys.is_none()) {
        Some(platform) => path::through_platform(&part(&platform.component), &appid),
        None => path::of_account(&appid),
    }
}

/// Addresses without path and query, which may hold a key.
#[derive(Serialize)]
struct ShownRelay {
    url: String,
    when_not_durable: String,
    on_late: String,
    listeners: Vec<String>,
}

impl Shown {
    fn of(app: &App, account: &Account) -> Shown {
        let config = &account.config;
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        let platforms = platforms(app, account);
        Shown {
            appid: config.appid.clone(),
            origin: match (account.is_configured, &account.keys) {
                (true, _) => "configuration",
                (false, None) => "platform",
                (false, Some(_)) => "run time",
            },
            callback: callback(account, &platforms),
            platforms,
            original_id: config.original_id.clone(),
            kind: text(&config.kind),
            certified: config.certified,
            require_encryption: config.require_encryption,
            quota_per_day: config.quota_per_day,
            ip_allow: config.ip_allow.texts(),
            secret_frozen: config.secret_frozen,
            components: config.components.clone(),
            secrets: secrets(account),
            relay: config.relay.as_ref().map(|relay| ShownRelay {
                url: relay.url.to_string(),
                when_not_durable: text(&relay.when_not_durable),
                on_late: text(&relay.on_late),
                listeners: relay.listeners.iter().map(ToString::to_string).collect(),
            }),
            upstream: app.upstream().is_some(),
            warnings: config.warnings(),
            coverage: CoverageAnswer::of(app, account),
        }
    }
}

fn secrets(account: &Account) -> Vec<&'static str> {
    let config = &account.config;
    let is_there = [
        !config.secret.reveal().is_empty(),
        config.upstream_secret.is_some(),
        !config.token.reveal().is_empty(),
        config.token_previous.is_some(),
        config.encoding_aes_key.is_some(),
        config.encoding_aes_key_previous.is_some(),
    ];
    SECRETS.into_iter().zip(is_there).filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
}

/// `GET /v1/accounts`: those that the key may read.
pub async fn list(State(app): State<Arc<App>>, Extension(access): Extension<Access>) -> Response<Body> {
    #[derive(Serialize)]
    struct Listed<'a> {
        appid: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        platforms: Vec<ShownPlatform>,
        coverage: CoverageAnswer,
    }
    let all = readable(&app, &access);
    let listed = all.iter().map(|account| Listed {
        appid: &account.config.appid,
        platforms: platforms(&app, account),
        coverage: CoverageAnswer::of(&app, account),
    });
    answer::own(StatusCode::OK, &BTreeMap::from([("accounts", listed.collect::<Vec<_>>())]))
}

/// `POST /v1/accounts`
pub async fn add(State(app): State<Arc<App>>, body: Body) -> Response<Body> {
    let settings: Settings = match read(body).await {
        Ok(settings) => settings,
        Err(response) => return response,
    };
    let shared = app.clone();
    let added = to_its_end(async move { shared.office().add(settings).await }).await;
    match added {
        Ok(account) => answer::own(StatusCode::CREATED, &Shown::of(&app, &account)),
        Err(error) => failed(&error),
    }
}

/// `GET /v1/accounts/{appid}`
pub async fn show(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    match app.accounts.get(&appid) {
        Some(account) => answer::own(StatusCode::OK, &Shown::of(&app, &account)),
        None => super::no_account(),
    }
}

/// `PATCH /v1/accounts/{appid}`
pub async fn change(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    let changes: Settings = match read(body).await {
        Ok(changes) => changes,
        Err(response) => return response,
    };
    let shared = app.clone();
    let changed = to_its_end(async move { shared.office().change(&appid, changes).await }).await;
    match changed {
        Ok(account) => answer::own(StatusCode::OK, &Shown::of(&app, &account)),
        Err(error) => failed(&error),
    }
}

/// `DELETE /v1/accounts/{appid}`
pub async fn remove(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let (shared, removed) = (app.clone(), appid.clone());
    let done = to_its_end(async move {
        for event in shared.office().remove(&removed).await? {
            push::tell(&shared, event).await;
        }
        if let Some(upstream) = shared.upstream() {
            upstream.forget(&removed).await;
        }
        Ok(())
    });
    match done.await {
        Ok(()) => answer::own(StatusCode::OK, &BTreeMap::from([("removed", appid)])),
        Err(error) => failed(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    what: Rotated,
}

/// `POST /v1/accounts/{appid}/rotate`: a new value, shown this once. The former key or callback token is still taken.
pub async fn rotate(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    let what = match read::<Rotation>(body).await {
        Ok(rotation) => rotation.what,
        Err(response) => return response,
    };
    let rotated = to_its_end(async move {
        let (name, new) = app.office().rotate(&appid, what).await?;
        Ok(BTreeMap::from([("appid", appid), (name, new)]))
    });
    match rotated.await {
        Ok(shown) => answer::own(StatusCode::OK, &shown),
        Err(error) => failed(&error),
    }
}

/// Runs also if the caller hangs up: what is on disk and what is in memory must agree.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, AccountError> {
    let joined = tokio::spawn(change).await;
    joined.unwrap_or_else(|error| Err(AccountError::Unreadable(error.to_string())))
}

fn failed(error: &AccountError) -> Response<Body> {
    let status = match error {
        AccountError::Flaw(_) | AccountError::Unreadable(_) | AccountError::AppidChanges => {
            StatusCode::BAD_REQUEST
        }
        AccountError::Exists(_)
        | AccountError::Configured(_)
        | AccountError::Authorized(_)
        | AccountError::TooMany => StatusCode::CONFLICT,
        AccountError::Unknown(_) => StatusCode::NOT_FOUND,
        AccountError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        AccountError::Seal(_) | AccountError::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    answer::own_error(status, error.to_string())
}
