//! The installation to check: its configuration, its addresses, and requests to it.

use axum::http::{Request, Uri, header, request};
use msgcube_client::http::{Address, Trust};
use server::config::{AccountConfig, Config};
use system::clock::Clock;

use crate::probe::{ProbeError, Prober, TimedAnswer};

/// The installation to check.
#[derive(Debug)]
pub struct Installation {
    pub config: Config,
    pub clock: Clock,
    pub prober: Prober,
    /// Base URL where the server listens. None: not known, because the configuration has port 0.
    pub server: Option<Address>,
    /// Whether the server runs on this machine, by the configuration or by its address.
    pub server_is_here: bool,
    /// Base URL where WeChat reaches it (`--url`).
    pub url: Option<Address>,
    /// Check only this account or platform (`--appid`).
    pub appid: Option<String>,
    /// Whether messages are played, too (not with `--no-post`).
    pub plays_posts: bool,
}

/// An address of the server, and which certificates to trust there.
#[derive(Clone, Copy, Debug)]
pub struct CallbackEndpoint<'a> {
    pub base: &'a Address,
    pub trust: Trust,
}

impl Installation {
    /// Where the server itself listens.
    pub fn server(&self) -> Option<CallbackEndpoint<'_>> {
        let trust = if self.server_is_here { Trust::ThisMachine } else { Trust::Authorities };
        self.server.as_ref().map(|base| CallbackEndpoint { base, trust })
    }

    /// Where callbacks are played: at the public address if it is given.
    pub fn callbacks(&self) -> Option<CallbackEndpoint<'_>> {
        let outside = self.url.as_ref().map(|base| CallbackEndpoint { base, trust: Trust::Authorities });
        outside.or(self.server())
    }

    /// The accounts to check.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountConfig> {
        self.config.accounts.iter().filter(|account| self.wants(&account.appid))
    }

    /// Whether to check this account.
    pub fn wants(&self, appid: &str) -> bool {
        self.appid.as_deref().is_none_or(|only| only == appid)
    }

    /// Sends a GET to a path of the server.
    pub async fn get(&self, endpoint: CallbackEndpoint<'_>, path: &str) -> Result<TimedAnswer, ProbeError> {
        self.send(endpoint.trust, Request::get(uri(endpoint.base, path)?), String::new()).await
    }

    /// Sends a GET to the admin API. None: the address or the admin key is not known.
    pub async fn get_admin(&self, path: &str) -> Option<Result<TimedAnswer, ProbeError>> {
        let (endpoint, key) = (self.server()?, self.config.admin_key.as_ref()?);
        let send = async || {
            let request = Request::get(uri(endpoint.base, path)?);
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.reveal()));
            self.send(endpoint.trust, request, String::new()).await
        };
        Some(send().await)
    }

    /// Sends a callback by POST.
    pub async fn post(
        &self,
        endpoint: CallbackEndpoint<'_>,
        path: &str,
        body: String,
    ) -> Result<TimedAnswer, ProbeError> {
        let request = Request::post(uri(endpoint.base, path)?).header(header::CONTENT_TYPE, "text/xml");
        self.send(endpoint.trust, request, body).await
    }

    /// Sends a request with a body.
    pub async fn send(
        &self,
        trust: Trust,
        request: request::Builder,
        body: String,
    ) -> Result<TimedAnswer, ProbeError> {
        self.prober.send(trust, request.body(body).map_err(|error| invalid_request(&error))?).await
    }
}

fn uri(base: &Address, path: &str) -> Result<Uri, ProbeError> {
    base.below(path).map_err(|error| invalid_request(&error))
}

/// The error for a request that cannot be built.
pub fn invalid_request(error: &http::Error) -> ProbeError {
    ProbeError::Unconnected(error.to_string())
}
