//! Messages in ClickHouse: rows go in, figures come out. It knows no accounts' settings and no coverage.
//!
//! Rows find their repeats themselves: of all rows of one account, user, second and id, the one that was received first
//! counts (`ReplacingMergeTree`, read with `FINAL`). So storing a row again is always safe. All rows of a user are in one
//! shard, so figures of shards add up.
//!
//! A question is asked after the replica has caught up with all confirmed rows, on that same replica. It is answered in
//! full or fails.

mod buckets;
mod catch_up;
mod check;
mod complaints;
mod connect;
mod error;
mod failure;
mod layout;
mod options;
mod overview;
mod period_counts;
mod permits;
mod place;
mod questions;
mod replica;
mod row;
mod schema;
mod settings;
mod shard;
mod stored;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use clickhouse::{RowOwned, RowRead};
use counting::AccountSummary;
use tokio::{task::JoinSet, time::Instant};

use self::{
    buckets::stored_bounds,
    overview::{Around, Overviews},
    permits::Permits,
    questions::{AnswerPart, AsideFound, EventsFound, FiguresFound, FirstFound, KEYS_MAX, KeyFound},
    replica::Stored,
    schema::MessageTable,
    shard::{Question, Shard},
};

pub use buckets::Buckets;
pub use check::ClickHouseFinding;
pub use error::ClickHouseError;
pub use options::ClickHouseOptions;
pub use period_counts::PeriodCounts;
pub use place::shard_of;
pub use row::{MessageId, MessageRow, QuarantinedRow};

/// Days that are looked at first for an account's newest message.
const RECENT_DAYS: [u32; 2] = [4, 64];

/// Users whose first counted message lies in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstUsers {
    /// The number of users.
    pub users: u64,
    /// The first counted message of the account before the end of the stretch, Unix seconds.
    pub first_s: Option<i64>,
}

/// The servers of ClickHouse. All calls may run at the same time, and may be dropped at any time.
#[derive(Debug)]
pub struct ClickHouse {
    shards: Vec<Arc<Shard>>,
    permits: Permits,
}

impl ClickHouse {
    /// Finds the servers and checks their tables. Servers that do not answer are used as soon as they do, if each shard has
    /// one that does.
    ///
    /// # Errors
    /// If a server is too old, the servers are not one cluster, tables are missing, or a shard cannot be reached.
    pub async fn connect(options: &ClickHouseOptions) -> Result<ClickHouse, ClickHouseError> {
        Ok(ClickHouse { shards: connect::shards(options).await?, permits: Permits::default() })
    }

    /// Makes database and tables on each server, unless they exist.
    ///
    /// # Errors
    /// If a server of the cluster is not named, does not answer, or refuses; or if there are other tables.
    pub async fn init(options: &ClickHouseOptions) -> Result<(), ClickHouseError> {
        connect::init(options).await
    }

    /// Examines all servers.
    pub async fn check(options: &ClickHouseOptions) -> Vec<ClickHouseFinding> {
        check::check(options).await
    }

    /// The number of shards. Users are placed by it, so it must never change.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The path of each shard in ZooKeeper or ClickHouse Keeper, in order. They must never change places. Empty without a
    /// cluster.
    pub fn shard_names(&self) -> Vec<String> {
        self.shards.iter().map(|shard| shard.path.clone()).collect()
    }

    /// Stores messages on the majority of the replicas of each shard that they belong to. `Ok`: all of them are durable.
    ///
    /// # Errors
    /// If that was not confirmed in time. Then any of them may be stored. Storing them again is safe.
    pub async fn insert(&self, rows: Vec<MessageRow>, until: Instant) -> Result<(), ClickHouseError> {
        self.store(rows, until).await
    }

    /// Stores quarantined messages, as [`ClickHouse::insert`].
    ///
    /// # Errors
    /// As [`ClickHouse::insert`].
    pub async fn insert_quarantined(
        &self,
        rows: Vec<QuarantinedRow>,
        until: Instant,
    ) -> Result<(), ClickHouseError> {
        self.store(rows, until).await
    }

    /// For each row: whether a row of its identity is stored.
    ///
    /// # Errors
    /// If a shard does not answer.
    pub async fn known(&self, rows: &[MessageRow]) -> Result<Vec<bool>, ClickHouseError> {
        let _turn = self.permits.turn(None).await?;
        let mut by_shard: Vec<Vec<&MessageRow>> = vec![Vec::new(); self.shards.len()];
        for row in rows {
            by_shard[shard_of(&row.appid, &row.user, self.shards.len())].push(row);
        }
        let chunks = self.shards.iter().zip(&by_shard);
        let chunks = chunks.flat_map(|(shard, rows)| rows.chunks(KEYS_MAX).map(move |rows| (shard, rows)));
        let mut tasks = JoinSet::new();
        for (shard, rows) in chunks {
            let (shard, question) = (shard.clone(), questions::known(rows));
            tasks.spawn(async move { shard.ask::<KeyFound>(MessageTable::Raw, &question).await });
        }
        let stored: HashSet<KeyFound> = all(tasks).await?.into_iter().flatten().collect();
        Ok(rows.iter().map(|row| stored.contains(&questions::key_of(row))).collect())
    }

    /// The figures of an account for each of these stretches of time, in order.
    ///
    /// # Errors
    /// If a shard does not answer, or other questions take too long.
    pub async fn figures(
        &self,
        appid: &str,
        buckets: &Buckets,
        with_events: bool,
    ) -> Result<Vec<PeriodCounts>, ClickHouseError> {
        let mut counts = vec![PeriodCounts::default(); buckets.len()];
        let Some(within) = buckets.stored_bounds() else { return Ok(counts) };
        let _turn = self.permits.turn(Some(appid)).await?;
        let question = questions::figures(appid.to_owned(), buckets, within);
        for found in self.ask_all::<FiguresFound>(MessageTable::Raw, question).await? {
            let (index, counters) = questions::read_figures(found, buckets)?;
            counts[index].counters.add_other_users(&counters);
        }
        if with_events {
            let question = questions::events(appid.to_owned(), buckets, within);
            for (bucket, event, events) in self.ask_all::<EventsFound>(MessageTable::Raw, question).await? {
                let counts = buckets.index_of(bucket).and_then(|index| counts.get_mut(index));
                let counts = counts.ok_or_else(|| {
                    ClickHouseError::Unanswered("events of another time than asked for".to_owned())
                })?;
                *counts.events.entry(event).or_default() += events;
            }
        }
        Ok(counts)
    }

    /// The users whose first counted message lies in `[from_s, to_s)`.
    ///
    /// # Errors
    /// If a shard does not answer, or other questions take too long.
    pub async fn new_users(
        &self,
        appid: &str,
        from_s: i64,
        to_s: i64,
    ) -> Result<FirstUsers, ClickHouseError> {
        let mut first_users = FirstUsers::default();
        let Some((_, last)) = stored_bounds(0, to_s) else { return Ok(first_users) };
        let _turn = self.permits.turn(Some(appid)).await?;
        let first = u32::try_from(from_s.max(0)).unwrap_or(u32::MAX);
        let question = questions::first_users(appid.to_owned(), first, last);
        for (users, all_users, first_s) in self.ask_all::<FirstFound>(MessageTable::Raw, question).await? {
            if all_users > 0 {
                first_users.users += users;
                let first_s = i64::from(first_s);
                first_users.first_s = Some(first_users.first_s.map_or(first_s, |known| known.min(first_s)));
            }
        }
        Ok(first_users)
    }

    /// The quarantined messages with the newest CreateTime, newest first, at most `limit`. Of one time, the one that was
    /// received first comes first.
    ///
    /// # Errors
    /// If a shard does not answer, or other questions take too long.
    pub async fn quarantined(
        &self,
        appid: &str,
        limit: usize,
    ) -> Result<Vec<QuarantinedRow>, ClickHouseError> {
        let _turn = self.permits.turn(Some(appid)).await?;
        let question = questions::quarantined(appid.to_owned(), limit);
        let found = self.ask_all::<AsideFound>(MessageTable::Aside, question).await?;
        let appid = Arc::from(appid);
        let mut rows: Vec<QuarantinedRow> =
            found.into_iter().map(|found| questions::read_quarantined(found, &appid)).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.create_time), row.received_us));
        rows.truncate(limit);
        Ok(rows)
    }

    /// The summaries of all accounts that have a counted message, by appid.
    ///
    /// # Errors
    /// If a shard does not answer, or other questions take too long.
    pub async fn overview(&self, now_s: i64) -> Result<HashMap<Box<str>, AccountSummary>, ClickHouseError> {
        let Some(around) = Around::of(now_s) else { return Ok(HashMap::new()) };
        let _turn = self.permits.turn(None).await?;
        let mut overviews = Overviews::new(around);
        for found in self.ask_all(MessageTable::Raw, overview::counts(overviews.around())).await? {
            overviews.add(found)?;
        }
        let question = overview::dormant(overviews.around(), overviews.with_last());
        self.ask_all(MessageTable::Raw, question)
            .await?
            .into_iter()
            .for_each(|found| overviews.add_last(found));
        Ok(overviews.by_appid())
    }

    /// The newest CreateTime of an account's counted messages up to the end of tomorrow, in Unix seconds.
    ///
    /// # Errors
    /// If a shard does not answer, or other questions take too long.
    pub async fn last_message_s(&self, appid: &str, now_s: i64) -> Result<Option<i64>, ClickHouseError> {
        let Some(around) = Around::of(now_s) else { return Ok(None) };
        let _turn = self.permits.turn(Some(appid)).await?;
        // Most accounts have a recent one, and old months are many rows.
        let recent = RECENT_DAYS.map(|days| around.up_to_tomorrow(days));
        for within in recent.into_iter().chain([(0, recent[0].1)]) {
            let question = questions::last_message(appid.to_owned(), within);
            let found = self.ask_all::<u32>(MessageTable::Raw, question).await?;
            if let Some(last_s) = found.into_iter().max() {
                return Ok(Some(last_s.into()));
            }
        }
        Ok(None)
    }

    async fn store<R: Stored>(&self, rows: Vec<R>, until: Instant) -> Result<(), ClickHouseError> {
        let mut by_shard: Vec<Vec<R>> = self.shards.iter().map(|_| Vec::new()).collect();
        for row in rows {
            let (appid, user) = row.owner();
            let shard = shard_of(appid, user, by_shard.len());
            by_shard[shard].push(row);
        }
        let mut tasks = JoinSet::new();
        for (shard, mut rows) in self.shards.iter().zip(by_shard).filter(|(_, rows)| !rows.is_empty()) {
            let shard = shard.clone();
            tasks.spawn(async move {
                R::arrange(&mut rows);
                shard.store(&rows, until).await
            });
        }
        all(tasks).await.map(drop)
    }

    /// Asks all shards at once.
    async fn ask_all<T>(
        &self,
        table: MessageTable,
        question: impl Fn(&clickhouse::Client) -> clickhouse::query::Query + Send + Sync + 'static,
    ) -> Result<Vec<T>, ClickHouseError>
    where
        AnswerPart<T>: RowOwned + RowRead,
        T: Send + 'static,
    {
        let question: Arc<Question> = Arc::new(question);
        let mut tasks = JoinSet::new();
        for shard in &self.shards {
            let (shard, question) = (shard.clone(), question.clone());
            tasks.spawn(async move { shard.ask(table, question.as_ref()).await });
        }
        Ok(all(tasks).await?.into_iter().flatten().collect())
    }
}

/// Waits for all tasks. Ends them at the first error.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T, ClickHouseError>>) -> Result<Vec<T>, ClickHouseError> {
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(outcome) => done.push(outcome?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(ClickHouseError::Unanswered(format!("a task was ended: {error}"))),
        }
    }
    Ok(done)
}
