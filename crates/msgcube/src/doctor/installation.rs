//! What is examined: the configuration, where it is served, and how to get there.

use axum::http::{Method, Request, Uri, header};
use i18n::Lang;
use msgcube_client::http::{Address, Trust};
use server::config::{AccountConfig, Config};
use system::clock::Clock;

use crate::probe::{Answer, Fault, Lines};

/// What is examined.
#[derive(Debug)]
pub struct Installation {
    pub config: Config,
    pub lang: Lang,
    pub clock: Clock,
    pub lines: Lines,
    /// Where the program itself listens; none: that cannot be known.
    pub server: Option<Address>,
    /// It is this very machine: the configuration says so, or the address.
    pub server_is_here: bool,
    /// Where WeChat reaches it.
    pub url: Option<Address>,
    /// Only this account.
    pub appid: Option<String>,
    /// Messages are played, too.
    pub plays_posts: bool,
}

/// An address of the server, and whom to believe there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub base: &'a Address,
    pub trust: Trust,
}

impl Installation {
    /// The program itself.
    pub fn server(&self) -> Option<Place<'_>> {
        let trust = if self.server_is_here { Trust::ThisMachine } else { Trust::Authorities };
        self.server.as_ref().map(|base| Place { base, trust })
    }

    /// Where callbacks are played: from outside if that was asked for.
    pub fn callbacks(&self) -> Option<Place<'_>> {
        let outside = self.url.as_ref().map(|base| Place { base, trust: Trust::Authorities });
        outside.or(self.server())
    }

    /// The accounts to be looked at.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountConfig> {
        self.config.accounts.iter().filter(|account| self.wants(&account.appid))
    }

    /// Whether this account is to be looked at.
    pub fn wants(&self, appid: &str) -> bool {
        self.appid.as_deref().is_none_or(|only| only == appid)
    }

    /// A GET to a path of a server.
    pub async fn get(&self, place: Place<'_>, path: &str) -> Result<Answer, Fault> {
        self.lines
            .send(
                place.trust,
                Request::get(uri(place.base, path)?).body(String::new()).map_err(|error| broken(&error))?,
            )
            .await
    }

    /// A GET of the own interface, with the admin key.
    pub async fn get_own(&self, path: &str) -> Option<Result<Answer, Fault>> {
        let (place, key) = (self.server()?, self.config.admin_key.as_ref()?);
        let send = async || {
            let request = Request::get(uri(place.base, path)?);
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.reveal()));
            self.lines.send(place.trust, request.body(String::new()).map_err(|error| broken(&error))?).await
        };
        Some(send().await)
    }

    /// A POST of a callback.
    pub async fn post(&self, place: Place<'_>, path: &str, body: String) -> Result<Answer, Fault> {
        let request = Request::builder().method(Method::POST).uri(uri(place.base, path)?);
        let request = request.header(header::CONTENT_TYPE, "text/xml");
        self.lines.send(place.trust, request.body(body).map_err(|error| broken(&error))?).await
    }
}

fn uri(base: &Address, path: &str) -> Result<Uri, Fault> {
    base.below(path).map_err(|error| broken(&error))
}

/// Only what no server could take, either.
pub fn broken(error: &http::Error) -> Fault {
    Fault::Unconnected(error.to_string())
}
