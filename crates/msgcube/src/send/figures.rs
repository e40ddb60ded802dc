//! Finds out whether a callback was counted: compares the account's figures of that day before and after it.

use std::time::Duration;

use axum::http::Method;
use counting::{Kind, day_of};
use datacube::Day;
use msgcube_client::{SecretString, http::Address};
use serde_json::Value;
use server::config::Config;

use super::{SendArgs, error::SendError, target::CallbackTarget};
use crate::{
    admin::{AdminConnection, AdminError, NO_MSGCUBE},
    server_args::read_secret,
};

/// Limit of one query for figures. The callback itself matters more.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The figures of one account, day and message type on a server.
pub(super) struct AccountFigures {
    server: AdminConnection,
    appid: String,
    kind: Kind,
    day: Day,
}

/// What is known of whether the callback was counted.
pub(super) enum CountCheck {
    /// There is no admin key to ask with.
    Unasked,
    /// Asking the server failed.
    Unknown(AdminError),
    /// The number of messages before the callback.
    Before { figures: AccountFigures, messages: u64 },
    /// The number of messages before and after it.
    Seen { figures: AccountFigures, before: u64, after: u64 },
}

/// The figures to compare, if there is an admin key. The server that gets the callback is asked. The admin key of a
/// configuration is sent only to that configuration's server and to this machine; for other servers the user must give it.
pub(super) fn find(
    args: &SendArgs,
    config: Option<&Config>,
    target: &CallbackTarget,
    create_time: i64,
) -> Result<Option<AccountFigures>, SendError> {
    let given = args.key_file.as_deref().map(read_secret).transpose().map_err(AdminError::from)?;
    let sent_to = origin(&target.address);
    let is_named = args.address.server.is_some() || args.url.is_some();
    let own = config.filter(|config| !is_named || origin(&config.base_url()) == sent_to);
    let may_have_key = own.is_some() || is_this_machine(&sent_to);
    let configured_key = || -> Option<SecretString> {
        Some(config.filter(|_| may_have_key)?.admin_key.as_ref()?.reveal().into())
    };
    let own = own.filter(|_| given.is_none() || !is_named);
    let base = own.map_or(sent_to, Config::own_url);
    // With port 0 the system chooses the port, so the configuration does not know it.
    let is_known = own.is_none_or(|config| !config.own_url().ends_with(":0"));
    let key = given.or_else(configured_key);
    let Some(key) = key.filter(|_| is_known && !target.appid.is_empty()) else { return Ok(None) };
    let server = AdminConnection::to(&base, key, own.is_some())?;
    let kind = Kind::of_msg_type(&args.msg_type);
    Ok(Some(AccountFigures { server, appid: target.appid.clone(), kind, day: day_of(create_time) }))
}

fn is_this_machine(origin: &str) -> bool {
    Address::parse(origin).is_ok_and(|address| address.is_this_machine())
}

fn origin(address: &str) -> String {
    Address::parse(address).map_or(address.to_owned(), |address| address.origin())
}

impl AccountFigures {
    /// Messages of that type on that day.
    async fn messages(&self) -> Result<u64, AdminError> {
        let day = self.day.to_string();
        let query = [("from", day.as_str()), ("to", &day), ("period", "total"), ("by", "type")];
        let path = ["accounts", &self.appid, "stats"];
        let asked = self.server.ask_with(Method::GET, &path, &query, None);
        let answer = match tokio::time::timeout(TIME_MAX, asked).await {
            Ok(Ok(answer)) => answer,
            // An account of a platform exists only after its first message.
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

    /// Whether the account refuses plain callbacks. False if the server does not say.
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

impl CountCheck {
    pub(super) async fn before(figures: Option<AccountFigures>) -> CountCheck {
        let Some(figures) = figures else { return CountCheck::Unasked };
        match figures.messages().await {
            Ok(messages) => CountCheck::Before { figures, messages },
            Err(error) => CountCheck::Unknown(error),
        }
    }

    pub(super) async fn after(self) -> CountCheck {
        let CountCheck::Before { figures, messages: before } = self else { return self };
        match figures.messages().await {
            Ok(after) => CountCheck::Seen { figures, before, after },
            Err(error) => CountCheck::Unknown(error),
        }
    }

    /// Whether the callback was counted. None: not known, because the server was not asked, or other messages came at the
    /// same time.
    pub(super) fn is_counted(&self) -> Option<bool> {
        match self {
            CountCheck::Seen { before, after, .. } => match after.checked_sub(*before) {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            CountCheck::Unasked | CountCheck::Unknown(_) | CountCheck::Before { .. } => None,
        }
    }
}
