//! `/ui/keys`: an admin makes and revokes API keys and share links.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, Uri},
};
use i18n::{Text, text};
use pages::{
    AccountName, BeijingTime, JustMade, KeyForm, KeyRow, KeysPage, NavEntry, ShareLinkForm, ShareLinkRow,
    ShownSecret,
};

use super::{
    super::admin_api::{
        keys::{self, NewKey},
        share_links::{self, NewShareLink},
    },
    draw,
    guard::{SentForm, admin_change},
    seal,
    viewer::Viewer,
};
use crate::{
    auth::{
        api_keys::{ApiKey, Scope},
        share_links::ShareLink,
    },
    http::state::App,
};

const PATH: &str = "/ui/keys";

/// `GET /ui/keys`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    if viewer.is_admin() {
        draw_page(&app, &viewer, &uri, KeysPage::default())
    } else {
        draw::admin_only(&app, &viewer, &uri)
    }
}

/// Draws `page` with all keys and links.
fn draw_page(app: &App, viewer: &Viewer, uri: &Uri, page: KeysPage) -> Response<Body> {
    let now_s = app.clock.now_s();
    let keys = app.api_keys.all().into_iter().map(|key| key_row(key, now_s)).collect();
    let links = app.share_links.all().into_iter().map(|link| link_row(app, link, now_s)).collect();
    let frame = draw::frame(app, viewer, uri, Some(NavEntry::Keys));
    draw::html(StatusCode::OK, pages::keys(&frame, &KeysPage { keys, links, ..page }))
}

fn key_row(key: ApiKey, now_s: i64) -> KeyRow {
    KeyRow {
        scopes: key.scopes.iter().map(Scope::to_string).collect(),
        made: BeijingTime::from_unix_s(key.created_s),
        ends: key.expires_s.map(BeijingTime::from_unix_s),
        is_over: key.expires_s.is_some_and(|expires_s| now_s >= expires_s),
        id: key.id,
        name: key.name,
    }
}

fn link_row(app: &App, link: ShareLink, now_s: i64) -> ShareLinkRow {
    let name = app.accounts.get(&link.account).map(|account| account.config.name.clone());
    ShareLinkRow {
        is_over: link.is_over(now_s),
        made: BeijingTime::from_unix_s(link.created_s),
        ends: BeijingTime::from_unix_s(link.expires_s),
        id: link.id,
        account: AccountName { appid: link.account, name: name.unwrap_or_default() },
    }
}

/// `POST /ui/keys` makes a key.
pub async fn add_key(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let made = match new_key(&form) {
        Ok(new) => keys::create(&app, new).await.map_err(|(_, error)| Text::from_english(error)),
        Err(error) => Err(error),
    };
    let mut page = KeysPage::default();
    match made {
        Ok((_, key)) => page.made = Some(JustMade::Key(ShownSecret(key.reveal().to_owned()))),
        Err(error) => {
            let sent = |name| form.get(name).to_owned();
            page.key_form = KeyForm {
                name: sent("name"),
                scopes: sent("scopes"),
                days: sent("days"),
                error: Some(error),
            };
        }
    }
    draw_page(&app, &viewer, &Uri::from_static(PATH), page)
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
        Err((_, error)) => {
            let key_form = KeyForm { error: Some(Text::from_english(error)), ..KeyForm::default() };
            let page = KeysPage { key_form, ..KeysPage::default() };
            draw_page(&app, &viewer, &Uri::from_static(PATH), page)
        }
    }
}

/// `POST /ui/links` makes a share link.
pub async fn add_link(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let made = match days(&form) {
        Ok(expires_in_days) => {
            let new = NewShareLink { account: form.get("account").to_owned(), expires_in_days };
            share_links::create(&app, new).await.map_err(|(_, error)| Text::from_english(error))
        }
        Err(error) => Err(error),
    };
    let mut page = KeysPage::default();
    match made {
        Ok((_, url)) => page.made = Some(JustMade::Link(ShownSecret(url.reveal().to_owned()))),
        Err(error) => {
            let sent = |name| form.get(name).to_owned();
            page.link_form = ShareLinkForm { appid: sent("account"), days: sent("days"), error: Some(error) };
        }
    }
    draw_page(&app, &viewer, &Uri::from_static(PATH), page)
}

/// `POST /ui/links/remove` revokes a share link.
pub async fn remove_link(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, form) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    match share_links::revoke(&app, form.get("id").to_owned()).await {
        Ok(()) => seal::see_other(PATH),
        Err((_, error)) => {
            let link_form =
                ShareLinkForm { error: Some(Text::from_english(error)), ..ShareLinkForm::default() };
            let page = KeysPage { link_form, ..KeysPage::default() };
            draw_page(&app, &viewer, &Uri::from_static(PATH), page)
        }
    }
}
