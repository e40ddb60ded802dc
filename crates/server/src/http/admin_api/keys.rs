//! Keys for this interface at run time: made, listed, removed.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{Response, StatusCode},
};
use serde::{Deserialize, Serialize};

use super::{answer, beijing, read};
use crate::{
    auth::api_keys::{ApiKey, ApiKeyError, NAME_BYTES_MAX, SCOPES_MAX, Scope},
    http::state::App,
};

const DAY_S: i64 = 24 * 3600;
/// A hundred years.
const DAYS_MAX: u32 = 36_500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[serde(default)]
    name: String,
    scopes: Vec<Scope>,
    expires_in_days: Option<u32>,
}

#[derive(Serialize)]
struct ShownKey {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    created: String,
    expires: Option<String>,
    expired: bool,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl ShownKey {
    fn of(key: ApiKey, now_s: i64) -> ShownKey {
        ShownKey {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created: beijing(key.created_s),
            expires: key.expires_s.map(beijing),
            expired: key.expires_s.is_some_and(|expires_s| now_s >= expires_s),
            key: None,
        }
    }
}

/// `GET /v1/keys`
pub async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let now_s = app.clock.now_s();
    let keys: Vec<_> = app.api_keys.all().into_iter().map(|key| ShownKey::of(key, now_s)).collect();
    answer::own(StatusCode::OK, &BTreeMap::from([("keys", keys)]))
}

/// `POST /v1/keys`
pub async fn add(State(app): State<Arc<App>>, body: Body) -> Response<Body> {
    let new: NewKey = match read(body).await {
        Ok(new) => new,
        Err(response) => return response,
    };
    if let Some(what) = flaw_of(&new) {
        return answer::own_error(StatusCode::BAD_REQUEST, what);
    }
    let now_s = app.clock.now_s();
    let expires_s = new.expires_in_days.map(|days| now_s + i64::from(days) * DAY_S);
    let shared = app.clone();
    let added = tokio::spawn(async move {
        shared.api_keys.add(new.name, new.scopes, expires_s, now_s, &shared.ingest).await
    });
    match added.await {
        Ok(Ok((key, text))) => {
            let shown = ShownKey { key: Some(text.reveal().to_owned()), ..ShownKey::of(key, now_s) };
            answer::own(StatusCode::CREATED, &shown)
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => answer::own_error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn flaw_of(new: &NewKey) -> Option<String> {
    if new.scopes.is_empty() || new.scopes.len() > SCOPES_MAX {
        return Some(format!("scopes: 1 to {SCOPES_MAX}, such as [\"read:APPID\"]"));
    }
    if new.name.len() > NAME_BYTES_MAX {
        return Some(format!("name: at most {NAME_BYTES_MAX} bytes"));
    }
    let is_odd = new.expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days));
    is_odd.then(|| format!("expires_in_days: 1 to {DAYS_MAX}, or left out for a key that does not expire"))
}

/// `DELETE /v1/keys/{id}`
pub async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    let (shared, removed) = (app.clone(), id.clone());
    let done = tokio::spawn(async move { shared.api_keys.remove(&removed, &shared.ingest).await });
    match done.await {
        Ok(Ok(())) => answer::own(StatusCode::OK, &BTreeMap::from([("removed", id)])),
        Ok(Err(error)) => failed(&error),
        Err(error) => answer::own_error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn failed(error: &ApiKeyError) -> Response<Body> {
    let status = match error {
        ApiKeyError::TooMany => StatusCode::CONFLICT,
        ApiKeyError::Unknown(_) => StatusCode::NOT_FOUND,
        ApiKeyError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        ApiKeyError::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    answer::own_error(status, error.to_string())
}
