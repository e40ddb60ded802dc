//! The processes that share the state: when each was last well.

use tokio_postgres::Row;

use super::{
    check::SKEW_MAX_S,
    error::StateError,
    pool::{Lent, Pools},
};

/// A process that has not marked for this long is not there, by the database's clock.
const SILENCE_MAX_MS: i64 = 10_000;

const ALL: &str = "
SELECT name, started_s, marked_s, ended_s, (extract(epoch FROM clock_timestamp() - seen) * 1000)::bigint
FROM process ORDER BY name";
const BEGIN: &str = "
INSERT INTO process (name, run, started_s, marked_s, seen) VALUES ($1, $2, $3, $3, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET run = excluded.run, started_s = excluded.started_s, marked_s = excluded.marked_s,
  ended_s = NULL, seen = excluded.seen";
/// A process with a wrong clock is seen, so that the others do not take it for dead.
const MARK: &str = "
WITH now AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us),
  clock AS (SELECT us, coalesce(abs(us - $4) <= $5, true) AS is_right FROM now),
  own AS (
    UPDATE process SET marked_s = CASE WHEN is_right THEN greatest(marked_s, $3) ELSE marked_s END, seen = clock_timestamp()
    FROM clock WHERE name = $1 AND run = $2 AND ended_s IS NULL RETURNING 1)
SELECT us, is_right, EXISTS (SELECT FROM own) FROM clock";
const END: &str =
    "UPDATE process SET marked_s = greatest(marked_s, $3), ended_s = $3, seen = clock_timestamp()
WHERE name = $1 AND run = $2";

/// What a process is called, and which of its runs this is.
pub struct ProcessName {
    /// The same after each start.
    pub name: String,
    /// Random.
    pub run: String,
}

/// A process. All times but `silent_ms` are by its own clock, Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// What it is called.
    pub name: String,
    /// When it started.
    pub started_s: i64,
    /// Until then it served.
    pub marked_s: i64,
    /// When it ended in good order.
    pub ended_s: Option<i64>,
    /// Time since its last sign, by the database's clock.
    pub silent_ms: i64,
}

impl ProcessRow {
    /// True if it is running, as far as can be known.
    pub fn is_alive(&self) -> bool {
        self.ended_s.is_none() && self.silent_ms < SILENCE_MAX_MS
    }

    fn read(row: &Row) -> Result<ProcessRow, StateError> {
        Ok(ProcessRow {
            name: row.try_get(0)?,
            started_s: row.try_get(1)?,
            marked_s: row.try_get(2)?,
            ended_s: row.try_get(3)?,
            silent_ms: row.try_get(4)?,
        })
    }
}

/// What became of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkOutcome {
    /// It is written.
    Written {
        /// The database's clock, Unix microseconds.
        database_us: i64,
    },
    /// The clocks differ by more than 2 s. Only that the process is there was written.
    ClockOff {
        /// The database's clock, Unix microseconds.
        database_us: i64,
    },
    /// Another process began under the same name, or this one never began. Nothing was written.
    Replaced,
}

/// All processes.
pub async fn all(lent: &Lent) -> Result<Vec<ProcessRow>, StateError> {
    lent.ask(ALL, &[]).await?.iter().map(ProcessRow::read).collect()
}

/// All processes but this one.
pub async fn others(pools: &Pools, own: &ProcessName) -> Result<Vec<ProcessRow>, StateError> {
    let rows = pools.ask(ALL, &[]).await?;
    let all: Result<Vec<ProcessRow>, StateError> = rows.iter().map(ProcessRow::read).collect();
    Ok(all?.into_iter().filter(|row| row.name != own.name).collect())
}

/// Writes the row of a process that starts.
pub async fn begin(lent: &Lent, own: &ProcessName, at_s: i64) -> Result<(), StateError> {
    lent.ask(BEGIN, &[&own.name, &own.run, &at_s]).await.map(drop)
}

/// Removes the row of a process.
pub async fn remove(lent: &Lent, name: &str) -> Result<(), StateError> {
    lent.ask("DELETE FROM process WHERE name = $1", &[&name]).await.map(drop)
}

/// Writes that a process served until `at_s`. `now_us` is its clock now.
pub async fn mark(
    pools: &Pools,
    own: &ProcessName,
    at_s: i64,
    now_us: Option<i64>,
) -> Result<MarkOutcome, StateError> {
    let skew_max_us = SKEW_MAX_S * 1_000_000;
    let rows = pools.ask_at_once(MARK, &[&own.name, &own.run, &at_s, &now_us, &skew_max_us]).await?;
    let row = rows.first().ok_or(StateError::NotInitialized)?;
    let (database_us, is_right, is_own): (i64, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(match (is_right, is_own) {
        (_, false) => MarkOutcome::Replaced,
        (true, true) => MarkOutcome::Written { database_us },
        (false, true) => MarkOutcome::ClockOff { database_us },
    })
}

/// Writes that a process ended in good order.
pub async fn end(pools: &Pools, own: &ProcessName, at_s: i64) -> Result<(), StateError> {
    pools.ask_at_once(END, &[&own.name, &own.run, &at_s]).await.map(drop)
}
