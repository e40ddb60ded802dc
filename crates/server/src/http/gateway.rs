//! The gateway: each path of WeChat's interface that msgcube does not answer itself goes on to WeChat, with the real token
//! in place of ours, streamed both ways (the contract, section 7).

mod answer_inspection;
mod credential_rewrite;
mod decodings;
mod decompression;
mod failure_answers;
mod fields;
mod head;
mod idle_timeout_body;
mod outgoing_body;
mod own_credentials;
mod path;
mod retry_copy;
mod token_rewriting_body;
mod write_timeout_body;

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
    caller::{self, Caller, caller, failure, upstream_token_owner},
    concurrency_limit::CallOwner,
    connection::Peer,
    hint::AnswerHint,
};
use crate::{
    accounts::registry::ServedAccount,
    forward::upstream_token::{TokenFailure, UpstreamTokens},
    http::state::App,
};
use answer_inspection::InspectedAnswer;
use credential_rewrite::CredentialRewrite;
pub use failure_answers::unavailable;
use outgoing_body::OutgoingBody;

/// How long no byte may move in either direction.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// Time limit for the whole body of a call without a token of ours.
const UNPROVEN_BODY_MAX: Duration = Duration::from_secs(60);

/// Answers each request that no other route takes.
pub async fn fallback(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let Some(upstream) = app.upstream().filter(|_| !path::is_own(path)) else {
        return answer::api_error(StatusCode::NOT_FOUND, "no such path; /openapi.json lists the paths");
    };
    // WeChat's interface uses neither. TRACE returns the request with its token, CONNECT opens a tunnel.
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        return answer::api_error(StatusCode::METHOD_NOT_ALLOWED, "TRACE and CONNECT are not passed on");
    }
    if request.headers().get(&app.via.0) == Some(&app.via.1) {
        return loop_detected();
    }
    let is_user_path = path::is_user_path(path);
    let (parts, body) = request.into_parts();
    let has_wechat_token = upstream_token_owner(&app, &parts).is_some();
    if is_user_path || has_wechat_token {
        return pass(&app, &upstream, None, parts, body).await;
    }
    match caller(&app, &parts, app.clock.now_s()).and_then(require_own_token) {
        Ok(caller) => {
            let account = caller.account_for_real_token();
            let call = GatewayCall::new(&app, &upstream, account, parts);
            call.pass(body).await.unwrap_or_else(|response| response)
        }
        Err(failure) => {
            app.metrics.passed_on("refused", Duration::ZERO);
            answer::wechat_error(&app, failure.code, failure.hint.as_ref())
        }
    }
}

/// Refuses a platform's token for an account. msgcube does not know which permission set a path of WeChat's needs, and the
/// account's real token would allow all of them.
fn require_own_token(caller: Caller) -> Result<Caller, caller::CallFailure> {
    if caller.component.is_none() {
        return Ok(caller);
    }
    Err(failure(
        ErrorCode::API_UNAUTHORIZED_TO_COMPONENT,
        text!(
            "a platform's token works only on interfaces that msgcube answers itself; this path is passed on only for an account's own token"
        ),
    ))
}

/// Passes a call on to WeChat. With an account, its real token replaces ours. Without one the call goes on unchanged,
/// because its token is WeChat's or a user's.
pub async fn pass(
    app: &Arc<App>,
    upstream: &Arc<UpstreamTokens>,
    account: Option<Arc<ServedAccount>>,
    parts: Parts,
    body: impl Into<Body>,
) -> Response<Body> {
    let call = GatewayCall::new(app, upstream, account, parts);
    call.pass(body.into()).await.unwrap_or_else(|response| response)
}

/// The answer to a request that this process itself sent. Passing it on again would never end.
pub fn loop_detected() -> Response<Body> {
    let error = "[upstream] base leads back to msgcube itself; set it to WeChat's address";
    answer::api_error(StatusCode::LOOP_DETECTED, error)
}

/// Passes on a call of the seven interfaces whose time msgcube does not cover, so that WeChat answers with its own figures.
/// The arguments are those of [`pass`].
pub async fn pass_uncovered(
    app: &Arc<App>,
    upstream: &Arc<UpstreamTokens>,
    account: Option<Arc<ServedAccount>>,
    parts: Parts,
    body: Bytes,
) -> Response<Body> {
    let call = GatewayCall::new(app, upstream, account, parts);
    match call.pass(Body::from(body)).await {
        Ok(mut response) => {
            answer::add_hint(&mut response, Some(&AnswerHint::new(text!("answered by WeChat"))));
            response
        }
        Err(response) => response,
    }
}

/// A call that goes on to WeChat.
struct GatewayCall<'a> {
    app: &'a Arc<App>,
    upstream: &'a Arc<UpstreamTokens>,
    parts: Parts,
    /// None if the call has no token of ours.
    account: Option<Arc<ServedAccount>>,
    /// WeChat's secret that replaced the caller's.
    swapped: own_credentials::SwappedSecret,
}

/// Result of one attempt.
enum AttemptResult {
    Answered(Response<Body>),
    /// WeChat refuses the token.
    TokenRefused(Response<Body>),
}

/// Why an attempt got no answer.
enum NoUpstreamAnswer {
    Unreachable(String),
    TooSlow,
}

impl<'a> GatewayCall<'a> {
    fn new(
        app: &'a Arc<App>,
        upstream: &'a Arc<UpstreamTokens>,
        account: Option<Arc<ServedAccount>>,
        parts: Parts,
    ) -> GatewayCall<'a> {
        GatewayCall { app, upstream, parts, account, swapped: None }
    }

    /// Passes the call on. Returns WeChat's answer.
    ///
    /// # Errors
    /// The answer that msgcube gives in place of WeChat's.
    async fn pass(mut self, body: Body) -> Result<Response<Body>, Response<Body>> {
        let owner = self.call_owner();
        let time_max = (!matches!(owner, CallOwner::Known(_))).then_some(UNPROVEN_BODY_MAX);
        let Some(permit) = self.app.gateway_limit.take(owner, self.caller_address()) else {
            self.app.metrics.passed_on("full", Duration::ZERO);
            let error = "too many calls are waiting for WeChat; try again later";
            return Err(answer::api_error(StatusCode::SERVICE_UNAVAILABLE, error));
        };
        let stopwatch = Stopwatch::start();
        let (body, late) = idle_timeout_body::with_deadline(body, time_max);
        let (result, response) = match self.prepare(body).await {
            Err(_) if late.is_late() => ("too_slow", Err(upload_too_slow())),
            Err((result, response)) => (result, Err(response)),
            Ok(body) => match self.send_with_retry(&body).await {
                Ok(mut response) => {
                    let hint = failure_answers::chunk_hint(&response, &body);
                    answer::add_hint(&mut response, hint.as_ref());
                    ("answered", Ok(response.map(|body| write_timeout_body::body(body, permit, IDLE_MAX))))
                }
                Err(_) if late.is_late() => ("too_slow", Err(upload_too_slow())),
                // The caller's upload broke off, so no answer can reach the caller.
                Err(_) if body.is_broken() => {
                    ("caller_gone", Err(failure_answers::body_failed(outgoing_body::BodyFailure::Broken)))
                }
                Err(failure) => (failure_metric(&failure), Err(unavailable(self.app, failure))),
            },
        };
        self.app.metrics.passed_on(result, stopwatch.elapsed());
        response
    }

    /// Reads or wraps the body, and removes from the head what must not go on.
    async fn prepare(&mut self, body: Body) -> Result<OutgoingBody, (&'static str, Response<Body>)> {
        // Only calls with a token of ours are ever resent, so only they use the budget for copies.
        let copies = self.account.as_ref().map(|_| &self.app.gateway_copy_budget);
        let reading = copies.unwrap_or(&self.app.bodies.unproven);
        let read = outgoing_body::read(body, reading, copies, IDLE_MAX).await;
        let mut body = read.map_err(|error| ("caller_gone", failure_answers::body_failed(error)))?;
        head::clean(&mut self.parts.headers);
        if body.is_whole() {
            self.parts.headers.remove(header::CONTENT_LENGTH);
        }
        let swapped = own_credentials::check_and_swap(
            self.app,
            &mut self.parts,
            body.searched(),
            self.account.is_some(),
        );
        self.swapped = swapped.map_err(|refusal| ("refused", refusal.answer(self.app)))?;
        Ok(body)
    }

    /// The owner whose permit the call takes. It is the account, even if its token goes on unchanged.
    fn call_owner(&self) -> CallOwner {
        let (app, parts) = (self.app, &self.parts);
        let by_token = || caller(app, parts, app.clock.now_s()).ok().map(|caller| caller.account);
        let account = self.account.clone().or_else(by_token).map(|account| account.config.appid.clone());
        match account.or_else(|| upstream_token_owner(app, parts).map(|owner| owner.component)) {
            Some(appid) => CallOwner::Known(appid),
            None if path::is_user_path(parts.uri.path()) => CallOwner::User,
            None => CallOwner::Unknown,
        }
    }

    /// The address or network that the caller is counted by. None if its address has no limit.
    fn caller_address(&self) -> Option<IpAddr> {
        let peer = self.parts.extensions.get::<Peer>()?;
        self.app.config.get().proxies.counted_as(peer.address())
    }

    /// Sends the call once, and again with a newer token if WeChat refuses the first one and a copy of the body was kept.
    async fn send_with_retry(&self, body: &OutgoingBody) -> Result<Response<Body>, TokenFailure> {
        let Some(account) = &self.account else {
            return self.attempt(body.stream(), None, body).await.map(AttemptResult::response);
        };
        let token = self.upstream.token(account).await?.token;
        let refused = match self.attempt(body.stream(), Some(&token), body).await? {
            AttemptResult::Answered(response) => return Ok(response),
            AttemptResult::TokenRefused(response) => response,
        };
        // If a newer token came in the meantime, this returns it without fetching another.
        let newer = match self.upstream.after_refusal(account, &token).await {
            Ok(newer) => newer,
            Err(failure) => {
                tracing::warn!(appid = account.config.appid, %failure, "WeChat refuses the real token and gives no new one");
                None
            }
        };
        let Some(newer) = newer else { return Ok(refused) };
        match body.whole(IDLE_MAX).await {
            Some(again) => {
                self.attempt(Body::from(again), Some(&newer), body).await.map(AttemptResult::response)
            }
            None => Ok(refused),
        }
    }

    async fn attempt(
        &self,
        sent: Body,
        token: Option<&Secret>,
        body: &OutgoingBody,
    ) -> Result<AttemptResult, TokenFailure> {
        let request = head::request(&self.parts, self.upstream, token, sent).map(|mut request| {
            request.headers_mut().insert(self.app.via.0.clone(), self.app.via.1.clone());
            request
        });
        let request = request.map_err(|error| TokenFailure::Unreachable(error.to_string()))?;
        let response = match self.wait_for_head(self.upstream.client.send(request), body).await {
            Ok(response) => response,
            Err(NoUpstreamAnswer::Unreachable(why)) => return Err(TokenFailure::Unreachable(why)),
            Err(NoUpstreamAnswer::TooSlow) => {
                return Ok(AttemptResult::Answered(failure_answers::too_slow(self.app, IDLE_MAX)));
            }
        };
        let (mut parts, content) = response.into_parts();
        let (rewrite, coding) = (self.credential_rewrite(token), decompression::coding(&parts.headers));
        head::clean_answer(&mut parts.headers);
        rewrite.rewrite_head(&mut parts);
        answer_inspection::sandbox(&mut parts);
        let content = idle_timeout_body::body(Body::new(content), IDLE_MAX);
        if rewrite.is_empty() || answer_inspection::is_media(&parts) {
            return self.inspect_answer(parts, content, token, &CredentialRewrite::default()).await;
        }
        if parts.status == StatusCode::PARTIAL_CONTENT {
            return Ok(AttemptResult::Answered(failure_answers::partial_content(self.app)));
        }
        match decompression::body(&coding, &mut parts, content) {
            Some(content) => self.inspect_answer(parts, content, token, &rewrite).await,
            None => Ok(AttemptResult::Answered(failure_answers::unsupported_coding(self.app, &coding))),
        }
    }

    /// Checks whether the answer refuses the token, and replaces WeChat's credentials in it.
    async fn inspect_answer(
        &self,
        mut parts: response::Parts,
        content: Body,
        token: Option<&Secret>,
        rewrite: &CredentialRewrite,
    ) -> Result<AttemptResult, TokenFailure> {
        let (body, is_refused) = match answer_inspection::inspect(&parts, content).await {
            InspectedAnswer::Broken => {
                return Err(TokenFailure::Unreachable("the answer was cut off".to_owned()));
            }
            InspectedAnswer::Streamed(first, rest) => {
                (rewrite.rewrite_stream(&mut parts, idle_timeout_body::chained(first, rest)), false)
            }
            InspectedAnswer::Whole(bytes, code) => {
                let is_refused = code.is_some_and(answer_inspection::refuses_token);
                (Body::from(rewrite.rewrite_bytes(&mut parts, bytes)), is_refused)
            }
        };
        let response = Response::from_parts(parts, body);
        Ok(if is_refused && token.is_some() {
            AttemptResult::TokenRefused(response)
        } else {
            AttemptResult::Answered(response)
        })
    }

    /// Some answers repeat the request with its token. The caller must see its own token there.
    fn credential_rewrite(&self, token: Option<&Secret>) -> CredentialRewrite {
        let mut rewrite = CredentialRewrite::default();
        if let Some(token) = token.filter(|_| !self.upstream.config.expose_real_token) {
            let own = caller::token_in(self.parts.uri.query().unwrap_or("")).unwrap_or_default();
            rewrite.add(token, &own);
        }
        if let Some((real, own)) = &self.swapped {
            rewrite.add(real, own.reveal());
        }
        rewrite
    }

    /// Waits for the head of the answer while the request body still moves.
    async fn wait_for_head<T>(
        &self,
        sent: impl Future<Output = Result<T, HttpError>>,
        body: &OutgoingBody,
    ) -> Result<T, NoUpstreamAnswer> {
        let mut sent = std::pin::pin!(sent);
        loop {
            let moved = body.moved();
            let until = Instant::now() + IDLE_MAX;
            match tokio::time::timeout_at(until, &mut sent).await {
                Ok(answer) => return answer.map_err(|error| NoUpstreamAnswer::Unreachable(error.causes())),
                Err(_) if body.moved() == moved => return Err(NoUpstreamAnswer::TooSlow),
                Err(_) => {}
            }
        }
    }
}

fn upload_too_slow() -> Response<Body> {
    let seconds = UNPROVEN_BODY_MAX.as_secs();
    let error = format!(
        "the body did not arrive within {seconds} s, the limit for calls without a token of msgcube's"
    );
    answer::api_error(StatusCode::REQUEST_TIMEOUT, error)
}

fn failure_metric(failure: &TokenFailure) -> &'static str {
    match failure {
        TokenFailure::Answered { .. } | TokenFailure::NoToken(_) => "no_real_token",
        TokenFailure::Unreachable(_) => "unreachable",
    }
}

impl AttemptResult {
    fn response(self) -> Response<Body> {
        match self {
            AttemptResult::Answered(response) | AttemptResult::TokenRefused(response) => response,
        }
    }
}
