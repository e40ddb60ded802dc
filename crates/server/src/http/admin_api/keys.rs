//! `/v1/keys`: lists, adds and revokes API keys while the server runs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use serde::{Deserialize, Serialize};
use system::secret::Secret;

use super::{answer, beijing_time, read_json, to_end};
use crate::{
    auth::api_keys::{ApiKey, NAME_BYTES_MAX, SCOPES_MAX, Scope},
    http::state::App,
};

const DAY_S: i64 = 24 * 3600;
/// A hundred years, in days.
const DAYS_MAX: u32 = 36_500;

/// The body of `POST /v1/keys`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// For people. Empty if it is missing.
    #[serde(default)]
    pub name: String,
    /// What it permits.
    pub scopes: Vec<Scope>,
    /// Missing or `null`: the key does not expire.
    #[serde(default, deserialize_with = "super::whole_number")]
    pub expires_in_days: Option<u32>,
}

/// An API key, in the answers of `/v1/keys`. Times are RFC 3339 in Beijing time.
#[derive(Serialize)]
struct KeyAnswer {
    /// Names the key in `DELETE /v1/keys/{id}`.
    id: String,
    name: String,
    /// `admin`, `read`, `write`, `read:APPID` or `write:APPID`.
    scopes: Vec<Scope>,
    created: String,
    /// `null` if the key does not expire.
    expires: Option<String>,
    expired: bool,
    /// The secret text of the key. Only in the answer of `POST /v1/keys`, otherwise missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyAnswer {
    fn new(key: ApiKey, now_s: i64) -> KeyAnswer {
        KeyAnswer {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created: beijing_time(key.created_s),
            expires: key.expires_s.map(beijing_time),
            expired: key.expires_s.is_some_and(|expires_s| now_s >= expires_s),
            key: None,
        }
    }
}

/// `GET /v1/keys`: `{"keys":[…]}` with all keys as [`KeyAnswer`].
pub async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let now_s = app.clock.now_s();
    let keys: Vec<_> = app.api_keys.all().into_iter().map(|key| KeyAnswer::new(key, now_s)).collect();
    answer::api_json(StatusCode::OK, &BTreeMap::from([("keys", keys)]))
}

/// `POST /v1/keys`: 201 with the new key as [`KeyAnswer`]. Its text is shown only here.
pub async fn add(State(app): State<Arc<App>>, body: Body) -> Response<Body> {
    let new: NewKey = match read_json(body).await {
        Ok(new) => new,
        Err(response) => return response,
    };
    match create(&app, new).await {
        Ok((key, text)) => {
            let now_s = app.clock.now_s();
            let added = KeyAnswer { key: Some(text.reveal().to_owned()), ..KeyAnswer::new(key, now_s) };
            answer::api_json(StatusCode::CREATED, &added)
        }
        Err((status, error)) => answer::api_error(status, error),
    }
}

/// Makes a key, to the end even if the caller goes away. Returns it and its text.
///
/// # Errors
///
/// Status and text of the answer.
pub async fn create(app: &Arc<App>, new: NewKey) -> Result<(ApiKey, Secret), (StatusCode, String)> {
    if let Some(error) = new_key_error(&new) {
        return Err((StatusCode::BAD_REQUEST, error));
    }
    let now_s = app.clock.now_s();
    let expires_s = new.expires_in_days.map(|days| now_s + i64::from(days) * DAY_S);
    let shared = app.clone();
    to_end(async move { shared.api_keys.add(new.name, new.scopes, expires_s, now_s, &shared.ingest).await })
        .await
}

fn new_key_error(new: &NewKey) -> Option<String> {
    if new.scopes.is_empty() || new.scopes.len() > SCOPES_MAX {
        return Some(format!("scopes: 1 to {SCOPES_MAX}, such as [\"read:APPID\"]"));
    }
    if new.name.len() > NAME_BYTES_MAX {
        return Some(format!("name: at most {NAME_BYTES_MAX} bytes"));
    }
    let is_out_of_range = new.expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days));
    is_out_of_range
        .then(|| format!("expires_in_days: 1 to {DAYS_MAX}; leave it out for a key that does not expire"))
}

/// `DELETE /v1/keys/{id}`: `{"removed":"<id>"}`.
pub async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    match revoke(&app, id.clone()).await {
        Ok(()) => answer::api_json(StatusCode::OK, &BTreeMap::from([("removed", id)])),
        Err((status, error)) => answer::api_error(status, error),
    }
}

/// Revokes a key, to the end even if the caller goes away.
///
/// # Errors
///
/// Status and text of the answer.
pub async fn revoke(app: &Arc<App>, id: String) -> Result<(), (StatusCode, String)> {
    let shared = app.clone();
    to_end(async move { shared.api_keys.remove(&id, &shared.ingest).await }).await
}
