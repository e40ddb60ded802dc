//! `/ui/keys`: an admin makes and revokes API keys and share links.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::Response,
};
use i18n::{Text, text};

use super::{
    super::admin_api::{
        keys::{self, NewKey},
        share_links::{self, NewShareLink},
    },
    draw::{self, ChangeNotice},
    guard::{self, SentForm},
    seal,
    viewer::Viewer,
};
use crate::{auth::api_keys::Scope, http::state::App};

const PATH: &str = "/ui/keys";

/// `GET /ui/keys`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer) -> Response<Body> {
    page(&app, &viewer, None)
}

fn page(app: &App, viewer: &Viewer, notice: Option<&ChangeNotice>) -> Response<Body> {
    if !viewer.is_admin() {
        return draw::admin_only(viewer);
    }
    draw::keys(viewer, &app.api_keys.all(), &app.share_links.all(), app.clock.now_s(), notice)
}

/// The viewer and the form of an admin's change.
async fn admin_change(app: &App, request: Request) -> Result<(Viewer, SentForm), Response<Body>> {
    let (viewer, form) = guard::change(app, request).await?;
    if viewer.is_admin() { Ok((viewer, form)) } else { Err(draw::admin_only(&viewer)) }
}

/// `POST /ui/keys` makes a key.
pub async fn add_key(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let notice = match new_key(&form) {
        Ok(new) => match keys::create(&app, new).await {
            Ok((_, key)) => ChangeNotice::MadeKey(key),
            Err((_, error)) => ChangeNotice::Failed(Text::from_english(error)),
        },
        Err(error) => ChangeNotice::Failed(error),
    };
    page(&app, &viewer, Some(&notice))
}

fn new_key(form: &SentForm) -> Result<NewKey, Text> {
    let scopes = form.get("scopes").split([',', ' ']).filter(|scope| !scope.is_empty());
    let scopes = scopes.map(str::parse).collect::<Result<Vec<Scope>, _>>().map_err(Text::from_english)?;
    Ok(NewKey { name: form.get("name").to_owned(), scopes, expires_in_days: days(form)? })
}

/// The number of days in a form. None if the field is empty.
fn days(form: &SentForm) -> Result<Option<u32>, Text> {
    match form.get("days") {
        "" => Ok(None),
        days => days.parse().map(Some).map_err(|_| text!("the days must be a whole number")),
    }
}

/// `POST /ui/keys/remove` revokes a key.
pub async fn remove_key(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    match keys::revoke(&app, form.get("id").to_owned()).await {
        Ok(()) => seal::see_other(PATH),
        Err((_, error)) => page(&app, &viewer, Some(&ChangeNotice::Failed(Text::from_english(error)))),
    }
}

/// `POST /ui/links` makes a share link.
pub async fn add_link(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let notice = match days(&form) {
        Ok(expires_in_days) => {
            let new = NewShareLink { account: form.get("account").to_owned(), expires_in_days };
            match share_links::create(&app, new).await {
                Ok((_, url)) => ChangeNotice::MadeLink(url),
                Err((_, error)) => ChangeNotice::Failed(Text::from_english(error)),
            }
        }
        Err(error) => ChangeNotice::Failed(error),
    };
    page(&app, &viewer, Some(&notice))
}

/// `POST /ui/links/remove` revokes a share link.
pub async fn remove_link(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    match share_links::revoke(&app, form.get("id").to_owned()).await {
        Ok(()) => seal::see_other(PATH),
        Err((_, error)) => page(&app, &viewer, Some(&ChangeNotice::Failed(Text::from_english(error)))),
    }
}
