//! The gateway: every path of WeChat's interface that is not answered here goes on to WeChat, with the real token in
//! place of ours, streamed both ways (the contract, section 7).

mod answer_in;
mod copy;
mod fields;
mod head;
mod held;
mod hidden;
mod instead;
mod ours;
mod outgoing;
mod path;
mod replacing;
mod spelled;
mod timely;
mod unpacked;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode, header, request::Parts, response},
};
use bytes::Bytes;
use datacube::ErrorCode;
use i18n::text;
use msgcube_client::http::HttpError;
use system::{clock::Stopwatch, secret::Secret};
use tokio::time::Instant;

use super::{
    answer,
    caller::{self, Caller, caller, failure, remembered},
    connection::Peer,
    hint::Hint,
};
use crate::http::concurrency_limit::Whose;
use crate::{
    accounts::registry::Account,
    forward::upstream_token::{Failure, UpstreamTokens},
    http::state::App,
};
use answer_in::Looked;
use hidden::Hidden;
pub use instead::failed;
use outgoing::Outgoing;

/// How long nothing may move in either direction.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the body of a call may take in all if no token of ours is needed for it.
const UNPROVEN_BODY_MAX: Duration = Duration::from_secs(60);

/// Anything that no other route takes.
pub async fn fallback(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let Some(upstream) = app.upstream().filter(|_| !path::is_own(path)) else {
        return answer::own_error(StatusCode::NOT_FOUND, "no such path; /openapi.json lists those there are");
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
    if is_of_users || is_wechats {
        return pass(&app, &upstream, None, parts, body).await;
    }
    match caller(&app, &parts, app.clock.now_s()).and_then(by_itself) {
        Ok(caller) => {
            let account = caller.in_need_of_token();
            let call = Call::new(&app, &upstream, account, parts);
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
    Err(failure(
        ErrorCode::API_UNAUTHORIZED_TO_COMPONENT,
        text!(
            "a platform's token is good for the interfaces that msgcube answers itself; this path is passed on for accounts' own tokens only"
        ),
    ))
}

/// A call that WeChat is to answer. Of an account whose real token takes the place of ours; or as it is, its token being
/// WeChat's own, or a user's.
pub async fn pass(
    app: &Arc<App>,
    upstream: &Arc<UpstreamTokens>,
    account: Option<Arc<Account>>,
    parts: Parts,
    body: impl Into<Body>,
) -> Response<Body> {
    let call = Call::new(app, upstream, account, parts);
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
    upstream: &Arc<UpstreamTokens>,
    account: Option<Arc<Account>>,
    parts: Parts,
    body: Bytes,
) -> Response<Body> {
    let call = Call::new(app, upstream, account, parts);
    match call.pass(Body::from(body)).await {
        Ok(mut response) => {
            answer::add_hint(&mut response, Some(&Hint::new(text!("answered by WeChat"))));
            response
        }
        Err(response) => response,
    }
}

/// A call on its way.
struct Call<'a> {
    app: &'a Arc<App>,
    upstream: &'a Arc<UpstreamTokens>,
    parts: Parts,
    /// None: it carries no token of ours.
    account: Option<Arc<Account>>,
    /// WeChat's secret that took the place of the caller's.
    swapped: ours::Swapped,
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

impl<'a> Call<'a> {
    fn new(
        app: &'a Arc<App>,
        upstream: &'a Arc<UpstreamTokens>,
        account: Option<Arc<Account>>,
        parts: Parts,
    ) -> Call<'a> {
        Call { app, upstream, parts, account, swapped: None }
    }

    /// WeChat's answer, or what is said in its place.
    async fn pass(mut self, body: Body) -> Result<Response<Body>, Response<Body>> {
        let whose = self.whose();
        let time_max = (!matches!(whose, Whose::Known(_))).then_some(UNPROVEN_BODY_MAX);
        let Some(place) = self.app.gateway_places.take(whose, self.counted_as()) else {
            self.app.metrics.passed_on("full", Duration::ZERO);
            let error = "too many calls wait for WeChat already; try again later";
            return Err(answer::own_error(StatusCode::SERVICE_UNAVAILABLE, error));
        };
        let stopwatch = Stopwatch::start();
        let (body, late) = timely::within(body, time_max);
        let (result, response) = match self.prepared(body).await {
            Err(_) if late.is_late() => ("too_slow", Err(upload_too_slow())),
            Err((result, response)) => (result, Err(response)),
            Ok(body) => match self.try_twice(&body).await {
                Ok(mut response) => {
                    let hint = instead::refuses_chunks(&response, &body);
                    answer::add_hint(&mut response, hint.as_ref());
                    ("answered", Ok(response.map(|body| held::body(body, place, IDLE_MAX))))
                }
                Err(_) if late.is_late() => ("too_slow", Err(upload_too_slow())),
                // The caller's own upload broke off, so no answer can reach it.
                Err(_) if body.is_broken() => ("caller_gone", Err(instead::lost(outgoing::Lost::Broken))),
                Err(failure) => (outcome(&failure), Err(failed(self.app, failure))),
            },
        };
        self.app.metrics.passed_on(result, stopwatch.elapsed());
        response
    }

    /// The body as it goes on, and the head without what stays here.
    async fn prepared(&mut self, body: Body) -> Result<Outgoing, (&'static str, Response<Body>)> {
        // Only what carries a token is ever sent again, and holds memory of its callers.
        let copies = self.account.as_ref().map(|_| &self.app.gateway_copies);
        let reading = copies.unwrap_or(&self.app.bodies.unproven);
        let read = outgoing::read(body, reading, copies, IDLE_MAX).await;
        let mut body = read.map_err(|error| ("caller_gone", instead::lost(error)))?;
        head::clean(&mut self.parts.headers);
        if body.is_whole() {
            self.parts.headers.remove(header::CONTENT_LENGTH);
        }
        let kept = ours::keep(self.app, &mut self.parts, body.searched(), self.account.is_some());
        self.swapped = kept.map_err(|refusal| ("refused", refusal.answer(self.app)))?;
        Ok(body)
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
    async fn try_twice(&self, body: &Outgoing) -> Result<Response<Body>, Failure> {
        let Some(account) = &self.account else {
            return self.attempt(body.stream(), None, body).await.map(Tried::response);
        };
        let token = self.upstream.token(account).await?.token;
        let refused = match self.attempt(body.stream(), Some(&token), body).await? {
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
        match body.whole(IDLE_MAX).await {
            Some(again) => self.attempt(Body::from(again), Some(&newer), body).await.map(Tried::response),
            None => Ok(refused),
        }
    }

    async fn attempt(&self, sent: Body, token: Option<&Secret>, body: &Outgoing) -> Result<Tried, Failure> {
        let request = head::request(&self.parts, self.upstream, token, sent).map(|mut request| {
            request.headers_mut().insert(self.app.via.0.clone(), self.app.via.1.clone());
            request
        });
        let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let response = match self.head_of(self.upstream.client.send(request), body).await {
            Ok(response) => response,
            Err(Lost::Unreachable(why)) => return Err(Failure::Unreachable(why)),
            Err(Lost::TooSlow) => return Ok(Tried::Answered(instead::too_slow(self.app, IDLE_MAX))),
        };
        let (mut parts, content) = response.into_parts();
        let (hidden, coding) = (self.hidden(token), unpacked::coding(&parts.headers));
        head::strip(&mut parts.headers);
        hidden.in_head(&mut parts);
        answer_in::sandbox(&mut parts);
        let content = timely::body(Body::new(content), IDLE_MAX);
        if hidden.is_empty() || answer_in::is_media(&parts) {
            return self.looked_at(parts, content, token, &Hidden::default()).await;
        }
        if parts.status == StatusCode::PARTIAL_CONTENT {
            return Ok(Tried::Answered(instead::piece(self.app)));
        }
        match unpacked::body(&coding, &mut parts, content) {
            Some(content) => self.looked_at(parts, content, token, &hidden).await,
            None => Ok(Tried::Answered(instead::packed(self.app, &coding))),
        }
    }

    /// Whether the answer refuses the token; what of it is hidden is replaced.
    async fn looked_at(
        &self,
        mut parts: response::Parts,
        content: Body,
        token: Option<&Secret>,
        hidden: &Hidden,
    ) -> Result<Tried, Failure> {
        let (body, is_refused) = match answer_in::look(&parts, content).await {
            Looked::Broken => return Err(Failure::Unreachable("the answer broke off".to_owned())),
            Looked::Streamed(first, rest) => {
                (hidden.in_stream(&mut parts, timely::rejoined(first, rest)), false)
            }
            Looked::Whole(bytes, code) => {
                let is_refused = code.is_some_and(answer_in::refuses_token);
                (Body::from(hidden.in_whole(&mut parts, bytes)), is_refused)
            }
        };
        let response = Response::from_parts(parts, body);
        Ok(if is_refused && token.is_some() {
            Tried::TokenRefused(response)
        } else {
            Tried::Answered(response)
        })
    }

    /// Some answers repeat the request, the token in it: the caller sees its own again.
    fn hidden(&self, token: Option<&Secret>) -> Hidden {
        let mut hidden = Hidden::default();
        if let Some(token) = token.filter(|_| !self.upstream.config.expose_real_token) {
            let own = caller::token_in(self.parts.uri.query().unwrap_or("")).unwrap_or_default();
            hidden.add(token, &own);
        }
        if let Some((real, own)) = &self.swapped {
            hidden.add(real, own.reveal());
        }
        hidden
    }

    /// Waits for the head of the answer for as long as the body still moves.
    async fn head_of<T>(
        &self,
        sent: impl Future<Output = Result<T, HttpError>>,
        body: &Outgoing,
    ) -> Result<T, Lost> {
        let mut sent = std::pin::pin!(sent);
        loop {
            let moved = body.moved();
            let until = Instant::now() + IDLE_MAX;
            match tokio::time::timeout_at(until, &mut sent).await {
                Ok(answer) => return answer.map_err(|error| Lost::Unreachable(error.causes())),
                Err(_) if body.moved() == moved => return Err(Lost::TooSlow),
                Err(_) => {}
            }
        }
    }
}

fn upload_too_slow() -> Response<Body> {
    let seconds = UNPROVEN_BODY_MAX.as_secs();
    let error =
        format!("the body did not arrive within {seconds} s, as it has to without a token of msgcube's");
    answer::own_error(StatusCode::REQUEST_TIMEOUT, error)
}

fn outcome(failure: &Failure) -> &'static str {
    match failure {
        Failure::Answered { .. } | Failure::NoToken(_) => "no_real_token",
        Failure::Unreachable(_) => "unreachable",
    }
}

impl Tried {
    fn response(self) -> Response<Body> {
        match self {
            Tried::Answered(response) | Tried::TokenRefused(response) => response,
        }
    }
}
