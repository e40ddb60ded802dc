//! Records calls that were answered with an error, for `rid/get`. A handler attaches a [`CallContext`] to its answer:
//! the owner of the call and its body. The server records the rest.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response, Uri, request::Parts},
};
use bytes::Bytes;
use datacube::ErrorCode;
use system::secret::Secret;
use tokio::time::Instant;

use super::{
    answer::ErrorAnswer,
    caller::{CallFailure, Caller, calling_platform},
    connection::Peer,
};
use crate::{
    accounts::{platform_issuer::Platform, registry::ServedAccount},
    http::{
        error_log::{LoggedCall, LoggedError, MadeBy, redaction},
        state::App,
    },
};

/// The owner of a call, who may read it later.
#[derive(Clone, Debug)]
enum ErrorOwner {
    /// An account, and the platform that calls for it.
    Account(Arc<ServedAccount>, Option<String>),
    Platform(Arc<Platform>),
}

impl ErrorOwner {
    fn appid(&self) -> &str {
        match self {
            ErrorOwner::Account(account, _) => &account.config.appid,
            ErrorOwner::Platform(platform) => &platform.config.appid,
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        match self {
            ErrorOwner::Account(account, _) => {
                [&account.config.secret].into_iter().chain(&account.config.upstream_secret).collect()
            }
            ErrorOwner::Platform(platform) => vec![&platform.config.secret],
        }
    }

    fn platform(&self) -> Option<&str> {
        match self {
            ErrorOwner::Account(_, platform) => platform.as_deref(),
            ErrorOwner::Platform(_) => None,
        }
    }
}

/// What a handler knows of a call. It is attached to the error answer.
#[derive(Clone, Debug)]
pub struct CallContext {
    owner: Option<ErrorOwner>,
    made_by: MadeBy,
    /// The request body; secrets are removed when the call is recorded.
    pub body: Bytes,
    /// The path to record, if the call came on another path, such as a cloud call.
    pub path: Option<String>,
}

impl CallContext {
    fn new(owner: Option<ErrorOwner>, is_proven: bool, body: Bytes) -> CallContext {
        let made_by = if is_proven { MadeBy::Owner } else { MadeBy::Others };
        CallContext { owner, made_by, body, path: None }
    }

    /// Context of a caller with a token. Calls of unknown callers are not recorded.
    pub fn of_caller(app: &App, caller: &Result<Caller, CallFailure>, parts: &Parts) -> CallContext {
        match caller {
            Ok(caller) => {
                // Calls of a platform, whose authorisation may have ended, must not displace the account's own calls.
                let is_account = caller.component.is_none() && !caller.has_real_token;
                let owner = ErrorOwner::Account(caller.account.clone(), caller.component.clone());
                CallContext::new(Some(owner), is_account, Bytes::new())
            }
            Err(failure) if failure.code == ErrorCode::COMPONENT_TOKEN => {
                let appid = calling_platform(app, parts.uri.query().unwrap_or_default()).ok();
                let platform = appid.and_then(|appid| app.platforms.get(&appid));
                CallContext::platform(platform, true, Bytes::new())
            }
            Err(_) => CallContext::new(None, false, Bytes::new()),
        }
    }

    /// Context of a caller who names an account and has proven nothing.
    pub fn unproven(account: Option<Arc<ServedAccount>>, body: Bytes) -> CallContext {
        CallContext::new(account.map(|account| ErrorOwner::Account(account, None)), false, body)
    }

    /// Context of a caller who has proven to be the account.
    pub fn proven(account: Arc<ServedAccount>, body: Bytes) -> CallContext {
        CallContext::new(Some(ErrorOwner::Account(account, None)), true, body)
    }

    /// Context of a call of a platform. It is proven if the call has the platform's token.
    pub fn platform(platform: Option<Arc<Platform>>, is_proven: bool, body: Bytes) -> CallContext {
        CallContext::new(platform.map(ErrorOwner::Platform), is_proven, body)
    }

    /// Attaches the context to an error answer.
    pub fn attach_to(self, mut response: Response<Body>) -> Response<Body> {
        if self.owner.is_some() {
            response.extensions_mut().insert(self);
        }
        response
    }
}

/// The parts of a request that are needed after its answer.
#[derive(Debug)]
pub struct ReceivedRequest {
    uri: Uri,
    peer: Peer,
    arrived: Instant,
}

impl ReceivedRequest {
    /// `arrived` is when the first byte of the request arrived.
    pub fn new<T>(request: &Request<T>, peer: Peer, arrived: Instant) -> ReceivedRequest {
        ReceivedRequest { uri: request.uri().clone(), peer, arrived }
    }

    /// What to record, if the call was answered with an error and its owner is known.
    pub fn logged_error(self, app: &App, response: &Response<Body>) -> Option<LoggedError> {
        let extensions = response.extensions();
        let (error, context) = (extensions.get::<ErrorAnswer>()?, extensions.get::<CallContext>()?);
        let CallContext { owner: Some(owner), made_by, .. } = context else { return None };
        Some(LoggedError {
            rid: error.rid,
            made_by: *made_by,
            appid: owner.appid().to_owned(),
            platform: owner.platform().map(ToOwned::to_owned),
            call: self.call(app, error, context),
        })
    }

    fn call(self, app: &App, error: &ErrorAnswer, context: &CallContext) -> LoggedCall {
        let took = self.arrived.elapsed();
        let took_s = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
        let own = context.owner.iter().flat_map(ErrorOwner::secrets).map(Secret::reveal);
        let known = redaction::KnownSecrets::new(self.uri.query(), &context.body, own);
        LoggedCall {
            invoke_time: app.clock.now_s().saturating_sub(took_s),
            cost_in_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            request_url: match &context.path {
                Some(path) => path.clone(),
                None => redaction::url(self.uri.path(), self.uri.query(), &known),
            },
            request_body: redaction::request_body(&context.body, &known),
            response_body: redaction::response_body(&error.body),
            client_ip: self.peer.address().to_string(),
        }
    }
}
