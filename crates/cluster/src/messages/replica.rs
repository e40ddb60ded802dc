//! One server: questions and inserts, each with a time limit. What a server answers is whole or an error.

use std::{fmt, time::Duration};

use clickhouse::{Client, Row, RowOwned, RowRead, error::Error, insert::Insert, query::Query};

use super::{
    catch_up::CatchUp,
    complaints::Complaints,
    failure::{ReplicaFailure, within},
    questions::AnswerPart,
    schema::MessageTable,
    settings::KnownSettings,
};

/// Most time to catch up with the other replicas.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(3);
/// Most time of a question. The server's own limit is in the settings of reads.
pub const READ_TIME_MAX: Duration = Duration::from_secs(32);
/// Room for the way there and back, beyond a limit that the server itself keeps.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// A row that can be stored.
pub trait Stored: Send + Sync + 'static {
    /// The row as the server takes it.
    type Columns: Row;
    /// Where it goes.
    const TABLE: MessageTable;
    /// The account and the user, who decide the shard.
    fn owner(&self) -> (&str, &str);
    /// Sorts rows by the key of the table, and keeps of each identity the row that was received first.
    fn arrange(rows: &mut Vec<Self>)
    where
        Self: Sized;
    /// Writes the row into the insert.
    fn write<'a>(
        &'a self,
        insert: &'a mut Insert<Self::Columns>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'a;
}

/// A server that has one shard's data.
pub struct Replica {
    /// The address as it is shown.
    pub url: String,
    /// With database and the settings of reads.
    client: Client,
    /// With database and the settings of inserts.
    inserts: Client,
    is_replicated: bool,
    messages: CatchUp<ReplicaFailure>,
    quarantined: CatchUp<ReplicaFailure>,
    /// Of questions.
    pub unanswered: Complaints,
    /// Of inserts.
    pub unconfirmed: Complaints,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(&self.url).finish()
    }
}

impl Replica {
    /// A server. The client has the database.
    pub fn new(url: String, client: &Client, settings: &KnownSettings, is_replicated: bool) -> Replica {
        let with = |client: Client, (name, value): &(&str, &str)| client.with_setting(*name, *value);
        Replica {
            url,
            inserts: settings.inserts.iter().fold(client.clone(), with),
            client: settings.reads.iter().fold(client.clone(), with),
            is_replicated,
            messages: CatchUp::default(),
            quarantined: CatchUp::default(),
            unanswered: Complaints::default(),
            unconfirmed: Complaints::default(),
        }
    }

    /// Asks a question that needs all rows that were confirmed before this call.
    ///
    /// # Errors
    /// If the server cannot catch up with the other replicas, or does not answer in full.
    pub async fn ask<T>(
        &self,
        table: MessageTable,
        question: &(dyn Fn(&Client) -> Query + Send + Sync),
    ) -> Result<Vec<T>, ReplicaFailure>
    where
        AnswerPart<T>: RowOwned + RowRead,
    {
        if self.is_replicated {
            let catch_up = match table {
                MessageTable::Raw => &self.messages,
                MessageTable::Aside => &self.quarantined,
            };
            let seconds = CATCH_UP_TIME_MAX.as_secs();
            let query = self.client.query(table.catch_up_sql());
            let query = query.with_setting("receive_timeout", seconds.to_string());
            catch_up.wait(self.within(CATCH_UP_TIME_MAX + ROUND_TRIP_MAX, query.execute())).await.map_err(
                // A limit of this statement says nothing about the question.
                |failure| ReplicaFailure { code: None, ..failure },
            )?;
        }
        let parts = question(&self.client).fetch_all::<AnswerPart<T>>();
        let parts = self.within(READ_TIME_MAX, parts).await?;
        let total = parts.first().map(|(_, total)| *total);
        let rows: Vec<T> = parts.into_iter().flat_map(|(part, _)| part).collect();
        if total == Some(rows.len() as u64) {
            return Ok(rows);
        }
        let what = match total {
            Some(total) => format!("{} of {total} rows arrived; is its disk full?", rows.len()),
            None => "an answer without its end; is its disk full?".to_owned(),
        };
        Err(ReplicaFailure { code: None, url: self.url.clone(), what })
    }

    /// Stores rows on so many replicas. Only `Ok` is certain: after an error they may be stored or not.
    pub async fn store<R: Stored>(
        &self,
        rows: &[R],
        quorum: usize,
        time: Duration,
    ) -> Result<(), ReplicaFailure> {
        self.within(time, self.insert(rows, quorum, time)).await
    }

    /// The only place that inserts: an insert that is dropped without its end stores nothing and tells nobody.
    async fn insert<R: Stored>(&self, rows: &[R], quorum: usize, time: Duration) -> Result<(), Error> {
        let insert = self.inserts.insert::<R::Columns>(R::TABLE.name()).await?;
        let mut insert = insert.with_timeouts(Some(time), Some(time));
        if quorum > 1 {
            insert = insert
                .with_setting("insert_quorum", quorum.to_string())
                .with_setting("insert_quorum_timeout", time.as_millis().to_string());
        }
        for row in rows {
            row.write(&mut insert).await?;
        }
        insert.end().await
    }

    async fn within<T>(
        &self,
        time: Duration,
        statement: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ReplicaFailure> {
        within(&self.url, time, statement).await
    }
}
