//! Whose callback it is, by its address: an account's own, or one that comes through a third-party platform; what it is
//! opened with, what becomes durable of it, and where it goes on to.

use std::{pin::Pin, sync::Arc};

use axum::http::Uri;
use msgcube_cube::Message;
use percent_encoding::percent_decode_str;

use super::{aside_of, implausible};
use crate::{
    accounts::Account,
    app::App,
    callback::{self, AccountKeys, Query, Refusal},
    components::Component,
    config::{RelayConfig, Role},
    copies::Listening,
    http::relay::{Behind, PLACES_OF_ACCOUNT, PLACES_OF_PLATFORM},
    received::{Admission, is_sane},
    store::{Change, NotDurable, Outcome},
};

/// Where callbacks come in: the account, and the platform if it is one's.
struct Place<'a> {
    component: Option<&'a str>,
    appid: &'a str,
}

impl Place<'_> {
    fn of(path: &str) -> Option<Place<'_>> {
        let is_one = |part: &&str| !part.is_empty() && !part.contains('/');
        if let Some(appid) = path.strip_prefix("/callback/").filter(is_one) {
            return Some(Place { component: None, appid });
        }
        let (component, appid) = path.strip_prefix("/component/")?.split_once("/callback/")?;
        (is_one(&component) && is_one(&appid)).then_some(Place { component: Some(component), appid })
    }
}

/// The address without the slash at its end, which consoles and proxies add, if WeChat sends something there.
pub fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    let platform = path.strip_prefix("/component/").and_then(|rest| rest.strip_suffix("/events"));
    let is_platform = platform.is_some_and(|appid| !appid.is_empty() && !appid.contains('/'));
    if !is_platform && Place::of(path).is_none() {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// True for the address of a callback.
pub fn is_address(uri: &Uri) -> bool {
    Place::of(uri.path()).is_some()
}

/// Whose callback it is.
#[derive(Debug)]
pub enum Recipient {
    /// An account's own.
    Own(Arc<Account>),
    /// One that came through a platform. There may be no account yet.
    Through {
        component: Arc<Component>,
        appid: String,
        account: Option<Arc<Account>>,
        /// The platform's, for this account.
        relay: Option<RelayConfig>,
    },
}

impl Recipient {
    /// Whose it is. None if nobody's callbacks come in there.
    pub fn find(app: &App, uri: &Uri) -> Option<Recipient> {
        let place = Place::of(uri.path())?;
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
        let appid = decoded(place.appid);
        let account = app.accounts.get(&appid);
        let Some(component) = place.component else {
            return account.filter(|account| account.keys.is_some()).map(Recipient::Own);
        };
        let component = app.components.get(&decoded(component))?;
        if component.config.role != Role::Receive || !is_sane(&appid) || app.components.get(&appid).is_some()
        {
            return None;
        }
        let relay = component.config.relay.as_ref().map(|relay| relay.for_account(&appid));
        Some(Recipient::Through { component, appid: appid.into_owned(), account, relay })
    }

    /// The appid in its address.
    pub fn appid(&self) -> &str {
        match self {
            Recipient::Own(account) => &account.config.appid,
            Recipient::Through { appid, .. } => appid,
        }
    }

    /// The account, if there is one yet.
    pub fn account(&self) -> Option<&Arc<Account>> {
        match self {
            Recipient::Own(account) => Some(account),
            Recipient::Through { account, .. } => account.as_ref(),
        }
    }

    /// What its callbacks are checked with.
    pub fn keys(&self) -> Option<&AccountKeys> {
        match self {
            Recipient::Own(account) => account.keys.as_ref(),
            Recipient::Through { component, .. } => Some(&component.keys),
        }
    }

    /// Who is told of each callback, and answers it.
    pub fn behind(&self) -> Option<Behind<'_>> {
        match self {
            Recipient::Own(account) => account.config.relay.as_ref().map(|config| Behind {
                config,
                waiting: &account.relays_waiting,
                places: PLACES_OF_ACCOUNT,
                listening: Listening::Account(account),
            }),
            Recipient::Through { component, appid, relay, .. } => relay.as_ref().map(|config| Behind {
                config,
                waiting: &component.relays_waiting,
                places: PLACES_OF_PLATFORM,
                listening: Listening::Platform(component, appid),
            }),
        }
    }

    /// Opens a callback, and says what is to become durable of it.
    pub fn open(&self, app: &App, query: &Query<'_>, body: &[u8]) -> Result<Keeping, NotTaken> {
        let now_s = app.clock.now_s();
        match self {
            Recipient::Own(account) => {
                let refused = |refusal| NotTaken::Refused { refusal, loses: true };
                let age_s_max = Some(app.config.get().callback_max_age_s);
                let opened = match &account.keys {
                    Some(keys) => callback::open(keys, query, body, now_s, age_s_max),
                    None => Err(Refusal::without_keys()),
                };
                Ok(Keeping::of(account.clone(), opened.map_err(refused)?, None, now_s))
            }
            Recipient::Through { component, appid, .. } => {
                let opened = callback::open_through(&component.keys, query, body);
                let component = &component.config.appid;
                // Whoever knows the platform's token and key could send it here for any account.
                let loses = || app.received.brings(component, appid);
                let refused = |refusal| NotTaken::Refused { refusal, loses: loses() };
                let (message, to_user) = opened.map_err(refused)?;
                let of_another = Refusal::of_another_account(message.create_time);
                let not_of_platform = Refusal::not_of_platform(component, message.create_time);
                match app.received.admit(component, appid, &to_user) {
                    Admission::Taken(account) => {
                        let through = Through { component: component.clone(), to_user };
                        Ok(Keeping::of(account, message, Some(through), now_s))
                    }
                    Admission::WrongToUser => Err(refused(of_another)),
                    // Nothing of this account is lost: whoever has one callback could send it here.
                    Admission::OfAnother => Err(NotTaken::Refused { refusal: of_another, loses: false }),
                    Admission::NotOfPlatform => {
                        Err(NotTaken::Refused { refusal: not_of_platform, loses: false })
                    }
                    Admission::TooMany => Err(NotTaken::TooMany),
                }
            }
        }
    }
}

/// Why nothing becomes durable of a callback.
#[derive(Debug)]
pub enum NotTaken {
    /// It is refused; whether that is a loss of the account, if it is authentic.
    Refused { refusal: Refusal, loses: bool },
    /// There would be too many accounts.
    TooMany,
}

/// What is to become durable of a callback.
#[derive(Debug)]
pub struct Keeping {
    /// Whose it is.
    pub account: Arc<Account>,
    /// Why it is kept without being counted, if so.
    pub aside: Option<&'static str>,
    change: Change,
    through: Option<Through>,
}

/// How a message came that a platform brought.
#[derive(Debug)]
struct Through {
    component: String,
    to_user: Box<str>,
}

/// Waits for the disk; what it waits for goes on without it.
pub type Durable = Pin<Box<dyn Future<Output = Result<Outcome, NotDurable>> + Send>>;

impl Keeping {
    fn of(account: Arc<Account>, message: Message, through: Option<Through>, now_s: i64) -> Keeping {
        let aside = implausible(message.create_time, now_s);
        let change = match aside {
            None => Change::Message { account: account.number, message },
            Some(reason) => Change::Aside { account: account.number, aside: aside_of(&message, reason) },
        };
        Keeping { account, aside, change, through }
    }

    /// Puts it into the queue.
    pub fn enqueue(self, app: &App) -> Result<Durable, NotDurable> {
        match self.through {
            None => Ok(Box::pin(app.ingest.enqueue(self.change)?)),
            Some(Through { component, to_user }) => {
                app.received.enqueue(&component, &self.account, &to_user, self.change)
            }
        }
    }
}
