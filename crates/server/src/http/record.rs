//! Keeps calls that were answered with an error, for `rid/get`. A handler says whose call it was and what its body held
//! (see [`Told`]); all else is seen at the edge, so no handler writes anything.

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
    caller::{Caller, Failure, platform},
    connection::Peer,
};
use crate::{
    accounts::{platform_issuer::Platform, registry::Account},
    http::{
        error_log::{Call, MadeBy, Refused, redaction},
        state::App,
    },
};

/// Whose a call is, and who may see it later.
#[derive(Clone, Debug)]
enum Owner {
    /// With the platform that calls in its name.
    Account(Arc<Account>, Option<String>),
    Platform(Arc<Platform>),
}

impl Owner {
    fn appid(&self) -> &str {
        match self {
            Owner::Account(account, _) => &account.config.appid,
            Owner::Platform(component) => &component.config.appid,
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        match self {
            Owner::Account(account, _) => {
                [&account.config.secret].into_iter().chain(&account.config.upstream_secret).collect()
            }
            Owner::Platform(component) => vec![&component.config.secret],
        }
    }

    fn platform(&self) -> Option<&str> {
        match self {
            Owner::Account(_, platform) => platform.as_deref(),
            Owner::Platform(_) => None,
        }
    }
}

/// What a handler knows of a call. Goes with the response of a call that is refused.
#[derive(Clone, Debug)]
pub struct Told {
    owner: Option<Owner>,
    made_by: MadeBy,
    /// What of the body may be kept, without its secrets.
    pub body: Bytes,
    /// The path that was meant, where the call came by another.
    pub path: Option<String>,
}

impl Told {
    fn new(owner: Option<Owner>, is_proven: bool, body: Bytes) -> Told {
        let made_by = if is_proven { MadeBy::Owner } else { MadeBy::Others };
        Told { owner, made_by, body, path: None }
    }

    /// Of somebody with a token; of nobody that is known nothing is kept.
    pub fn of(app: &App, caller: &Result<Caller, Failure>, parts: &Parts) -> Told {
        match caller {
            Ok(caller) => {
                // A platform, whose authorisation may be over, must not push out what the account itself asks for.
                let is_account = caller.component.is_none() && !caller.has_real_token;
                let owner = Owner::Account(caller.account.clone(), caller.component.clone());
                Told::new(Some(owner), is_account, Bytes::new())
            }
            Err(failure) if failure.code == ErrorCode::COMPONENT_TOKEN => {
                let appid = platform(app, parts.uri.query().unwrap_or_default()).ok();
                let component = appid.and_then(|appid| app.components.get(&appid));
                Told::platform(component, true, Bytes::new())
            }
            Err(_) => Told::new(None, false, Bytes::new()),
        }
    }

    /// Of somebody who names an account and has shown nothing.
    pub fn unproven(account: Option<Arc<Account>>, body: Bytes) -> Told {
        Told::new(account.map(|account| Owner::Account(account, None)), false, body)
    }

    /// The same once it is shown.
    pub fn proven(account: Arc<Account>, body: Bytes) -> Told {
        Told::new(Some(Owner::Account(account, None)), true, body)
    }

    /// Of a platform, as soon as the call names one; proven by its token.
    pub fn platform(component: Option<Arc<Platform>>, is_proven: bool, body: Bytes) -> Told {
        Told::new(component.map(Owner::Platform), is_proven, body)
    }

    /// Lays it beside the answer.
    pub fn beside(self, mut response: Response<Body>) -> Response<Body> {
        if self.owner.is_some() {
            response.extensions_mut().insert(self);
        }
        response
    }
}

/// A request as it came in.
#[derive(Debug)]
pub struct Asked {
    uri: Uri,
    peer: Peer,
    arrived: Instant,
}

impl Asked {
    pub fn new<T>(request: &Request<T>, peer: Peer, arrived: Instant) -> Asked {
        Asked { uri: request.uri().clone(), peer, arrived }
    }

    /// Keeps the call, if it was answered with an error and its account is known.
    pub fn keep(self, app: &App, response: &Response<Body>) {
        let extensions = response.extensions();
        let (Some(error), Some(told)) = (extensions.get::<ErrorAnswer>(), extensions.get::<Told>()) else {
            return;
        };
        if let Told { owner: Some(owner), made_by, .. } = told {
            let refused = Refused {
                rid: error.rid,
                made_by: *made_by,
                appid: owner.appid().to_owned(),
                platform: owner.platform().map(ToOwned::to_owned),
                call: self.call(app, error, told),
            };
            app.refused_calls.keep(refused, app.clock.now_s());
        }
    }

    fn call(self, app: &App, error: &ErrorAnswer, told: &Told) -> Call {
        let took = self.arrived.elapsed();
        let took_s = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
        let own = told.owner.iter().flat_map(Owner::secrets).map(Secret::reveal);
        let known = redaction::Known::new(self.uri.query(), &told.body, own);
        Call {
            invoke_time: app.clock.now_s().saturating_sub(took_s),
            cost_in_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            request_url: match &told.path {
                Some(path) => path.clone(),
                None => redaction::url(self.uri.path(), self.uri.query(), &known),
            },
            request_body: redaction::request_body(&told.body, &known),
            response_body: redaction::response_body(&error.body),
            client_ip: self.peer.address().to_string(),
        }
    }
}
