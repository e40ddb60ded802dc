//! `/v1/components`: the state of third-party platforms, their current ticket, and authorisations without the consent
//! page.

mod state;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{Response, StatusCode},
};
use serde::{Deserialize, Serialize};

use super::{answer, beijing_time, no_account, read_json};
use crate::{
    accounts::platform_issuer::{
        Approval, PlatformError,
        code::CodeKind,
        permission_set::{PERMISSION_SETS, permission_set},
    },
    config::Role,
    http::{push, state::App},
};

pub use state::show;

/// Most authorisations in one answer.
const COUNT_MAX: usize = 500;

/// An item of `authorizations`: an account that authorised the platform.
#[derive(Serialize)]
struct ListedAuthorization<'a> {
    appid: &'a str,
    /// WeChat's ids of permission sets, such as 1 (messages).
    permission_sets: &'a [u32],
    /// When, as RFC 3339 in Beijing time.
    authorized: String,
}

/// `GET /v1/components/{c}/authorizations`: one page.
#[derive(Serialize)]
struct AuthorizationList<'a> {
    /// The number of all, not only of those on this page.
    total: usize,
    authorizations: Vec<ListedAuthorization<'a>>,
}

/// The body of `POST /v1/components/{c}/authorizations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAuthorization {
    appid: String,
    permission_sets: Vec<u32>,
}

/// `POST /v1/components/{c}/authorizations`: a code for `api_query_auth`, valid once.
#[derive(Serialize)]
struct AuthCodeAnswer {
    auth_code: String,
    /// Seconds.
    expires_in: i64,
}

/// An error answer unless this server issues tickets and authorisations of the platform (role `serve`).
fn role_refusal(app: &App, appid: &str) -> Option<Response<Body>> {
    let Some(platform) = app.platforms.get(appid) else { return Some(unknown_platform()) };
    let error = "this [[component]] has role = \"receive\": its tickets and authorisations come from WeChat";
    (platform.config.role == Role::Receive).then(|| answer::api_error(StatusCode::CONFLICT, error))
}

fn unknown_platform() -> Response<Body> {
    answer::api_error(StatusCode::NOT_FOUND, "no [[component]] of the configuration has this appid")
}

/// `GET /v1/components/{c}/ticket`: `{"component_verify_ticket":"…"}` with the newest ticket.
pub async fn ticket(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let role = app.platforms.get(&appid).map(|platform| platform.config.role);
    if let Some(response) = role_refusal(&app, &appid).filter(|_| role != Some(Role::Receive)) {
        return response;
    }
    let ticket_answer = |ticket: &str| {
        answer::api_json(StatusCode::OK, &BTreeMap::from([("component_verify_ticket", ticket)]))
    };
    match role {
        Some(Role::Receive) => {
            received_ticket(&app, &appid).map_or_else(no_ticket, |ticket| ticket_answer(&ticket))
        }
        _ => ticket_answer(&app.platforms.ticket(&appid, app.clock.now_s())),
    }
}

/// The newest ticket that WeChat pushed to a platform.
fn received_ticket(app: &App, platform: &str) -> Option<String> {
    app.platform_receiver.ticket(platform).map(|ticket| ticket.text.reveal().to_owned())
}

fn no_ticket() -> Response<Body> {
    let error =
        "no ticket has arrived yet; WeChat pushes one every ten minutes, or after api_start_push_ticket";
    answer::api_error(StatusCode::NOT_FOUND, error)
}

/// `GET /v1/components/{c}/authorizations?offset=&count=`: a page as [`AuthorizationList`].
pub async fn authorizations(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    if let Some(response) = role_refusal(&app, &appid) {
        return response;
    }
    let (mut offset, mut count) = (0, COUNT_MAX);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let parameter = match &*name {
            "offset" => &mut offset,
            "count" => &mut count,
            _ => continue,
        };
        match value.parse() {
            Ok(number) => *parameter = number,
            Err(_) => return bad_request(format!("{name}: {value} is not a whole number")),
        }
    }
    if count > COUNT_MAX {
        return bad_request(format!("count: at most {COUNT_MAX}; use offset for the others"));
    }
    let all = app.platforms.authorizations(&appid);
    let page = all.iter().skip(offset).take(count).map(|authorization| ListedAuthorization {
        appid: &authorization.account,
        permission_sets: &authorization.permission_sets,
        authorized: beijing_time(authorization.authorized_s),
    });
    answer::api_json(StatusCode::OK, &AuthorizationList { total: all.len(), authorizations: page.collect() })
}

fn bad_request(error: String) -> Response<Body> {
    answer::api_error(StatusCode::BAD_REQUEST, error)
}

/// `POST /v1/components/{c}/authorizations`: authorises the platform for an account. Gives [`AuthCodeAnswer`].
pub async fn authorize(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    if let Some(response) = role_refusal(&app, &appid) {
        return response;
    }
    let mut new: NewAuthorization = match read_json(body).await {
        Ok(new) => new,
        Err(response) => return response,
    };
    if app.accounts.get(&new.appid).is_none() {
        return no_account();
    }
    if new.permission_sets.is_empty() {
        return bad_request("permission_sets: name at least one, such as 1 (messages); to take all of them back, DELETE the authorisation".to_owned());
    }
    if let Some(unknown) = new.permission_sets.iter().find(|id| permission_set(**id).is_none()) {
        let known: Vec<String> = PERMISSION_SETS.iter().map(|set| set.id.to_string()).collect();
        return bad_request(format!(
            "permission_sets: {unknown} is not a permission set of accounts; use {}",
            known.join(", ")
        ));
    }
    new.permission_sets.sort_unstable();
    new.permission_sets.dedup();
    let approval = Approval {
        component: appid,
        account: new.appid,
        permission_sets: new.permission_sets,
        pre_auth_code: None,
    };
    match push::authorize(&app, approval).await {
        Ok(auth_code) => {
            let expires_in = CodeKind::Auth.life_s();
            answer::api_json(StatusCode::OK, &AuthCodeAnswer { auth_code, expires_in })
        }
        Err(error) => platform_error(&error),
    }
}

/// `DELETE /v1/components/{c}/authorizations/{appid}`: takes back the authorisation and notifies the platform. Gives
/// `{"removed":"<appid>"}`.
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((appid, account)): Path<(String, String)>,
) -> Response<Body> {
    if let Some(response) = role_refusal(&app, &appid) {
        return response;
    }
    let (shared, removed) = (app.clone(), account.clone());
    let done = tokio::spawn(async move {
        if let Some(event) =
            shared.platforms.withdraw(&appid, &removed, shared.authorization_context()).await?
        {
            push::deliver_event(&shared, event).await;
        }
        Ok::<_, PlatformError>(())
    });
    match done.await {
        Ok(Ok(())) => answer::api_json(StatusCode::OK, &BTreeMap::from([("removed", account)])),
        Ok(Err(error)) => platform_error(&error),
        Err(error) => answer::api_error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn platform_error(error: &PlatformError) -> Response<Body> {
    let status = match error {
        PlatformError::Refused(_) => {
            let error = "this account has not authorised this platform; GET /v1/components/{c}/authorizations lists those that have";
            return answer::api_error(StatusCode::NOT_FOUND, error);
        }
        PlatformError::TooMany | PlatformError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        PlatformError::Random(_) | PlatformError::Seal(_) | PlatformError::Broken(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    answer::api_error(status, error.to_string())
}
