//! The two servers of a shared store: what the commands that prepare and examine them need, also in a program that was
//! built without them.

#[cfg(feature = "clickhouse")]
use cluster::{
    FindingLevel,
    messages::{ClickHouse, ClickHouseError, ClickHouseFinding},
    state::{InitOutcome, State, StateFinding},
};
use system::secret::Secret;

#[cfg(feature = "clickhouse")]
use crate::open_store::servers;
use crate::{config::StoreConfig, open_store::OpenStoreError};

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedServer {
    /// Holds the messages.
    ClickHouse,
    /// Holds everything that is decided.
    PostgreSql,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerLevel {
    /// As it should be.
    Good,
    /// It works, but should be changed.
    Warning,
    /// The store does not work like this.
    Bad,
}

/// What an examination of a server found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFinding {
    /// The kind of server.
    pub server: SharedServer,
    /// Where it is, without user and password.
    pub place: String,
    /// How serious it is.
    pub level: ServerLevel,
    /// What was found, in English.
    pub text: String,
}

/// What preparing the servers came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreparedServers {
    /// Shards of ClickHouse.
    pub shards: u32,
    /// False if PostgreSQL had the tables already.
    pub is_new: bool,
}

/// Why the servers cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The program was built without them.
    #[error("{0}")]
    NotBuiltIn(OpenStoreError),
    /// ClickHouse says why.
    #[error("ClickHouse is not prepared: {0}")]
    ClickHouse(String),
    /// PostgreSQL says why.
    #[error("PostgreSQL at {place} is not prepared: {why}")]
    PostgreSql {
        /// Where it is, without user and password.
        place: String,
        /// What it says.
        why: String,
    },
}

/// Makes the tables of both servers. What is there already stays as it is.
///
/// # Errors
/// If a server cannot be reached, is unsuitable, or has tables of another version or for another number of shards.
#[cfg(feature = "clickhouse")]
pub async fn prepare(store: &StoreConfig) -> Result<PreparedServers, PrepareError> {
    let (messages, state) = servers(store);
    let state_error = |why: String| PrepareError::PostgreSql { place: state_place(&store.state), why };
    // PostgreSQL is asked first, so that ClickHouse is not touched for a store that cannot be used.
    State::check(&state).await.map_err(|error| state_error(error.to_string()))?;
    let clickhouse_error = |error: ClickHouseError| PrepareError::ClickHouse(error.to_string());
    ClickHouse::init(&messages).await.map_err(clickhouse_error)?;
    let shards = ClickHouse::connect(&messages).await.map_err(clickhouse_error)?.shards();
    let shards = u32::try_from(shards).map_err(|error| PrepareError::ClickHouse(error.to_string()))?;
    let outcome = State::init(&state, shards).await.map_err(|error| state_error(error.to_string()))?;
    Ok(PreparedServers { shards, is_new: outcome == InitOutcome::Created })
}

/// See the other one.
///
/// # Errors
/// Always: the program was built without the servers.
#[cfg(not(feature = "clickhouse"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn prepare(_: &StoreConfig) -> Result<PreparedServers, PrepareError> {
    Err(PrepareError::NotBuiltIn(OpenStoreError::NotBuiltIn))
}

/// Examines both servers. What is wrong with them is a finding.
///
/// # Errors
/// Never with the feature `clickhouse`.
#[cfg(feature = "clickhouse")]
pub async fn examine(store: &StoreConfig) -> Result<Vec<ServerFinding>, OpenStoreError> {
    let (messages, state) = servers(store);
    let (clickhouse, decided) = tokio::join!(ClickHouse::check(&messages), State::check(&state));
    let mut findings: Vec<ServerFinding> = clickhouse.into_iter().map(of_clickhouse).collect();
    let place = state_place(&store.state);
    match decided {
        Ok(decided) => findings.extend(decided.into_iter().map(|finding| of_state(finding, &place))),
        Err(error) => findings.push(ServerFinding {
            server: SharedServer::PostgreSql,
            place,
            level: ServerLevel::Bad,
            text: error.to_string(),
        }),
    }
    Ok(findings)
}

/// See the other one.
///
/// # Errors
/// Always: the program was built without the servers.
#[cfg(not(feature = "clickhouse"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn examine(_: &StoreConfig) -> Result<Vec<ServerFinding>, OpenStoreError> {
    Err(OpenStoreError::NotBuiltIn)
}

/// Logs what is not as it should be with PostgreSQL, such as no synchronous standby. ClickHouse is examined at the start
/// anyway.
#[cfg(feature = "clickhouse")]
pub async fn log_warnings(store: &StoreConfig) {
    let place = state_place(&store.state);
    match State::check(&servers(store).1).await {
        Ok(findings) => {
            for finding in findings.iter().filter(|finding| finding.level != FindingLevel::Good) {
                tracing::warn!("PostgreSQL at {place}: {}", finding.text);
            }
        }
        Err(error) => tracing::warn!("PostgreSQL at {place} could not be examined: {error}"),
    }
}

/// See the other one.
#[cfg(not(feature = "clickhouse"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn log_warnings(_: &StoreConfig) {}

#[cfg(feature = "clickhouse")]
fn level(level: FindingLevel) -> ServerLevel {
    match level {
        FindingLevel::Good => ServerLevel::Good,
        FindingLevel::Warning => ServerLevel::Warning,
        FindingLevel::Bad => ServerLevel::Bad,
    }
}

#[cfg(feature = "clickhouse")]
fn of_clickhouse(finding: ClickHouseFinding) -> ServerFinding {
    let level = level(finding.level);
    ServerFinding { server: SharedServer::ClickHouse, place: finding.url, level, text: finding.what }
}

#[cfg(feature = "clickhouse")]
fn of_state(finding: StateFinding, place: &str) -> ServerFinding {
    let level = level(finding.level);
    ServerFinding { server: SharedServer::PostgreSql, place: place.to_owned(), level, text: finding.text }
}

/// Hosts and database of a PostgreSQL URL, for people. Everything that could be a part of the password is left out: if
/// it is not certain where the password ends, nothing is shown.
pub fn state_place(url: &Secret) -> String {
    let text = url.reveal();
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let user_and_place = rest.split_once('@');
    let place = user_and_place.map_or(rest, |(_, place)| place).split('?').next().unwrap_or_default();
    let is_certain = match user_and_place {
        Some((user, _)) => !user.contains(['/', '?']),
        // Without a user, what follows a colon must be a port.
        None => place
            .split('/')
            .next()
            .and_then(|hosts| hosts.rsplit_once(':'))
            .is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".,:-_/[]".contains(c);
    if is_certain && !place.is_empty() && place.chars().all(is_plain) {
        place.to_owned()
    } else {
        "store.state".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_postgresql_shows_no_part_of_a_password() {
        for (url, place) in [
            ("postgres://msgcube:hush@db.example.com:5432/msgcube", "db.example.com:5432/msgcube"),
            ("postgresql://u:hush@a,b:5433/m?sslmode=require", "a,b:5433/m"),
            ("postgres://[::1]:5432/m?password=hush", "[::1]:5432/m"),
            ("postgres://host/m?user=u&password=hu@sh", "store.state"),
            ("postgres://u:hu@sh@host/m", "store.state"),
            ("postgres://u:hu/sh@host/m", "store.state"),
            ("postgres://u:hush", "store.state"),
            ("postgres://", "store.state"),
        ] {
            assert_eq!(state_place(&Secret::new(url.to_owned())), place, "{url}");
        }
    }
}
