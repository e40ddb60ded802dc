//! Stored results of periods that ended, and how they become invalid.
//!
//! Each day has a generation. Whoever inserts rows of a day that ended raises it before and after, and has a row in
//! `late` between. A result was computed at the sum of the generations of its days. It is valid while the sum is the
//! same and no row is in `late`. The sum only grows, so an equal sum means that nothing happened.

use system::random;
use tokio_postgres::types::ToSql;

use super::{error::StateError, pool::Pools};

/// Periods of one reading.
pub const PERIODS_MAX: usize = 1024;

/// For each period: the result if it is valid, else the sum of generations if nothing is on its way.
const READ: &str = "
SELECT CASE WHEN NOT w.late AND r.generation = g.sum THEN r.body END, CASE WHEN NOT w.late THEN g.sum END
FROM unnest($2::smallint[], $3::integer[], $4::integer[], $5::integer[])
  WITH ORDINALITY AS p (granularity, start, first_day, last_day, place)
LEFT JOIN result r ON r.appid = $1 AND r.granularity = p.granularity AND r.start = p.start
CROSS JOIN LATERAL (
  SELECT coalesce(sum(generation), 0)::bigint AS sum FROM period
  WHERE appid = $1 AND day BETWEEN p.first_day AND p.last_day) g
CROSS JOIN LATERAL (
  SELECT EXISTS (SELECT FROM late
    WHERE appid = $1 AND day BETWEEN p.first_day AND p.last_day AND until > clock_timestamp()) AS late) w
ORDER BY p.place";
/// All processes store in the same order, so there is no deadlock.
const STORE: &str = "
INSERT INTO result (appid, granularity, start, generation, body)
SELECT $1, p.granularity, p.start, p.generation, p.body
FROM unnest($2::smallint[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $8::bytea[])
  AS p (granularity, start, first_day, last_day, generation, not_before_s, body)
WHERE to_timestamp(p.not_before_s) <= clock_timestamp() AND p.generation = (SELECT coalesce(sum(generation), 0)::bigint FROM period
    WHERE appid = $1 AND day BETWEEN p.first_day AND p.last_day)
  AND NOT EXISTS (SELECT FROM late
    WHERE appid = $1 AND day BETWEEN p.first_day AND p.last_day AND until > clock_timestamp())
ORDER BY p.granularity, p.start
ON CONFLICT (appid, granularity, start) DO UPDATE SET generation = excluded.generation, body = excluded.body
  WHERE result.generation <= excluded.generation
RETURNING 1";
const BEGIN: &str = "
WITH raised AS (
  INSERT INTO period (appid, day, generation) SELECT appid, day, 1 FROM unnest($2::text[], $3::integer[]) AS d (appid, day)
  ON CONFLICT (appid, day) DO UPDATE SET generation = period.generation + 1)
INSERT INTO late (batch, appid, day, until)
SELECT $1, appid, day, clock_timestamp() + interval '60s' FROM unnest($2::text[], $3::integer[]) AS d (appid, day)";
const END: &str = "
WITH ended AS (DELETE FROM late WHERE batch = $1)
INSERT INTO period (appid, day, generation) SELECT appid, day, 1 FROM unnest($2::text[], $3::integer[]) AS d (appid, day)
ON CONFLICT (appid, day) DO UPDATE SET generation = period.generation + 1";

/// A period that ended. Granularity and start are numbers of the caller; the days are those whose rows it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedPeriod {
    /// Hour, day, week or month, as a number of the caller.
    pub granularity: i16,
    /// Which hour, day, week or month.
    pub start: i32,
    /// Number of its first day.
    pub first_day: i32,
    /// How many days it has, at least 1.
    pub days: i32,
}

impl ClosedPeriod {
    fn last_day(&self) -> i32 {
        self.first_day.saturating_add(self.days.max(1) - 1)
    }
}

/// Under which conditions a result may be stored. Take it before the rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultTicket {
    generation: i64,
}

/// What is stored of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResult {
    /// The result, if it is valid.
    pub body: Option<Vec<u8>>,
    /// With it a newly computed result can be stored. None: rows are on their way, so store nothing.
    pub ticket: Option<ResultTicket>,
}

/// A result to store.
#[derive(Clone, Debug)]
pub struct NewResult {
    /// The period it is of.
    pub period: ClosedPeriod,
    /// It was taken before the rows were read.
    pub ticket: ResultTicket,
    /// It is not stored before this second of the database's clock, Unix.
    pub not_before_s: i64,
    /// The result.
    pub body: Vec<u8>,
}

/// Rows of days that ended, on their way to the messages.
#[derive(Debug)]
#[must_use = "end it, or the days have no stored results for 60 s"]
pub struct LateBatch {
    id: String,
    appids: Vec<String>,
    days: Vec<i32>,
}

/// What is stored of some periods of an account, in their order.
pub async fn read(
    pools: &Pools,
    appid: &str,
    periods: &[ClosedPeriod],
) -> Result<Vec<StoredResult>, StateError> {
    if periods.len() > PERIODS_MAX {
        return Err(StateError::Refused(format!("more than {PERIODS_MAX} periods in one question")));
    }
    let PeriodColumns { granularities, starts, first_days, last_days } = PeriodColumns::of(periods.iter());
    let rows = pools.ask(READ, &[&appid, &granularities, &starts, &first_days, &last_days]).await?;
    let results = rows.iter().map(|row| {
        let generation: Option<i64> = row.try_get(1)?;
        let ticket = generation.map(|generation| ResultTicket { generation });
        Ok(StoredResult { body: row.try_get(0)?, ticket })
    });
    results.collect()
}

/// Stores results, each if nothing happened to its days since its ticket was taken. Returns how many are stored.
pub async fn store(pools: &Pools, appid: &str, results: &[NewResult]) -> Result<usize, StateError> {
    let mut stored = 0;
    for some in results.chunks(PERIODS_MAX) {
        let PeriodColumns { granularities, starts, first_days, last_days } =
            PeriodColumns::of(some.iter().map(|result| &result.period));
        let generations: Vec<i64> = some.iter().map(|result| result.ticket.generation).collect();
        let not_before_s: Vec<i64> = some.iter().map(|result| result.not_before_s).collect();
        let bodies: Vec<&[u8]> = some.iter().map(|result| &*result.body).collect();
        let values: [&(dyn ToSql + Sync); 8] =
            [&appid, &granularities, &starts, &first_days, &last_days, &generations, &not_before_s, &bodies];
        stored += pools.ask(STORE, &values).await?.len();
    }
    Ok(stored)
}

/// Periods as columns of a table.
struct PeriodColumns {
    granularities: Vec<i16>,
    starts: Vec<i32>,
    first_days: Vec<i32>,
    last_days: Vec<i32>,
}

impl PeriodColumns {
    fn of<'a>(periods: impl Iterator<Item = &'a ClosedPeriod> + Clone) -> PeriodColumns {
        PeriodColumns {
            granularities: periods.clone().map(|period| period.granularity).collect(),
            starts: periods.clone().map(|period| period.start).collect(),
            first_days: periods.clone().map(|period| period.first_day).collect(),
            last_days: periods.map(ClosedPeriod::last_day).collect(),
        }
    }
}

/// Announces rows of days that ended. Only then they may be inserted, and only for less than 30 s.
pub async fn begin_late(pools: &Pools, days: &[(String, i32)]) -> Result<LateBatch, StateError> {
    let mut days = days.to_vec();
    // In one order, so that two processes never wait for each other.
    days.sort_unstable();
    days.dedup();
    let (appids, days): (Vec<String>, Vec<i32>) = days.into_iter().unzip();
    let batch = LateBatch { id: random::hexadecimal(16).map_err(|_| StateError::Random)?, appids, days };
    if !batch.days.is_empty() {
        pools.ask(BEGIN, &[&batch.id, &batch.appids, &batch.days]).await?;
    }
    Ok(batch)
}

/// The rows are inserted. If it is not known whether they are, do not call this: results are stored again after 60 s.
pub async fn end_late(pools: &Pools, batch: &LateBatch) -> Result<(), StateError> {
    if batch.days.is_empty() {
        return Ok(());
    }
    pools.ask(END, &[&batch.id, &batch.appids, &batch.days]).await.map(drop)
}
