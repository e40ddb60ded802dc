//! Keeps calls that were answered with an error, for `rid/get`. A handler says whose call it was and what its body held
//! (see [`Told`]); all else is seen at the edge, so no handler writes anything.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response, Uri},
};
use bytes::Bytes;
use tokio::time::Instant;

use super::{answer::ErrorAnswer, caller::Caller, serve::Peer};
use crate::{
    accounts::Account,
    app::App,
    components::Component,
    refused_calls::{Call, Refused, Sort, redaction},
};

/// Whose a call is, and who may see it later.
#[derive(Clone, Debug)]
enum Owner {
    Account(Arc<Account>),
    Platform(Arc<Component>),
}

impl Owner {
    fn appid(&self) -> &str {
        match self {
            Owner::Account(account) => &account.config.appid,
            Owner::Platform(component) => &component.config.appid,
        }
    }
}

/// What a handler knows of a call. Goes with the response of a call that is refused.
#[derive(Clone, Debug)]
pub struct Told {
    owner: Option<Owner>,
    sort: Sort,
    /// What of the body may be kept, without its secrets.
    pub body: Bytes,
}

impl Told {
    /// Of somebody with a token; of nobody that is known nothing is kept.
    pub fn of<E>(caller: &Result<Caller, E>) -> Told {
        let caller = caller.as_ref().ok();
        // A platform, whose authorisation may be over, must not push out what the account itself asks for.
        let is_account = caller.is_some_and(|caller| caller.component.is_none() && !caller.has_real_token);
        let sort = if is_account { Sort::Proven } else { Sort::Unproven };
        Told { owner: caller.map(|caller| Owner::Account(caller.account.clone())), sort, body: Bytes::new() }
    }

    /// Of somebody who names an account and has shown nothing.
    pub fn unproven(account: Option<Arc<Account>>, body: Bytes) -> Told {
        Told { owner: account.map(Owner::Account), sort: Sort::Unproven, body }
    }

    /// The same once it is shown.
    pub fn proven(account: Arc<Account>, body: Bytes) -> Told {
        Told { owner: Some(Owner::Account(account)), sort: Sort::Proven, body }
    }

    /// Of a platform, as soon as the call names one; proven by its token.
    pub fn platform(component: Option<Arc<Component>>, is_proven: bool, body: Bytes) -> Told {
        let sort = if is_proven { Sort::Proven } else { Sort::Unproven };
        Told { owner: component.map(Owner::Platform), sort, body }
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
        if let Told { owner: Some(owner), sort, body } = told {
            app.refused_calls.keep(*sort, || Refused {
                rid: error.rid,
                sort: *sort,
                appid: owner.appid().to_owned(),
                call: self.call(app, error, body),
            });
        }
    }

    fn call(self, app: &App, error: &ErrorAnswer, body: &[u8]) -> Call {
        let took = self.arrived.elapsed();
        let took_s = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
        Call {
            invoke_time: app.clock.now_s().saturating_sub(took_s),
            cost_in_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            request_url: redaction::url(self.uri.path(), self.uri.query()),
            request_body: redaction::request_body(body),
            response_body: redaction::response_body(&error.body),
            client_ip: self.peer.address().to_string(),
        }
    }
}
