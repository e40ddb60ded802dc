//! `/ui/connect`: an admin adds an account, and sees how far connecting it has come. In the query: `appid`.

mod address;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, Uri},
};
use counting::{Period, day_of};
use datacube::Granularity;
use i18n::{Text, text};
use pages::{
    AccountName, BeijingTime, ConnectForm, ConnectPage, ConnectSecrets, Connecting, FailedAddressCheck,
    NavEntry, NewestMessage, RefusedMessages, ShownSecret,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use storage::store::{Store, StoreError, statistics::Span};
use system::random::{self, RandomError};

use super::{
    super::admin_api::accounts::create,
    draw,
    guard::{SentForm, admin_change},
    seal,
    viewer::Viewer,
    words,
};
use crate::{
    accounts::{
        activity::ActivityReport,
        registry::{AccountError, ServedAccount, settings::Settings},
    },
    config::has_usual_form,
    figures::health::Health,
    http::state::App,
};

const PATH: &str = "/ui/connect";

/// `GET /ui/connect`.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, uri: Uri) -> Response<Body> {
    if !viewer.is_admin() {
        return draw::admin_only(&app, &viewer, &uri);
    }
    let query = uri.query().unwrap_or_default().as_bytes();
    let asked = form_urlencoded::parse(query).find(|(name, _)| name == "appid");
    let appid = asked.map(|(_, appid)| appid.trim().to_owned()).unwrap_or_default();
    let problem = match app.accounts.get(&appid) {
        Some(account) if account.keys.is_some() => {
            return draw_steps(&app, &viewer, &uri, account, None).await;
        }
        Some(_) => Some(text!(
            "A platform brings the messages of this account: it has no address of its own that WeChat could check."
        )),
        None if appid.is_empty() => None,
        None => Some(text!("There is no such account yet. Continue to add it.")),
    };
    draw_form(&app, &viewer, &uri, ConnectForm { appid, appid_error: problem, ..ConnectForm::default() })
}

/// `POST /ui/connect` adds an account. Its secrets are only in this answer.
pub async fn add(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (viewer, sent) = match admin_change(&app, request).await {
        Ok(change) => change,
        Err(response) => return response,
    };
    let appid = sent.get("appid");
    let path = format!("{PATH}?appid={}", utf8_percent_encode(appid, NON_ALPHANUMERIC));
    let refused =
        |error: FormError| draw_form(&app, &viewer, &Uri::from_static(PATH), form_with_error(&sent, error));
    if app.accounts.get(appid).is_some() {
        // Also what a browser sends that loads the answer again.
        return seal::see_other(&path);
    }
    if !has_usual_form(appid) {
        let error = text!("An AppID is wx and 16 hexadecimal digits. Copy it from WeChat's console.");
        return refused(FormError::Appid(error));
    }
    let settings = match new_settings(&sent) {
        Ok(settings) => settings,
        Err(error) => return refused(FormError::Appid(Text::from_english(error))),
    };
    match create(&app, settings.clone()).await {
        Ok(account) => {
            let uri = Uri::try_from(path).unwrap_or(Uri::from_static(PATH));
            draw_steps(&app, &viewer, &uri, account, Some(secrets(&settings))).await
        }
        Err(error) => refused(FormError::of(&error)),
    }
}

/// What is wrong in the form, by field.
enum FormError {
    Appid(Text),
    Name(Text),
    Relay(Text),
}

impl FormError {
    fn of(error: &AccountError) -> FormError {
        match error {
            AccountError::Flaw(flaw) if flaw.key == "name" => FormError::Name(Text::from_english(&flaw.what)),
            AccountError::Flaw(flaw) if flaw.key.contains("relay") => {
                FormError::Relay(Text::from_english(&flaw.what))
            }
            other => FormError::Appid(Text::from_english(other)),
        }
    }
}

fn form_with_error(sent: &SentForm, error: FormError) -> ConnectForm {
    let value = |name| sent.get(name).to_owned();
    let form = ConnectForm {
        appid: value("appid"),
        name: value("name"),
        relay_url: value("relay_url"),
        ..ConnectForm::default()
    };
    match error {
        FormError::Appid(error) => ConnectForm { appid_error: Some(error), ..form },
        FormError::Name(error) => ConnectForm { name_error: Some(error), ..form },
        FormError::Relay(error) => ConnectForm { relay_error: Some(error), ..form },
    }
}

/// The settings of a new account, with secrets of its own.
fn new_settings(sent: &SentForm) -> Result<Settings, RandomError> {
    let given = [
        ("name", Some(sent.get("name")).filter(|name| !name.is_empty()).map(Value::from)),
        ("relay", Some(sent.get("relay_url")).filter(|url| !url.is_empty()).map(|url| json!({ "url": url }))),
    ];
    let made: [(&str, Value); 5] = [
        ("appid", sent.get("appid").into()),
        ("secret", random::hexadecimal(16)?.into()),
        ("token", random::alphanumeric(32)?.into()),
        ("encoding_aes_key", random::encoding_aes_key()?.into()),
        ("require_encryption", true.into()),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Ok(made.into_iter().chain(given).map(|(name, value)| (name.to_owned(), value)).collect())
}

fn secrets(settings: &Settings) -> ConnectSecrets {
    let shown = |name: &str| ShownSecret(settings[name].as_str().unwrap_or_default().to_owned());
    ConnectSecrets {
        token: shown("token"),
        encoding_aes_key: shown("encoding_aes_key"),
        secret: shown("secret"),
    }
}

fn draw_form(app: &App, viewer: &Viewer, uri: &Uri, form: ConnectForm) -> Response<Body> {
    let frame = draw::frame(app, viewer, uri, Some(NavEntry::Connect));
    draw::html(StatusCode::OK, pages::connect(&frame, &ConnectPage { form, connecting: None }))
}

/// Draws the steps that follow the form.
async fn draw_steps(
    app: &Arc<App>,
    viewer: &Viewer,
    uri: &Uri,
    account: Arc<ServedAccount>,
    secrets: Option<ConnectSecrets>,
) -> Response<Body> {
    let (shared, now_s) = (app.clone(), app.clock.now_s());
    // The figures may have to be read from disk.
    let read = tokio::task::spawn_blocking(move || connecting(&shared, now_s, &account, secrets));
    let connecting = match read.await {
        Ok(Ok(connecting)) => connecting,
        Ok(Err(error)) => {
            app.log_store_failure(&error);
            return draw::store_failed(app, viewer, uri);
        }
        Err(_) => return draw::store_failed(app, viewer, uri),
    };
    let page = ConnectPage { form: ConnectForm::default(), connecting: Some(connecting) };
    let frame = draw::frame(app, viewer, uri, Some(NavEntry::Connect));
    draw::html(StatusCode::OK, pages::connect(&frame, &page))
}

fn connecting(
    app: &App,
    now_s: i64,
    account: &ServedAccount,
    secrets: Option<ConnectSecrets>,
) -> Result<Connecting, StoreError> {
    let Health { last_message_s, activity, coverage, .. } = Health::of(&app.store, now_s, account);
    let config = &account.config;
    let (callback_url, address_problem) =
        address::callback(app.config.get().public_url.as_ref(), &config.appid);
    let newest_message =
        last_message_s.map(|last_s| newest_message(&app.store, account, last_s)).transpose()?;
    Ok(Connecting {
        account: AccountName { appid: config.appid.clone(), name: config.name.clone() },
        callback_url,
        address_problem,
        is_encrypted: config.encoding_aes_key.is_some(),
        is_configured: account.is_configured,
        secrets,
        waiting_since: BeijingTime::from_unix_s(coverage.since.unwrap_or(app.started_s).min(now_s)),
        checked: activity.passed_check_s.map(BeijingTime::from_unix_s),
        failed_checks: failed_checks(&activity),
        refused: refused(&activity),
        newest_message,
    })
}

fn newest_message(store: &Store, account: &ServedAccount, last_s: i64) -> Result<NewestMessage, StoreError> {
    let day = Period::holding(Granularity::Day, day_of(last_s));
    let slice = store.slice(account.number, Span::Period(day))?;
    let kinds = Text::list(slice.by_kind.keys().map(|kind| words::kind(*kind)), text!(", "));
    Ok(NewestMessage { time: BeijingTime::from_unix_s(last_s), kinds })
}

fn failed_checks(activity: &ActivityReport) -> Vec<FailedAddressCheck> {
    let failed = activity.failed_checks.iter().map(|failed| {
        let (reason, remedy) = words::refusal(failed.reason);
        FailedAddressCheck { time: BeijingTime::from_unix_s(failed.time_s), reason, remedy }
    });
    failed.collect()
}

fn refused(activity: &ActivityReport) -> Vec<RefusedMessages> {
    let refused = activity.callbacks.refused.iter().map(|(name, count)| {
        let (reason, remedy) = words::refusal(name);
        RefusedMessages { count: *count, reason, remedy }
    });
    refused.collect()
}
