//! The page on which an account's operator lets a platform act for the account. The account's secret proves the operator's
//! right to decide. The pre-auth code proves that the platform asked.

mod redirect_target;
mod view;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, Response, StatusCode, header, request::Parts},
};
use datacube::ErrorCode;
use i18n::Lang;
use storage::store::NotDurable;
use system::secret::Secret;

use self::redirect_target::RedirectTarget;
use super::super::{answer, client_credentials, connection::Peer, page::lang_of};
use super::push;
use crate::{
    accounts::platform_issuer::{
        Approval, MESSAGES, Platform, PlatformError,
        code::{Code, CodeKind},
        permission_set::{PERMISSION_SETS, permission_set},
    },
    config::Role,
    http::state::App,
    net::body::{BodyError, read_sharing},
};

const FORM_BYTES_MAX: usize = 64 << 10;
const FORM_TIME_MAX: Duration = Duration::from_secs(30);
/// WeChat's page, for platforms with role "receive".
const REAL_PAGE: &str = "https://mp.weixin.qq.com/cgi-bin/componentloginpage";

/// Why the page cannot be used with this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    UnknownPlatform,
    RedirectUri,
    RedirectUser,
    RedirectAnswer,
    CodeInvalid,
    CodeExpired,
    TooManyTries,
    NotDurable,
    Form,
    Busy,
}

impl Obstacle {
    /// The reason in the metrics.
    fn reason(self) -> &'static str {
        match self {
            Obstacle::UnknownPlatform => "unknown_component",
            Obstacle::RedirectUri | Obstacle::RedirectUser | Obstacle::RedirectAnswer => "redirect_uri",
            Obstacle::CodeInvalid => "code_invalid",
            Obstacle::CodeExpired => "code_expired",
            Obstacle::TooManyTries => "too_many_tries",
            Obstacle::NotDurable => "not_durable",
            Obstacle::Form => "form",
            Obstacle::Busy => "busy",
        }
    }
}

/// What is wrong with the entered values. The form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// AppID or AppSecret is wrong. The page must not say which.
    AccountOrSecret,
    /// The secret is right, but `ip_allow` excludes this address.
    Address(IpAddr),
    /// The secret is right, but `secret_frozen` is set.
    Frozen,
    NothingTicked,
}

impl Mistake {
    /// The reason in the metrics and the log.
    fn reason(self) -> &'static str {
        match self {
            Mistake::AccountOrSecret => "account_or_secret",
            Mistake::Address(_) => "address",
            Mistake::Frozen => "secret_frozen",
            Mistake::NothingTicked => "nothing_ticked",
        }
    }
}

/// A request for consent, from the query or the form. It has no `Debug`, because it holds a code.
struct ConsentRequest {
    platform: Arc<Platform>,
    redirect_uri: RedirectTarget,
    pre_auth_code: String,
    code: Code,
    /// The account as entered, or as the platform proposes it. May be empty.
    appid: String,
    ticked: Vec<u32>,
    lang: Lang,
}

/// Names and values of a query or form. They may include a secret, so there is no `Debug`.
struct FormValues(Vec<(String, String)>);

impl FormValues {
    fn parse(text: &[u8]) -> FormValues {
        FormValues(form_urlencoded::parse(text).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Answers `/cgi-bin/componentloginpage`.
pub async fn page(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let lang = lang_of(query, &parts.headers);
    match parts.method {
        Method::GET | Method::HEAD => show_form(&app, query, lang).await,
        Method::POST => match read_sharing(body, FORM_BYTES_MAX, FORM_TIME_MAX, &app.bodies.unproven).await {
            Ok(form) => decide(&app, &FormValues::parse(&form), &parts).await,
            Err(BodyError::Full) => obstacle(&app, Obstacle::Busy, lang),
            Err(_) => obstacle(&app, Obstacle::Form, lang),
        },
        _ => {
            let mut response =
                answer::plain_text(StatusCode::METHOD_NOT_ALLOWED, "GET, or POST of the page's form");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            response
        }
    }
}

async fn show_form(app: &App, query: &str, lang: Lang) -> Response<Body> {
    let values = FormValues::parse(query.as_bytes());
    let platform = app.platforms.get(values.get("component_appid"));
    if platform.is_some_and(|platform| platform.config.role == Role::Receive) {
        return redirect(StatusCode::FOUND, &format!("{REAL_PAGE}?{query}"));
    }
    match consent_request(app, &values, lang).await {
        Ok(mut consent) => {
            values.get("biz_appid").clone_into(&mut consent.appid);
            let wished = values.get("category_id_list").split('|').filter_map(|id| id.trim().parse().ok());
            consent.ticked = existing_sets(wished.chain([MESSAGES]));
            view::form(&consent, None)
        }
        Err(found) => obstacle(app, found, lang),
    }
}

/// The permission sets that exist, each once.
fn existing_sets(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ids: Vec<u32> =
        ids.filter(|id| permission_set(*id).is_some()).take(PERMISSION_SETS.len() * 2).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn consent_request(app: &App, values: &FormValues, lang: Lang) -> Result<ConsentRequest, Obstacle> {
    let platform = app.platforms.get(values.get("component_appid"));
    let platform = platform.filter(|platform| platform.config.role == Role::Serve);
    let platform = platform.ok_or(Obstacle::UnknownPlatform)?;
    let redirect_uri = RedirectTarget::parse(values.get("redirect_uri"))?;
    let pre_auth_code = values.get("pre_auth_code").to_owned();
    let (appid, now_s) = (&platform.config.appid, app.clock.now_s());
    let code = app.platforms.check_code(CodeKind::PreAuth, &pre_auth_code, appid, now_s);
    let code = code.map_err(|code| {
        if code == ErrorCode::CODE_EXPIRED { Obstacle::CodeExpired } else { Obstacle::CodeInvalid }
    })?;
    let are_used_up = app.consent_tries.are_used_up_in_all(appid, &code, &app.store).await;
    if are_used_up.map_err(|error| not_counted(&error))? {
        return Err(Obstacle::TooManyTries);
    }
    Ok(ConsentRequest {
        platform,
        redirect_uri,
        pre_auth_code,
        code,
        appid: String::new(),
        ticked: Vec::new(),
        lang,
    })
}

async fn decide(app: &Arc<App>, values: &FormValues, parts: &Parts) -> Response<Body> {
    let lang = lang_of(&format!("lang={}", values.get("lang")), &parts.headers);
    let mut consent = match consent_request(app, values, lang).await {
        Ok(consent) => consent,
        Err(found) => return obstacle(app, found, lang),
    };
    if values.get("decision") == "cancel" {
        app.metrics.consent("cancelled", "");
        return view::cancelled(&consent);
    }
    values.get("appid").trim().clone_into(&mut consent.appid);
    let ticked = values.0.iter().filter(|(name, _)| name == "permission_set");
    consent.ticked = existing_sets(ticked.filter_map(|(_, id)| id.parse().ok()));
    if consent.ticked.is_empty() {
        return view::form(&consent, Some(Mistake::NothingTicked));
    }
    // Count the try before checking the secret, so that concurrent tries are limited too.
    let (platform, now_s) = (&consent.platform.config.appid, app.clock.now_s());
    match app.consent_tries.take_of_all(platform, &consent.code, now_s, &app.store).await {
        Ok(true) => {}
        Ok(false) => return obstacle(app, Obstacle::TooManyTries, lang),
        Err(error) => return obstacle(app, not_counted(&error), lang),
    }
    let client = parts.extensions.get().copied();
    match check_secret(app, &consent.appid, &Secret::new(values.get("secret").trim()), client) {
        Ok(()) => approve(app, consent).await,
        Err(mistake) => {
            if mistake != Mistake::AccountOrSecret
                && let Err(error) =
                    app.consent_tries.give_back_of_all(platform, &consent.code, &app.store).await
            {
                tracing::warn!(%error, "a right secret counts as a wrong one for its code");
            }
            show_mistake(app, &consent, mistake)
        }
    }
}

/// The obstacle of a try that a shared store cannot count. The cause goes to the log.
fn not_counted(error: &NotDurable) -> Obstacle {
    tracing::error!(%error, "tries on the consent page cannot be counted");
    Obstacle::NotDurable
}

/// Counts an obstacle and shows it.
fn obstacle(app: &App, obstacle: Obstacle, lang: Lang) -> Response<Body> {
    app.metrics.consent("refused", obstacle.reason());
    view::obstacle(obstacle, lang)
}

/// Counts and logs a mistake, and shows the form again.
fn show_mistake(app: &App, consent: &ConsentRequest, mistake: Mistake) -> Response<Body> {
    let (platform, reason) = (&consent.platform.config.appid, mistake.reason());
    app.metrics.consent("refused", reason);
    if app.log_throttle.may_log(platform, reason, app.clock.now_s()) {
        // Anyone can enter any AppID. It is logged only if the secret was right.
        match mistake {
            Mistake::Address(address) => tracing::warn!(
                component = platform, account = consent.appid, %address,
                "consent page: the secret is right, but the address is not in the account's ip_allow"
            ),
            Mistake::Frozen => tracing::warn!(
                component = platform,
                account = consent.appid,
                "consent page: the secret is right, but the account has secret_frozen = true"
            ),
            _ => tracing::warn!(component = platform, "consent page: an AppID or AppSecret is wrong"),
        }
    }
    view::form(consent, Some(mistake))
}

/// Checks the account's secret, `ip_allow` and `secret_frozen`. An unknown account takes as long as a wrong secret. Only a
/// caller with the right secret learns about the limits.
fn check_secret(app: &App, appid: &str, secret: &Secret, client: Option<Peer>) -> Result<(), Mistake> {
    let account = app.accounts.get(appid);
    let nobody = Secret::new("0123456789abcdef0123456789abcdef");
    let right = account.as_ref().map_or(&nobody, |account| &account.config.secret);
    let is_right = right.matches(secret.reveal());
    let account = account.filter(|_| is_right).ok_or(Mistake::AccountOrSecret)?;
    if !client_credentials::is_allowed(&account.config, client) {
        let address = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Peer::address);
        return Err(Mistake::Address(address));
    }
    if account.config.secret_frozen { Err(Mistake::Frozen) } else { Ok(()) }
}

async fn approve(app: &Arc<App>, consent: ConsentRequest) -> Response<Body> {
    let approval = Approval {
        component: consent.platform.config.appid.clone(),
        account: consent.appid.clone(),
        permission_sets: consent.ticked.clone(),
        pre_auth_code: Some(consent.pre_auth_code.clone()),
    };
    match push::authorize(app, approval).await {
        Ok(auth_code) => {
            let expires_in = CodeKind::Auth.life_s().to_string();
            let answer = [("auth_code", auth_code.as_str()), ("expires_in", expires_in.as_str())];
            app.metrics.consent("approved", "");
            redirect(StatusCode::SEE_OTHER, &consent.redirect_uri.url_with(answer))
        }
        Err(PlatformError::Refused(ErrorCode::INVALID_APPID)) => {
            show_mistake(app, &consent, Mistake::AccountOrSecret)
        }
        Err(PlatformError::Refused(_)) => obstacle(app, Obstacle::CodeExpired, consent.lang),
        Err(error) => {
            tracing::error!(%error, "an approval could not be stored");
            obstacle(app, Obstacle::NotDurable, consent.lang)
        }
    }
}

fn redirect(status: StatusCode, target: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::try_from(target) else {
        return answer::plain_text(StatusCode::BAD_REQUEST, "the address cannot be written in a header");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
