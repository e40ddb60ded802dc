//! Messages in ClickHouse: rows go in, figures come out. It knows no accounts' settings and no coverage.

mod buckets;
mod error;
mod overview;
mod period_counts;
mod place;
mod row;

use system::secret::Secret;
use tokio::time::Instant;

pub use buckets::Buckets;
pub use error::ClickHouseError;
pub use overview::AccountOverview;
pub use period_counts::PeriodCounts;
pub use place::shard_of;
pub use row::{MessageId, MessageRow, QuarantinedRow};

/// How to reach ClickHouse.
#[derive(Clone, Debug)]
pub struct ClickHouseOptions {
    /// `http://host:port` or `https://…` of the servers. With a cluster: at least one of each shard.
    pub urls: Vec<String>,
    /// The user.
    pub user: String,
    /// The user's password. It may be empty.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// The cluster in ClickHouse's configuration. None: one server, without replication.
    pub cluster: Option<String>,
}

/// Senders whose first counted message lies in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstUsers {
    /// The number of users.
    pub users: u64,
    /// The first counted message of the account before the end of the stretch, Unix seconds.
    pub first_s: Option<i64>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// It works, but the operator should know.
    Warning,
    /// Something does not work.
    Error,
}

/// What an examination of a server found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseFinding {
    /// The server.
    pub url: String,
    /// How serious it is.
    pub level: FindingLevel,
    /// What was found.
    pub what: String,
}

/// The servers of ClickHouse.
#[derive(Debug)]
pub struct ClickHouse {}

#[allow(clippy::unused_async, unused_variables, missing_docs)]
impl ClickHouse {
    pub async fn connect(options: &ClickHouseOptions) -> Result<ClickHouse, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn init(options: &ClickHouseOptions) -> Result<(), ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn check(options: &ClickHouseOptions) -> Vec<ClickHouseFinding> {
        Vec::new()
    }
    pub fn shards(&self) -> usize {
        1
    }
    pub fn shard_names(&self) -> Vec<String> {
        Vec::new()
    }
    pub async fn insert(&self, rows: Vec<MessageRow>, until: Instant) -> Result<(), ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn insert_quarantined(
        &self,
        rows: Vec<QuarantinedRow>,
        until: Instant,
    ) -> Result<(), ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn known(&self, rows: &[MessageRow]) -> Result<Vec<bool>, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn figures(
        &self,
        appid: &str,
        buckets: &Buckets,
        with_events: bool,
    ) -> Result<Vec<PeriodCounts>, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn new_users(
        &self,
        appid: &str,
        from_s: i64,
        to_s: i64,
    ) -> Result<FirstUsers, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn quarantined(
        &self,
        appid: &str,
        limit: usize,
    ) -> Result<Vec<QuarantinedRow>, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn overview(&self, now_s: i64) -> Result<Vec<AccountOverview>, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
    pub async fn last_message_s(&self, appid: &str, now_s: i64) -> Result<Option<i64>, ClickHouseError> {
        Err(ClickHouseError::Unanswered("not yet".into()))
    }
}
