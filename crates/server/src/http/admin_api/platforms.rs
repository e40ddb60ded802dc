//! Third-party platforms for their operator: how they fare, the ticket of the moment, and authorisations without the page.

mod state;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{Response, StatusCode},
};
use serde::{Deserialize, Serialize};

use super::{answer, beijing, no_account, read};
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

/// Authorisations that one answer shows.
const COUNT_MAX: usize = 500;

#[derive(Serialize)]
struct Listed<'a> {
    appid: &'a str,
    permission_sets: &'a [u32],
    authorized: String,
}

#[derive(Serialize)]
struct List<'a> {
    total: usize,
    authorizations: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAuthorization {
    appid: String,
    permission_sets: Vec<u32>,
}

#[derive(Serialize)]
struct Authorized {
    auth_code: String,
    expires_in: i64,
}

/// Why nothing can be asked of a platform, if so.
fn refusal(app: &App, appid: &str) -> Option<Response<Body>> {
    let Some(component) = app.components.get(appid) else { return Some(unknown()) };
    let error = "this [[component]] has role = \"receive\": its tickets and authorisations come from WeChat";
    (component.config.role == Role::Receive).then(|| answer::own_error(StatusCode::CONFLICT, error))
}

fn unknown() -> Response<Body> {
    answer::own_error(StatusCode::NOT_FOUND, "no [[component]] of the configuration has this appid")
}

/// `GET /v1/components/{c}/ticket`
pub async fn ticket(State(app): State<Arc<App>>, Path(appid): Path<String>) -> Response<Body> {
    let role = app.components.get(&appid).map(|component| component.config.role);
    if let Some(response) = refusal(&app, &appid).filter(|_| role != Some(Role::Receive)) {
        return response;
    }
    let shown =
        |ticket: &str| answer::own(StatusCode::OK, &BTreeMap::from([("component_verify_ticket", ticket)]));
    match role {
        Some(Role::Receive) => received_ticket(&app, &appid).map_or_else(no_ticket, |ticket| shown(&ticket)),
        _ => shown(&app.components.ticket(&appid, app.clock.now_s())),
    }
}

/// The newest ticket that WeChat pushed to a platform.
fn received_ticket(app: &App, component: &str) -> Option<String> {
    app.received.ticket(component).map(|ticket| ticket.text.reveal().to_owned())
}

fn no_ticket() -> Response<Body> {
    let error = "no ticket came yet; WeChat pushes one every ten minutes, or on api_start_push_ticket";
    answer::own_error(StatusCode::NOT_FOUND, error)
}

/// `GET /v1/components/{c}/authorizations?offset=&count=`
pub async fn authorizations(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    if let Some(response) = refusal(&app, &appid) {
        return response;
    }
    let (mut offset, mut count) = (0, COUNT_MAX);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let place = match &*name {
            "offset" => &mut offset,
            "count" => &mut count,
            _ => continue,
        };
        match value.parse() {
            Ok(number) => *place = number,
            Err(_) => return bad(format!("{name}: {value} is not a number from 0 on")),
        }
    }
    if count > COUNT_MAX {
        return bad(format!("count: at most {COUNT_MAX}; offset shows further ones"));
    }
    let all = app.components.authorizations(&appid);
    let shown = all.iter().skip(offset).take(count).map(|authorization| Listed {
        appid: &authorization.account,
        permission_sets: &authorization.permission_sets,
        authorized: beijing(authorization.authorized_s),
    });
    answer::own(StatusCode::OK, &List { total: all.len(), authorizations: shown.collect() })
}

fn bad(what: String) -> Response<Body> {
    answer::own_error(StatusCode::BAD_REQUEST, what)
}

/// `POST /v1/components/{c}/authorizations`
pub async fn authorize(State(app): State<Arc<App>>, Path(appid): Path<String>, body: Body) -> Response<Body> {
    if let Some(response) = refusal(&app, &appid) {
        return response;
    }
    let mut new: NewAuthorization = match read(body).await {
        Ok(new) => new,
        Err(response) => return response,
    };
    if app.accounts.get(&new.appid).is_none() {
        return no_account();
    }
    if new.permission_sets.is_empty() {
        return bad("permission_sets: name at least one, such as 1 (messages); DELETE of the authorisation takes all of them back".to_owned());
    }
    if let Some(unknown) = new.permission_sets.iter().find(|id| permission_set(**id).is_none()) {
        let known: Vec<String> = PERMISSION_SETS.iter().map(|set| set.id.to_string()).collect();
        return bad(format!(
            "permission_sets: {unknown} is no permission set of accounts; those are {}",
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
            answer::own(StatusCode::OK, &Authorized { auth_code, expires_in })
        }
        Err(error) => failed(&error),
    }
}

/// `DELETE /v1/components/{c}/authorizations/{appid}`
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Path((appid, account)): Path<(String, String)>,
) -> Response<Body> {
    if let Some(response) = refusal(&app, &appid) {
        return response;
    }
    let (shared, removed) = (app.clone(), account.clone());
    let done = tokio::spawn(async move {
        if let Some(event) = shared.components.withdraw(&appid, &removed, shared.desk()).await? {
            push::tell(&shared, event).await;
        }
        Ok::<_, PlatformError>(())
    });
    match done.await {
        Ok(Ok(())) => answer::own(StatusCode::OK, &BTreeMap::from([("removed", account)])),
        Ok(Err(error)) => failed(&error),
        Err(error) => answer::own_error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn failed(error: &PlatformError) -> Response<Body> {
    let status = match error {
        PlatformError::Refused(_) => {
            let error = "this account has not authorised this platform; GET /v1/components/{c}/authorizations lists those that have";
            return answer::own_error(StatusCode::NOT_FOUND, error);
        }
        PlatformError::TooMany | PlatformError::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
        PlatformError::Random(_) | PlatformError::Seal(_) | PlatformError::Broken(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    answer::own_error(status, error.to_string())
}
