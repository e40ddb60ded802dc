//! `/v1/share-links`: lists, makes and revokes links to the page of one account.

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
    auth::share_links::{DAYS_DEFAULT, DAYS_MAX, ShareLink},
    http::state::App,
};

/// The body of `POST /v1/share-links`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShareLink {
    /// The appid of the account to show.
    pub account: String,
    /// Missing or `null`: 30.
    #[serde(default, deserialize_with = "super::whole_number")]
    pub expires_in_days: Option<u32>,
}

/// A share link, in the answers of `/v1/share-links`. Times are RFC 3339 in Beijing time.
#[derive(Serialize)]
struct ShareLinkAnswer {
    /// Names the link in `DELETE /v1/share-links/{id}`.
    id: String,
    account: String,
    created: String,
    expires: String,
    expired: bool,
    /// The link itself. Only in the answer of `POST /v1/share-links`, otherwise missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl ShareLinkAnswer {
    fn new(link: ShareLink, now_s: i64) -> ShareLinkAnswer {
        ShareLinkAnswer {
            expired: link.is_over(now_s),
            id: link.id,
            account: link.account,
            created: beijing_time(link.created_s),
            expires: beijing_time(link.expires_s),
            url: None,
        }
    }
}

/// `GET /v1/share-links`: `{"share_links":[…]}` with all links as [`ShareLinkAnswer`].
pub async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let now_s = app.clock.now_s();
    let links = app.share_links.all().into_iter().map(|link| ShareLinkAnswer::new(link, now_s));
    answer::api_json(StatusCode::OK, &BTreeMap::from([("share_links", links.collect::<Vec<_>>())]))
}

/// `POST /v1/share-links`: 201 with the new link as [`ShareLinkAnswer`]. Its address is shown only here.
pub async fn add(State(app): State<Arc<App>>, body: Body) -> Response<Body> {
    let new: NewShareLink = match read_json(body).await {
        Ok(new) => new,
        Err(response) => return response,
    };
    match create(&app, new).await {
        Ok((link, url)) => {
            let now_s = app.clock.now_s();
            let url = Some(url.reveal().to_owned());
            answer::api_json(
                StatusCode::CREATED,
                &ShareLinkAnswer { url, ..ShareLinkAnswer::new(link, now_s) },
            )
        }
        Err((status, error)) => answer::api_error(status, error),
    }
}

/// Makes a link, to the end even if the caller goes away. Returns it and its address: a URL, or only the path if the
/// configuration has neither `ui_url` nor `public_url`.
///
/// # Errors
///
/// Status and text of the answer.
pub async fn create(app: &Arc<App>, new: NewShareLink) -> Result<(ShareLink, Secret), (StatusCode, String)> {
    let days = new.expires_in_days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        let error = format!("expires_in_days: 1 to {DAYS_MAX}; leave it out for {DAYS_DEFAULT}");
        return Err((StatusCode::BAD_REQUEST, error));
    }
    let (shared, now_s) = (app.clone(), app.clock.now_s());
    let added = async move {
        let is_served = |appid: &str| shared.accounts.get(appid).is_some();
        shared.share_links.add(new.account, is_served, days, now_s, &shared.ingest).await
    };
    let (link, token) = to_end(added).await?;
    let origin = app.config.get().ui_origin().map(ToString::to_string).unwrap_or_default();
    Ok((link, Secret::new(format!("{origin}/ui/share/{}", token.reveal()))))
}

/// `DELETE /v1/share-links/{id}`: `{"removed":"<id>"}`.
pub async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response<Body> {
    match revoke(&app, id.clone()).await {
        Ok(()) => answer::api_json(StatusCode::OK, &BTreeMap::from([("removed", id)])),
        Err((status, error)) => answer::api_error(status, error),
    }
}

/// Revokes a link, to the end even if the caller goes away.
///
/// # Errors
///
/// Status and text of the answer.
pub async fn revoke(app: &Arc<App>, id: String) -> Result<(), (StatusCode, String)> {
    let shared = app.clone();
    to_end(async move { shared.share_links.remove(&id, &shared.ingest).await }).await
}
