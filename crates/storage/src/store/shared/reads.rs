//! Answers figures: from the stored results of periods that are over, and all else from the messages themselves.

use std::{collections::BTreeMap, sync::Arc};

use cluster::{
    messages::{Buckets, PeriodCounts, QuarantinedRow},
    state::{ClosedPeriod, NewResult, ResultTicket},
};
use counting::{Coverage, Kind, Period, day_of, rollup::KindFigures, start_of_day_s};
use datacube::{Day, Granularity, Interface, Row};

use super::{Shared, SharedCore};
use crate::store::{
    AccountNumber, NewUsers, QuarantinedMessage, Slice, StoreError, UnknownAccount, statistics::Span,
};

/// A result is stored if the last day of its period ended so many seconds ago. Rows of such a day are announced before they
/// are inserted; those of the current day are not, so its hours are never stored.
const STORED_AFTER_S: i64 = 60;
/// Periods that are looked up at once.
const LOOKED_UP_MAX: usize = 1024;
/// With more stretches of unknown periods than this, one question asks for all periods between the first and the last,
/// if these are not too many.
const STRETCHES_MAX: usize = 4;
/// Periods of one question that joins stretches.
const JOINED_MAX: usize = 2000;

/// A period whose figures are not known yet.
#[derive(Debug)]
struct Unknown {
    at: usize,
    period: Period,
    /// Its result may be stored.
    ticket: Option<ResultTicket>,
}

impl Shared {
    /// See [`crate::store::Store::rows`].
    pub fn rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(rows_of(interface, periods, &self.periods(account, periods, false)?))
    }

    /// See [`crate::store::Store::ask_rows`].
    pub async fn ask_rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        let asked = SharedCore::periods(self.core.clone(), self.appid(account)?, periods.to_vec(), false);
        Ok(rows_of(interface, periods, &self.runtime.run(asked).await??))
    }

    /// See [`crate::store::Store::slices`].
    pub fn slices(&self, account: AccountNumber, spans: &[Span]) -> Result<Vec<Slice>, StoreError> {
        let periods: Vec<Period> = spans.iter().filter_map(|span| span.period()).collect();
        let mut whole = self.periods(account, &periods, true)?.into_iter();
        let slices = spans.iter().map(|span| match span {
            Span::Period(_) => whole.next().as_ref().map(slice_of).ok_or_else(no_figures),
            Span::Days(from, to) => self.range(account, *from, *to),
        });
        slices.collect()
    }

    fn range(&self, account: AccountNumber, from: Day, to: Day) -> Result<Slice, StoreError> {
        let appid = self.appid(account)?;
        let (from_s, to_s) = Span::Days(from, to).seconds();
        let core = self.core.clone();
        let counts = self.runtime.wait(async move {
            core.messages.figures(&appid, &Buckets::range(from_s, to_s), true).await
        })??;
        counts.first().map(slice_of).ok_or_else(no_figures)
    }

    /// The figures of periods, in their order. Periods of one length are counted together.
    fn periods(
        &self,
        account: AccountNumber,
        periods: &[Period],
        with_events: bool,
    ) -> Result<Vec<PeriodCounts>, StoreError> {
        let asked =
            SharedCore::periods(self.core.clone(), self.appid(account)?, periods.to_vec(), with_events);
        self.runtime.wait(asked)?
    }

    /// See [`crate::store::Store::new_users`].
    pub fn new_users(&self, account: AccountNumber, from: Day, to: Day) -> Result<NewUsers, StoreError> {
        let appid = self.appid(account)?;
        let (from_s, to_s) = Span::Days(from, to).seconds();
        let core = self.core.clone();
        let found =
            self.runtime.wait(async move { core.messages.new_users(&appid, from_s, to_s).await })??;
        let since_s = self.coverage(account, Coverage::since);
        Ok(NewUsers::new(found.users, from, found.first_s.map(day_of), since_s))
    }

    /// See [`crate::store::Store::quarantined_messages`].
    pub fn quarantined_messages(
        &self,
        account: AccountNumber,
        limit: usize,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        let (appid, core) = (self.appid(account)?, self.core.clone());
        let rows = self.runtime.wait(async move { core.messages.quarantined(&appid, limit).await })??;
        Ok(rows.into_iter().map(quarantined_message).collect())
    }

    pub(super) fn appid(&self, account: AccountNumber) -> Result<Arc<str>, UnknownAccount> {
        self.core.accounts.get(account).map(|account| account.appid.clone())
    }
}

impl SharedCore {
    /// See [`Shared::periods`].
    async fn periods(
        core: Arc<SharedCore>,
        appid: Arc<str>,
        periods: Vec<Period>,
        with_events: bool,
    ) -> Result<Vec<PeriodCounts>, StoreError> {
        let (mut known, unknown) = core.stored_results(&appid, &periods).await?;
        let (counted, to_store) = core.count(&appid, unknown, with_events).await?;
        for (at, counts) in counted {
            known[at] = Some(counts);
        }
        if !to_store.is_empty() {
            // The answer does not wait for it.
            tokio::spawn(async move { core.store_results(&appid, to_store).await });
        }
        let all: Option<Vec<PeriodCounts>> = known.into_iter().collect();
        all.ok_or_else(no_figures)
    }

    /// The stored results, and the periods that have none.
    async fn stored_results(
        &self,
        appid: &str,
        periods: &[Period],
    ) -> Result<(Vec<Option<PeriodCounts>>, Vec<Unknown>), StoreError> {
        let mut known: Vec<Option<PeriodCounts>> = Vec::new();
        known.resize_with(periods.len(), || None);
        let now_s = self.clock.now_s();
        let is_over = |period: &Period| may_store_from_s(*period) <= now_s;
        let open = periods.iter().enumerate().filter(|(_, period)| !is_over(period));
        let mut unknown: Vec<Unknown> =
            open.map(|(at, period)| Unknown { at, period: *period, ticket: None }).collect();
        let over: Vec<(usize, Period)> =
            periods.iter().copied().enumerate().filter(|(_, period)| is_over(period)).collect();
        for some in over.chunks(LOOKED_UP_MAX) {
            let keys: Vec<ClosedPeriod> = some.iter().map(|(_, period)| closed_period(*period)).collect();
            let results = self.state.results(appid, &keys).await?;
            for ((at, period), result) in some.iter().zip(results) {
                match result.body.map(|body| PeriodCounts::decode(&body)) {
                    Some(Ok(counts)) => known[*at] = Some(counts),
                    Some(Err(_)) | None => {
                        unknown.push(Unknown { at: *at, period: *period, ticket: result.ticket });
                    }
                }
            }
        }
        unknown.sort_by_key(|unknown| unknown.period);
        Ok((known, unknown))
    }

    /// Counts messages. Also returns what may be stored.
    async fn count(
        &self,
        appid: &str,
        unknown: Vec<Unknown>,
        with_events: bool,
    ) -> Result<(Vec<(usize, PeriodCounts)>, Vec<NewResult>), StoreError> {
        let (mut counted, mut to_store) = (Vec::new(), Vec::new());
        for stretch in stretches(unknown) {
            let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
            // Results are stored with the names of events.
            let with_events = with_events || stretch.iter().any(|unknown| unknown.ticket.is_some());
            let buckets = Buckets::of_periods(first.period, last.period);
            let starts: Vec<i64> = (0..buckets.len()).filter_map(|at| Some(buckets.bounds(at)?.0)).collect();
            let all = self.messages.figures(appid, &buckets, with_events).await?;
            for unknown in stretch {
                let at = starts.binary_search(&unknown.period.start_s());
                // A period that is not among the answers stays unknown, and the question fails.
                let Some(counts) = at.ok().and_then(|at| all.get(at)).cloned() else { continue };
                to_store.extend(unknown.ticket.map(|ticket| NewResult {
                    period: closed_period(unknown.period),
                    ticket,
                    // Only the database's clock is the same for all processes.
                    not_before_s: if self.clock.is_chosen() { 0 } else { may_store_from_s(unknown.period) },
                    body: counts.encode(),
                }));
                counted.push((unknown.at, counts));
            }
        }
        Ok((counted, to_store))
    }

    /// Stores results. It does not matter if this fails: they are counted again.
    async fn store_results(&self, appid: &str, results: Vec<NewResult>) {
        if let Err(error) = self.state.store_results(appid, &results).await {
            tracing::debug!(appid, %error, "results are not stored");
        }
    }
}

/// Unknown periods that follow each other, or all of them if there are many gaps between them.
fn stretches(unknown: Vec<Unknown>) -> Vec<Vec<Unknown>> {
    let mut stretches: Vec<Vec<Unknown>> = Vec::new();
    for next in unknown {
        match stretches.last_mut() {
            Some(last) if last.last().is_some_and(|before| follows(before.period, next.period)) => {
                last.push(next);
            }
            _ => stretches.push(vec![next]),
        }
    }
    let first = stretches.first().and_then(|stretch| stretch.first());
    let last = stretches.last().and_then(|stretch| stretch.last());
    let (Some(first), Some(last)) = (first, last) else { return stretches };
    let is_joined = stretches.len() > STRETCHES_MAX
        && first.period.granularity() == last.period.granularity()
        && Buckets::of_periods(first.period, last.period).len() <= JOINED_MAX;
    if is_joined { vec![stretches.into_iter().flatten().collect()] } else { stretches }
}

fn rows_of(interface: &Interface, periods: &[Period], counts: &[PeriodCounts]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (period, counts) in periods.iter().zip(counts) {
        counts.counters.rows(*period, interface.figures, &mut rows);
    }
    rows
}

/// The answer of the servers lacks a period. That is never a period without messages.
fn no_figures() -> StoreError {
    StoreError::Servers("ClickHouse answered without the figures of a period".to_owned())
}

fn follows(before: Period, next: Period) -> bool {
    before.granularity() == next.granularity() && before.end_s() >= next.start_s()
}

/// From which second on the result of a period may be stored, Unix.
fn may_store_from_s(period: Period) -> i64 {
    start_of_day_s(period.last_day().plus_days(1)) + STORED_AFTER_S
}

fn closed_period(period: Period) -> ClosedPeriod {
    let first_day = period.start().days_since_1970();
    let (granularity, start) = match period.granularity() {
        Granularity::Hour => {
            (0, first_day.saturating_mul(24).saturating_add(i32::from(period.hour_of_day())))
        }
        Granularity::Day => (1, first_day),
        Granularity::Week => (2, first_day),
        Granularity::Month => (3, first_day),
    };
    let days = period.last_day().days_since(period.start()) + 1;
    ClosedPeriod { granularity, start, first_day, days: if granularity == 0 { 1 } else { days } }
}

fn slice_of(counts: &PeriodCounts) -> Slice {
    let counters = &counts.counters;
    let figures = Kind::ALL.into_iter().map(|kind| {
        let events = if kind == Kind::Event { counts.events.clone() } else { BTreeMap::new() };
        let (users, messages) = (counters.users(kind), counters.messages(kind));
        (kind, KindFigures { users, messages, events })
    });
    Slice {
        by_kind: figures.filter(|(_, figures)| figures.messages > 0).collect(),
        users_counted: counters.users_counted(),
        messages_counted: counters.messages_counted(),
        users_of_videos: counters.users_of_videos(),
    }
}

fn quarantined_message(row: QuarantinedRow) -> QuarantinedMessage {
    QuarantinedMessage {
        reason: row.reason.into(),
        user: row.user.into(),
        create_time: row.create_time,
        msg_type: row.msg_type.into(),
        msg_id: row.msg_id,
        event: row.event.map(Into::into),
        event_digest: row.event_digest.map(Into::into),
    }
}
