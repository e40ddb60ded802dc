//! The page on which an account's operator lets a platform act for the account. The account's own secret proves who
//! decides; a right pre-auth code proves that the platform asked.

mod show;
mod target;

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
use system::secret::Secret;

use self::target::Target;
use super::super::{answer, applicant, connection::Peer, page::lang_of};
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
/// WeChat's own page, for platforms of its.
const REAL_PAGE: &str = "https://mp.weixin.qq.com/cgi-bin/componentloginpage";

/// Why the page cannot be used.
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
    /// In the metrics.
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

/// Why what was entered was not taken; the page stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// Which of the two it is, nobody is told.
    AccountOrSecret,
    /// The secret is right, and is not taken from there: `ip_allow`.
    Address(IpAddr),
    /// The secret is right, and `secret_frozen`.
    Frozen,
    NothingTicked,
}

impl Mistake {
    /// In the metrics and the log.
    fn reason(self) -> &'static str {
        match self {
            Mistake::AccountOrSecret => "account_or_secret",
            Mistake::Address(_) => "address",
            Mistake::Frozen => "secret_frozen",
            Mistake::NothingTicked => "nothing_ticked",
        }
    }
}

/// What the page is about: from the query, and later from the form. Not shown: it holds a code.
struct Asked {
    component: Arc<Platform>,
    redirect_uri: Target,
    pre_auth_code: String,
    code: Code,
    /// The account, as far as it is known.
    appid: String,
    ticked: Vec<u32>,
    lang: Lang,
}

/// Names and values of a query or form, a secret among them.
struct Values(Vec<(String, String)>);

impl Values {
    fn parse(text: &[u8]) -> Values {
        Values(form_urlencoded::parse(text).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// `/cgi-bin/componentloginpage`
pub async fn page(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let lang = lang_of(query, &parts.headers);
    match parts.method {
        Method::GET | Method::HEAD => open(&app, query, lang),
        Method::POST => match read_sharing(body, FORM_BYTES_MAX, FORM_TIME_MAX, &app.bodies.unproven).await {
            Ok(form) => decide(&app, &Values::parse(&form), &parts).await,
            Err(BodyError::Full) => obstacle(&app, Obstacle::Busy, lang),
            Err(_) => obstacle(&app, Obstacle::Form, lang),
        },
        _ => {
            let mut response =
                answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET, or POST of the page's form");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            response
        }
    }
}

fn open(app: &App, query: &str, lang: Lang) -> Response<Body> {
    let values = Values::parse(query.as_bytes());
    let component = app.components.get(values.get("component_appid"));
    if component.is_some_and(|component| component.config.role == Role::Receive) {
        return redirect(StatusCode::FOUND, &format!("{REAL_PAGE}?{query}"));
    }
    match asked(app, &values, lang) {
        Ok(mut asked) => {
            values.get("biz_appid").clone_into(&mut asked.appid);
            let wished = values.get("category_id_list").split('|').filter_map(|id| id.trim().parse().ok());
            asked.ticked = known(wished.chain([MESSAGES]));
            show::form(&asked, None)
        }
        Err(found) => obstacle(app, found, lang),
    }
}

/// Sets that there are, each once.
fn known(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ids: Vec<u32> =
        ids.filter(|id| permission_set(*id).is_some()).take(PERMISSION_SETS.len() * 2).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn asked(app: &App, values: &Values, lang: Lang) -> Result<Asked, Obstacle> {
    let component = app.components.get(values.get("component_appid"));
    let component = component.filter(|component| component.config.role == Role::Serve);
    let component = component.ok_or(Obstacle::UnknownPlatform)?;
    let redirect_uri = Target::parse(values.get("redirect_uri"))?;
    let pre_auth_code = values.get("pre_auth_code").to_owned();
    let (appid, now_s) = (&component.config.appid, app.clock.now_s());
    let code = app.components.check_code(CodeKind::PreAuth, &pre_auth_code, appid, now_s);
    let code = code.map_err(|code| {
        if code == ErrorCode::CODE_EXPIRED { Obstacle::CodeExpired } else { Obstacle::CodeInvalid }
    })?;
    if app.consent_tries.are_used_up(appid, &code) {
        return Err(Obstacle::TooManyTries);
    }
    Ok(Asked { component, redirect_uri, pre_auth_code, code, appid: String::new(), ticked: Vec::new(), lang })
}

async fn decide(app: &Arc<App>, values: &Values, parts: &Parts) -> Response<Body> {
    let lang = lang_of(&format!("lang={}", values.get("lang")), &parts.headers);
    let mut asked = match asked(app, values, lang) {
        Ok(asked) => asked,
        Err(found) => return obstacle(app, found, lang),
    };
    if values.get("decision") == "cancel" {
        app.metrics.consent("cancelled", "");
        return show::cancelled(&asked);
    }
    values.get("appid").trim().clone_into(&mut asked.appid);
    let ticked = values.0.iter().filter(|(name, _)| name == "permission_set");
    asked.ticked = known(ticked.filter_map(|(_, id)| id.parse().ok()));
    if asked.ticked.is_empty() {
        return show::form(&asked, Some(Mistake::NothingTicked));
    }
    // Counted before it is looked at, so that tries at the same time are counted, too.
    if !app.consent_tries.take(&asked.component.config.appid, &asked.code, app.clock.now_s()) {
        return obstacle(app, Obstacle::TooManyTries, lang);
    }
    let client = parts.extensions.get().copied();
    match check_secret(app, &asked.appid, &Secret::new(values.get("secret").trim()), client) {
        Ok(()) => approve(app, asked).await,
        Err(mistake) => {
            if mistake != Mistake::AccountOrSecret {
                app.consent_tries.give_back(&asked.component.config.appid, &asked.code);
            }
            refused(app, &asked, mistake)
        }
    }
}

/// What cannot go on, counted.
fn obstacle(app: &App, obstacle: Obstacle, lang: Lang) -> Response<Body> {
    app.metrics.consent("refused", obstacle.reason());
    show::obstacle(obstacle, lang)
}

/// The page again, counted and logged.
fn refused(app: &App, asked: &Asked, mistake: Mistake) -> Response<Body> {
    let (component, reason) = (&asked.component.config.appid, mistake.reason());
    app.metrics.consent("refused", reason);
    if app.refusals.may_log(component, reason, app.clock.now_s()) {
        // Anybody can enter anything as AppID; only with the right secret it is one of ours.
        match mistake {
            Mistake::Address(address) => tracing::warn!(
                component, account = asked.appid, %address,
                "on the consent page a secret was right, and its address is not in ip_allow of the account"
            ),
            Mistake::Frozen => tracing::warn!(
                component,
                account = asked.appid,
                "on the consent page a secret was right, and the account has secret_frozen = true"
            ),
            _ => tracing::warn!(component, "on the consent page an AppID or AppSecret was wrong"),
        }
    }
    show::form(asked, Some(mistake))
}

/// An account that there is not takes as long as a wrong secret. What limits the secret elsewhere limits it here, and only
/// who has it is told.
fn check_secret(app: &App, appid: &str, secret: &Secret, client: Option<Peer>) -> Result<(), Mistake> {
    let account = app.accounts.get(appid);
    let nobody = Secret::new("0123456789abcdef0123456789abcdef");
    let right = account.as_ref().map_or(&nobody, |account| &account.config.secret);
    let is_right = right.is(secret.reveal());
    let account = account.filter(|_| is_right).ok_or(Mistake::AccountOrSecret)?;
    if !applicant::is_allowed(&account.config, client) {
        let address = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Peer::address);
        return Err(Mistake::Address(address));
    }
    if account.config.secret_frozen { Err(Mistake::Frozen) } else { Ok(()) }
}

async fn approve(app: &Arc<App>, asked: Asked) -> Response<Body> {
    let approval = Approval {
        component: asked.component.config.appid.clone(),
        account: asked.appid.clone(),
        permission_sets: asked.ticked.clone(),
        pre_auth_code: Some(asked.pre_auth_code.clone()),
    };
    match push::authorize(app, approval).await {
        Ok(auth_code) => {
            let expires_in = CodeKind::Auth.life_s().to_string();
            let answer = [("auth_code", auth_code.as_str()), ("expires_in", expires_in.as_str())];
            app.metrics.consent("approved", "");
            redirect(StatusCode::SEE_OTHER, &asked.redirect_uri.with(answer))
        }
        Err(PlatformError::Refused(ErrorCode::INVALID_APPID)) => {
            refused(app, &asked, Mistake::AccountOrSecret)
        }
        Err(PlatformError::Refused(_)) => obstacle(app, Obstacle::CodeExpired, asked.lang),
        Err(error) => {
            tracing::error!(%error, "an approval could not be kept");
            obstacle(app, Obstacle::NotDurable, asked.lang)
        }
    }
}

fn redirect(status: StatusCode, target: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::try_from(target) else {
        return answer::text(StatusCode::BAD_REQUEST, "the address cannot stand in a header");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
