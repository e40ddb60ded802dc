//! The gateway: every path of WeChat's interface that is not answered here goes on to WeChat, with the real token in
//! place of ours, streamed both ways (the contract, section 7).

mod answer_in;
mod copy;
mod head;
mod held;
mod path;
mod places;
mod replacing;
mod timely;

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts},
};
use bytes::Bytes;
use msgcube_client::ErrorCode;
use tokio::time::Instant;

use super::{
    answer,
    caller::{self, Caller, caller, failure, remembered},
    hint::Hint,
    serve::Peer,
};
use crate::{
    accounts::Account,
    app::App,
    clock::Stopwatch,
    outbound::cause,
    secret::Secret,
    upstream::{Failure, Upstream},
};

use answer_in::Looked;
pub use copy::ALL_BYTES_MAX as COPIES_BYTES_MAX;
use copy::Copy;
pub use places::Places;
use places::Whose;

/// How long nothing may move in either direction.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the body of a call may take in all if no token of ours is needed for it.
const UNPROVEN_BODY_MAX: Duration = Duration::from_secs(60);

/// Anything that no other route takes.
pub async fn fallback(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let Some(upstream) = app.upstream().filter(|_| !path::is_own(path)) else {
        return answer::own_error(StatusCode::NOT_FOUND, "no such path; see the README for those there are");
    };
    // Neither belongs to WeChat's interface; the one repeats the request, token and all, the other opens a tunnel.
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        return answer::own_error(StatusCode::METHOD_NOT_ALLOWED, "TRACE and CONNECT are not passed on");
    }
    if request.headers().get(&app.via.0) == Some(&app.via.1) {
        return loop_detected();
    }
    let is_of_users = path::is_of_users(path);
    let (parts, body) = request.into_parts();
    let is_wechats = remembered(&app, &parts).is_some();
    if is_wechats && caller::carries_ours(&app, &parts) {
        return answer::error(&app, ErrorCode::INVALID_CREDENTIAL, None);
    }
    if is_of_users || is_wechats {
        return pass(&app, &upstream, None, parts, body).await;
    }
    match caller(&app, &parts, app.clock.now_s()).and_then(by_itself) {
        Ok(caller) => {
            let account = caller.in_need_of_token();
            let call = Call { app: &app, upstream: &upstream, parts, account };
            call.pass(body).await.unwrap_or_else(|response| response)
        }
        Err(failure) => {
            app.metrics.passed_on("refused", Duration::ZERO);
            answer::error(&app, failure.code, failure.hint.as_ref())
        }
    }
}

/// Which permission set a path of WeChat's belongs to is not known here, so no platform gets further with what an account
/// gave it: the account's real token opens everything.
fn by_itself(caller: Caller) -> Result<Caller, caller::Failure> {
    if caller.component.is_none() {
        return Ok(caller);
    }
    let en = "a platform's token is good for the interfaces that msgcube answers itself; this path is passed on for accounts' own tokens only";
    let zh = "第三方平台的 token 只能用于 msgcube 自己应答的接口；此路径仅对公众号自己的 token 转发";
    Err(failure(ErrorCode::API_UNAUTHORIZED_TO_COMPONENT, en, zh))
}

/// A call that WeChat is to answer. Of an account whose real token takes the place of ours; or as it is, its token being
/// WeChat's own, or a user's.
pub async fn pass(
    app: &Arc<App>,
    upstream: &Arc<Upstream>,
    account: Option<Arc<Account>>,
    parts: Parts,
    body: impl Into<Body>,
) -> Response<Body> {
    let call = Call { app, upstream, parts, account };
    call.pass(body.into()).await.unwrap_or_else(|response| response)
}

/// What we passed on has come back: to pass it on again would never end.
pub fn loop_detected() -> Response<Body> {
    let error = "[upstream] base leads back to msgcube itself: name WeChat's address";
    answer::own_error(StatusCode::LOOP_DETECTED, error)
}

/// One of the seven about time of which nothing was counted: WeChat's own figures. Of an account whose real token takes
/// the place of ours, or with the caller's own.
pub async fn uncovered(
    app: &Arc<App>,
    upstream: &Arc<Upstream>,
    account: Option<Arc<Account>>,
    parts: Parts,
    body: Bytes,
) -> Response<Body> {
    let call = Call { app, upstream, parts, account };
    match call.pass(Body::from(body)).await {
        Ok(mut response) => {
            answer::add_hint(&mut response, Some(&Hint::new("answered by WeChat", "由微信返回")));
            response
        }
        Err(response) => response,
    }
}

/// A call on its way.
struct Call<'a> {
    app: &'a Arc<App>,
    upstream: &'a Arc<Upstream>,
    parts: Parts,
    /// None: it carries no token of ours.
    account: Option<Arc<Account>>,
}

/// What a try came to.
enum Tried {
    Answered(Response<Body>),
    /// WeChat refuses the token.
    TokenRefused(Response<Body>),
}

/// Why there is no answer.
enum Lost {
    Unreachable(String),
    TooSlow,
}

impl Call<'_> {
    /// WeChat's answer, or what is said in its place.
    async fn pass(&self, body: Body) -> Result<Response<Body>, Response<Body>> {
        let whose = self.whose();
        let time_max = (!matches!(whose, Whose::Known(_))).then_some(UNPROVEN_BODY_MAX);
        let Some(place) = self.app.gateway_places.take(whose, self.counted_as()) else {
            self.app.metrics.passed_on("full", Duration::ZERO);
            let error = "too many calls wait for WeChat already; try again later";
            return Err(answer::own_error(StatusCode::SERVICE_UNAVAILABLE, error));
        };
        let stopwatch = Stopwatch::start();
        // Only what carries a token is ever sent again.
        let budget = self.account.as_ref().map(|_| &self.app.gateway_copies);
        let (body, late) = timely::within(body, time_max);
        let copy = Copy::new(body, budget);
        let (result, response) = match self.try_twice(&copy).await {
            Ok(response) => ("answered", Ok(response.map(|body| held::body(body, place, IDLE_MAX)))),
            Err(_) if late.is_late() => ("too_slow", Err(upload_too_slow())),
            // The caller's own upload broke off: nobody is there to be told.
            Err(_) if copy.is_broken() => {
                ("caller_gone", Err(answer::own_error(StatusCode::BAD_REQUEST, "the body broke off")))
            }
            Err(failure) => (outcome(&failure), Err(failed(self.app, failure))),
        };
        self.app.metrics.passed_on(result, stopwatch.elapsed());
        response
    }

    /// Whose place it takes: the account's, also if its token goes on as it is.
    fn whose(&self) -> Whose {
        let (app, parts) = (self.app, &self.parts);
        let by_token = || caller(app, parts, app.clock.now_s()).ok().map(|caller| caller.account);
        let account = self.account.clone().or_else(by_token).map(|account| account.config.appid.clone());
        match account.or_else(|| remembered(app, parts).map(|whom| whom.component)) {
            Some(appid) => Whose::Known(appid),
            None if path::is_of_users(parts.uri.path()) => Whose::User,
            None => Whose::Unknown,
        }
    }

    /// What the share of the caller's address is counted by.
    fn counted_as(&self) -> Option<IpAddr> {
        let peer = self.parts.extensions.get::<Peer>()?;
        self.app.config.get().proxies.counted_as(peer.address())
    }

    /// Once, and again with another token if WeChat refuses the first and the body was small enough to be kept.
    async fn try_twice(&self, copy: &Copy) -> Result<Response<Body>, Failure> {
        let Some(account) = &self.account else {
            return self.attempt(copy.stream(), None, copy).await.map(Tried::response);
        };
        let token = self.upstream.token(account).await?.token;
        let refused = match self.attempt(copy.stream(), Some(&token), copy).await? {
            Tried::Answered(response) => return Ok(response),
            Tried::TokenRefused(response) => response,
        };
        // An older token was refused while another came: the newer one is tried, and nothing is fetched.
        let newer = match self.upstream.after_refusal(account, &token).await {
            Ok(newer) => newer,
            Err(failure) => {
                tracing::warn!(appid = account.config.appid, %failure, "WeChat refuses the real token, and gives no other");
                None
            }
        };
        let Some(newer) = newer else { return Ok(refused) };
        match copy.whole(IDLE_MAX).await {
            Some(again) => self.attempt(Body::from(again), Some(&newer), copy).await.map(Tried::response),
            None => Ok(refused),
        }
    }

    async fn attempt(&self, body: Body, token: Option<&Secret>, copy: &Copy) -> Result<Tried, Failure> {
        let request = head::request(&self.parts, self.upstream, token, body).map(|mut request| {
            request.headers_mut().insert(self.app.via.0.clone(), self.app.via.1.clone());
            request
        });
        let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let response = match self.head_of(self.upstream.client.send(request), copy).await {
            Ok(response) => response,
            Err(Lost::Unreachable(why)) => return Err(Failure::Unreachable(why)),
            Err(Lost::TooSlow) => return Ok(Tried::Answered(too_slow())),
        };
        let (mut parts, content) = response.into_parts();
        head::strip(&mut parts.headers);
        self.hide_real_token(&mut parts.headers, token);
        let content = timely::body(Body::new(content), IDLE_MAX);
        let (body, is_refused) = match answer_in::look(&parts, content).await {
            Looked::Broken => return Err(Failure::Unreachable("the answer broke off".to_owned())),
            Looked::Streamed(first, rest) => {
                let body = timely::rejoined(first, rest);
                (self.streamed_without_real_token(&mut parts, body, token), false)
            }
            Looked::Whole(bytes, code) => {
                let is_refused = code.is_some_and(answer_in::refuses_token);
                (Body::from(self.without_real_token(&mut parts, bytes, token)), is_refused)
            }
        };
        let response = Response::from_parts(parts, body);
        Ok(if is_refused && token.is_some() {
            Tried::TokenRefused(response)
        } else {
            Tried::Answered(response)
        })
    }

    /// Waits for the head of the answer for as long as the body still moves.
    async fn head_of<T>(
        &self,
        sent: impl Future<Output = Result<T, hyper_util::client::legacy::Error>>,
        copy: &Copy,
    ) -> Result<T, Lost> {
        let mut sent = std::pin::pin!(sent);
        loop {
            let moved = copy.moved();
            let until = Instant::now() + IDLE_MAX;
            match tokio::time::timeout_at(until, &mut sent).await {
                Ok(answer) => return answer.map_err(|error| Lost::Unreachable(cause(&error))),
                Err(_) if copy.moved() == moved => return Err(Lost::TooSlow),
                Err(_) => {}
            }
        }
    }

    /// Some answers repeat the request, the token in it: the caller sees its own again.
    fn without_real_token(
        &self,
        parts: &mut axum::http::response::Parts,
        bytes: Bytes,
        token: Option<&Secret>,
    ) -> Bytes {
        match self.callers_own(&bytes, token) {
            Some(replaced) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                replaced
            }
            None => bytes,
        }
    }

    /// The same of an answer that is not kept.
    fn streamed_without_real_token(
        &self,
        parts: &mut axum::http::response::Parts,
        body: Body,
        token: Option<&Secret>,
    ) -> Body {
        match token.filter(|_| self.hides_real_token() && answer_in::is_text(parts)) {
            Some(token) => {
                parts.headers.remove(header::CONTENT_LENGTH);
                replacing::body(body, token.clone(), Secret::new(self.own_token()))
            }
            None => body,
        }
    }

    fn hides_real_token(&self) -> bool {
        !self.upstream.config.expose_real_token
    }

    fn own_token(&self) -> Cow<'_, str> {
        caller::token_in(self.parts.uri.query().unwrap_or("")).unwrap_or_default()
    }

    /// The same in headers, such as where a redirect leads.
    fn hide_real_token(&self, headers: &mut HeaderMap, token: Option<&Secret>) {
        for value in headers.values_mut() {
            if let Some(replaced) = self.callers_own(value.as_bytes(), token) {
                *value = HeaderValue::from_bytes(&replaced).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }

    /// The bytes with the caller's own token in place of the real one; none if that is not in them.
    fn callers_own(&self, bytes: &[u8], token: Option<&Secret>) -> Option<Bytes> {
        let token = token.filter(|_| self.hides_real_token())?;
        answer_in::replaced(bytes, token.reveal().as_bytes(), self.own_token().as_bytes())
    }
}

/// No answer of WeChat's: its refusal of a token as it came, or that it cannot be reached.
pub fn failed(app: &App, failure: Failure) -> Response<Body> {
    match failure {
        Failure::Answered { status, content_type, body } => {
            if app.refusals.may_log("", "no_real_token", app.clock.now_s()) {
                let said = String::from_utf8_lossy(&body).into_owned();
                tracing::warn!(
                    said,
                    "WeChat gives no token; check the account's upstream_secret (or secret)"
                );
            }
            let mut response = answer::json(body);
            *response.status_mut() = status;
            if let Some(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
        Failure::Unreachable(why) => {
            let base = app.upstream().map_or(String::new(), |upstream| upstream.config.base.to_string());
            if app.refusals.may_log("", "upstream_unreachable", app.clock.now_s()) {
                tracing::warn!(base, why, "WeChat cannot be reached; calls are answered with 502");
            }
            let error = format!("{base} cannot be reached; see the log of msgcube");
            answer::own_error(StatusCode::BAD_GATEWAY, error)
        }
        Failure::NoToken(why) => {
            if app.refusals.may_log("", "token_server", app.clock.now_s()) {
                tracing::warn!(why, "the token server gives no token; calls are answered with 502");
            }
            answer::own_error(StatusCode::BAD_GATEWAY, format!("{why}; see [upstream] token_url"))
        }
    }
}

fn outcome(failure: &Failure) -> &'static str {
    match failure {
        Failure::Answered { .. } | Failure::NoToken(_) => "no_real_token",
        Failure::Unreachable(_) => "unreachable",
    }
}

fn upload_too_slow() -> Response<Body> {
    let seconds = UNPROVEN_BODY_MAX.as_secs();
    let error =
        format!("the body did not arrive within {seconds} s, as it has to without a token of msgcube's");
    answer::own_error(StatusCode::REQUEST_TIMEOUT, error)
}

fn too_slow() -> Response<Body> {
    let seconds = IDLE_MAX.as_secs();
    answer::own_error(StatusCode::GATEWAY_TIMEOUT, format!("WeChat did not answer within {seconds} s"))
}

impl Tried {
    fn response(self) -> Response<Body> {
        match self {
            Tried::Answered(response) | Tried::TokenRefused(response) => response,
        }
    }
}
