//! `/v1/accounts`: lists, adds, shows, changes and removes accounts while the server runs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{CoverageAnswer, access::readable, answer, read_json};
use crate::{
    accounts::{
        platform_receiver::Status,
        registry::{AccountError, SECRETS, ServedAccount, settings::Settings},
        service::Rotated,
    },
    auth::api_keys::Access,
    http::{push, state::App},
    intake::path,
};

/// `GET` and `PATCH /v1/accounts/{appid}`, `POST /v1/accounts`: an account with its settings.
///
/// Secrets are never shown, only their names.
#[allow(clippy::struct_excessive_bools, reason = "each is a setting by its name")]
#[derive(Serialize)]
struct AccountAnswer {
    appid: String,
    /// What people call it. Empty if it has no name.
    name: String,
    /// Where its settings come from: `configuration` (the file), `run time` (added by this API), or `platform` (created
    /// by a platform's callbacks).
    origin: &'static str,
    /// Its authorization state at each platform whose callbacks carry its messages. Missing if there is no platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<AccountPlatform>,
    /// The path of its callbacks on this server.
    callback: String,
    /// WeChat's `gh_…` id. `null` if it is not configured.
    original_id: Option<String>,
    /// `service`, `subscription` or `other`.
    kind: String,
    certified: bool,
    require_encryption: bool,
    /// Calls of each of the seven interfaces in a day of Beijing time. 0: no limit.
    quota_per_day: u32,
    /// Addresses and networks that may ask for tokens. Empty: all may.
    ip_allow: Vec<String>,
    secret_frozen: bool,
    /// The platforms that its messages may come through. `null` if the setting is missing.
    components: Option<Vec<String>>,
    /// The names of the secrets that are set, such as `secret` and `token`.
    secrets: Vec<&'static str>,
    /// `null` without a relay.
    relay: Option<RelayAnswer>,
    /// Whether the server passes other calls on to WeChat.
    upstream: bool,
    /// Doubtful settings in English sentences, as in the log.
    warnings: Vec<String>,
    coverage: CoverageAnswer,
}

/// An item of `platforms`: an account at one platform.
#[derive(Serialize)]
struct AccountPlatform {
    /// The appid of the platform.
    component: String,
    /// `pending`, `authorized` or `unauthorized`.
    status: Status,
    /// The `gh_…` id from its messages. `null` before the first message.
    original_id: Option<String>,
}

fn platforms(app: &App, account: &ServedAccount) -> Vec<AccountPlatform> {
    let states = app.platform_receiver.authorization_states(&account.config.appid).into_iter();
    states
        .map(|state| AccountPlatform {
            component: state.component,
            status: state.status,
            original_id: state.original_id,
        })
        .collect()
}

/// The path of the account's callbacks. An account without keys of its own is reached through its platform.
fn callback_path(account: &ServedAccount, platforms: &[AccountPlatform]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let appid = encode(&account.config.appid);
    match platforms.first().filter(|_| account.keys.is_none()) {
        Some(platform) => path::through_platform(&encode(&platform.component), &appid),
        None => path::of_account(&appid),
    }
}

/// The field `relay`. URLs are shown without path and query, which may hold a key.
#[derive(Serialize)]
struct RelayAnswer {
    url: String,
    /// `answer` or `refuse`.
    when_not_durable: String,
    /// `close` or `success`.
    on_late: String,
    /// URLs that get a copy of every message.
    listeners: Vec<String>,
}

impl AccountAnswer {
    fn new(app: &App, account: &ServedAccount) -> AccountAnswer {
        let config = &account.config;
        let lower_case = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        let platforms = platforms(app, account);
        AccountAnswer {
            appid: config.appid.clone(),
            name: config.name.clone(),
            origin: match (account.is_configured, &account.keys) {
                (true, _) => "configuration",
                (false, None) => "platform",
                (false, Some(_)) => "run time",
            },
            callback: callback_path(account, &platforms),
            platforms,
            original_id: config.original_id.clone(),
            kind: lower_case(&config.kind),
            certified: config.certified,
            require_encryption: config.require_encryption,
            quota_per_day: config.quota_per_day,
            ip_allow: config.ip_allow.texts(),
            secret_frozen: config.secret_frozen,
            components: config.components.clone(),
            secrets: secret_names(account),
            relay: config.relay.as_ref().map(|relay| RelayAnswer {
                url: relay.url.to_string(),
                when_not_durable: lower_case(&relay.when_not_durable),
                on_late: lower_case(&relay.on_late),
                listeners: relay.listeners.iter().map(ToString::to_string).collect(),
            }),
            upstream: app.upstream().is_some(),
            warnings: config.warnings(),
            coverage: CoverageAnswer::new(app, account),
        }
    }
}

fn secret_names(account: &ServedAccount) -> Vec<&'static str> {
    let config = &account.config;
    let is_set = [
        !config.secret.reveal().is_empty(),
        config.upstream_secret.is_some(),
        !config.token.reveal().is_empty(),
        config.token_previous.is_some(),
        config.encoding_aes_key.is_some(),
        config.encoding_aes_key_previous.is_some(),
    ];
    SECRETS.into_iter().zip(is_set).filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}

/// `GET /v1/accounts`: `{"accounts":[…]}` with the accounts that the key may read, sorted by appid.
pub async fn list(State(app): State<Arc<App>>, Extension(access): Extension<Access>) -> Response<Body> {
    #[derive(Serialize)]
    struct ListedAccount<'a> {
        appid: &'a str,
        name: &'a str,
        /// As in [`AccountAnswer`]: missing if there is no platform.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        platforms: Vec<AccountPlatform>,
        coverage: CoverageAnswer,
    }
    let all = readable(&app, &access);
    let listed = all.iter().map(|account| ListedAccount {
        appid: &account.config.appid,
        name: &account.config.name,
        platforms: platforms(&app, account),
        coverage: CoverageAnswer::new(&app, account),
    });
    answer::api_json(StatusCode::OK, &BTreeMap::from([("accounts", listed.collect::<Vec<_>>())]))
}

/// `POST /v1/accounts`: 201 with the new account as [`AccountAnswer`].
pub async fn add(State(app): State<Arc<App>>, body: Body) -> Response<Body> {
    let settings: Settings = match read_json(body).await {
        Ok(settings) => settings,
        Err(response) => return response,
    };
    match create(&app, settings).await {
        Ok(account) => answer::api_json(StatusCode::CREATED, &AccountAnswer::new(&app, &account)),
        Err(error) => account_error(&error),
    }
}

/// Adds an account durably and serves it.
///
/// # Errors
/// Why it is not added.
pub async fn create(app: &Arc<App>, settings: Settings) -> Result<Arc<ServedAccount>, AccountError> {
    let app = app.clone();
    run_to_end(async move { app.account_service().add(settings).await }).await
}

/// `GET /v1/accounts/{appid}`: the account as [`AccountAnswer`].
pub async fn show(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    match app.accounts.get(&appid) {
        Some(account) => answer::api_json(StatusCode::OK, &AccountAnswer::new(&app, &account)),
        None => super::no_account(),
    }
}

/// `PATCH /v1/accounts/{appid}`: changes the settings that the body names; `null` removes one. Gives the changed
/// account as [`AccountAnswer`].
pub async fn change(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    let changes: Settings = match read_json(body).await {
        Ok(changes) => changes,
        Err(response) => return response,
    };
    let shared = app.clone();
    let changed = run_to_end(async move { shared.account_service().change(&appid, changes).await }).await;
    match changed {
        Ok(account) => answer::api_json(StatusCode::OK, &AccountAnswer::new(&app, &account)),
        Err(error) => account_error(&error),
    }
}

/// `DELETE /v1/accounts/{appid}`: `{"removed":"<appid>"}`. Its figures stay; its tokens become invalid.
pub async fn remove(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let (shared, removed) = (app.clone(), appid.clone());
    let done = run_to_end(async move {
        for event in shared.account_service().remove(&removed).await? {
            push::deliver_event(&shared, event).await;
        }
        // Without its account a link shows nothing. It must not come back together with the account.
        shared.share_links.remove_account(&removed, &shared.ingest).await?;
        if let Some(upstream) = shared.upstream() {
            upstream.forget(&removed).await;
        }
        Ok(())
    });
    match done.await {
        Ok(()) => answer::api_json(StatusCode::OK, &BTreeMap::from([("removed", appid)])),
        Err(error) => account_error(&error),
    }
}

/// The body of a rotation: `{"what":"secret"}`, `"token"` or `"encoding_aes_key"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateRequest {
    what: Rotated,
}

/// `POST /v1/accounts/{appid}/rotate`: makes a new secret, callback token or key, and gives
/// `{"appid":"…","<name>":"<new value>"}`.
///
/// The new value is shown only here. The previous callback token or key stays valid. The previous secret
/// becomes `upstream_secret` if that is not set.
pub async fn rotate(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    let what = match read_json::<RotateRequest>(body).await {
        Ok(rotation) => rotation.what,
        Err(response) => return response,
    };
    let rotated = run_to_end(async move {
        let (name, new) = app.account_service().rotate(&appid, what).await?;
        Ok(BTreeMap::from([("appid", appid), (name, new)]))
    });
    match rotated.await {
        Ok(new_value) => answer::api_json(StatusCode::OK, &new_value),
        Err(error) => account_error(&error),
    }
}

/// Completes the change even if the caller hangs up: disk and memory must agree.
async fn run_to_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, AccountError> {
    let joined = tokio::spawn(change).await;
    joined.unwrap_or_else(|error| Err(AccountError::Unreadable(error.to_string())))
}

fn account_error(error: &AccountError) -> Response<Body> {
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
    answer::api_error(status, error.to_string())
}
