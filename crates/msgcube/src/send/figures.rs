//! Whether a callback was counted, by the account's own figures of that day before and after it.

use std::time::Duration;

use axum::http::Method;
use counting::{Kind, day_of};
use datacube::Day;
use msgcube_client::{Secret, http::Address};
use serde_json::Value;
use server::config::Config;

use super::{SendArgs, error::SendError, target::Target};
use crate::admin::{AdminError, Connection, NO_MSGCUBE, read_file};

/// A server that takes longer is not waited for: the callback matters more.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Where the figures stand.
pub(super) struct Figures {
    server: Connection,
    appid: String,
    kind: Kind,
    day: Day,
}

/// What is known of them.
pub(super) enum Counting {
    /// There is no key to ask with.
    Unasked,
    /// The server could not be asked.
    Unknown(AdminError),
    /// Before the callback.
    Before { figures: Figures, messages: u64 },
    /// Before and after it.
    Seen { figures: Figures, before: u64, after: u64 },
}

/// Where the figures are asked for, if there is a key: at the server that gets the callback. The key of a configuration
/// goes to its own server and to others of this machine only; anywhere else it has to be given.
pub(super) fn of(
    args: &SendArgs,
    config: Option<&Config>,
    target: &Target,
    create_time: i64,
) -> Result<Option<Figures>, SendError> {
    let given = args.admin_key_file.as_deref().map(read_file).transpose()?;
    let sent_to = origin(&target.address);
    let is_named = args.base.is_some() || args.url.is_some();
    let own = config.filter(|config| !is_named || origin(&config.base_url()) == sent_to);
    let may_have_key = own.is_some() || is_this_machine(&sent_to);
    let kept = || Some(config.filter(|_| may_have_key)?.admin_key.as_ref()?.reveal().to_owned());
    let own = own.filter(|_| given.is_none() || !is_named);
    let base = own.map_or(sent_to, Config::own_url);
    // Where the system chose the port, the configuration does not know it.
    let is_known = own.is_none_or(|config| !config.own_url().ends_with(":0"));
    let key = given.or_else(kept).map(Secret::from);
    let Some(key) = key.filter(|_| is_known && !target.appid.is_empty()) else { return Ok(None) };
    let server = Connection::to(&base, key, own.is_some())?;
    let kind = Kind::of_msg_type(&args.msg_type);
    Ok(Some(Figures { server, appid: target.appid.clone(), kind, day: day_of(create_time) }))
}

fn is_this_machine(origin: &str) -> bool {
    Address::parse(origin).is_ok_and(|address| address.is_this_machine())
}

fn origin(address: &str) -> String {
    Address::parse(address).map_or(address.to_owned(), |address| address.origin())
}

impl Figures {
    /// Messages of that kind on that day.
    async fn messages(&self) -> Result<u64, AdminError> {
        let day = self.day.to_string();
        let query = [("from", day.as_str()), ("to", &day), ("period", "total"), ("by", "type")];
        let path = ["accounts", &self.appid, "stats"];
        let asked = self.server.ask_with(Method::GET, &path, &query, None);
        let answer = match tokio::time::timeout(TIME_MAX, asked).await {
            Ok(Ok(answer)) => answer,
            // A platform's account is there once it was sent something.
            Ok(Err(AdminError::Refused { status: 404, text })) if text != NO_MSGCUBE => Value::Null,
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let why = format!("no answer within {} s", TIME_MAX.as_secs());
                return Err(AdminError::Lost { base: self.server.base(), why });
            }
        };
        let rows = answer["rows"].as_array().into_iter().flatten();
        let of_kind = rows.filter(|row| row["type"] == self.kind.name());
        Ok(of_kind.filter_map(|row| row["messages"].as_u64()).sum())
    }

    /// Whether the account refuses plain callbacks, as far as the server says.
    pub(super) async fn require_encryption(&self) -> bool {
        let path = ["accounts", &self.appid];
        let asked = self.server.ask(Method::GET, &path, None);
        let answer = tokio::time::timeout(TIME_MAX, asked).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|shown| shown["require_encryption"] == true))
    }

    pub(super) fn server(&self) -> String {
        self.server.base()
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind.name()
    }

    pub(super) fn day(&self) -> Day {
        self.day
    }
}

impl Counting {
    pub(super) async fn before(figures: Option<Figures>) -> Counting {
        let Some(figures) = figures else { return Counting::Unasked };
        match figures.messages().await {
            Ok(messages) => Counting::Before { figures, messages },
            Err(error) => Counting::Unknown(error),
        }
    }

    pub(super) async fn after(self) -> Counting {
        let Counting::Before { figures, messages: before } = self else { return self };
        match figures.messages().await {
            Ok(after) => Counting::Seen { figures, before, after },
            Err(error) => Counting::Unknown(error),
        }
    }

    /// None if it is not known: nobody was asked, or others came at the same time.
    pub(super) fn is_counted(&self) -> Option<bool> {
        match self {
            Counting::Seen { before, after, .. } => match after.checked_sub(*before) {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Counting::Unasked | Counting::Unknown(_) | Counting::Before { .. } => None,
        }
    }
}
