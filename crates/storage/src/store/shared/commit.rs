//! Makes a batch durable: first messages, then everything that is decided, last the mark. While ClickHouse is away, each
//! batch says again since when messages are received; so nothing of that is stored before messages are.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cluster::state::{Committed, MarkOutcome, StateTurn};
use counting::start_of_day_s;
use system::sync::lock;
use tokio::time::Instant;

use super::{
    Shared, SharedCore,
    peers::is_due,
    rows::Rows,
    state_draft::{ServiceState, StateDraft},
};
use crate::store::{Change, NotDurable, Outcome, StoreError, Told};

/// Callers give up after 4.5 s, so rows are not repeated for longer.
const INSERT_TIME_MAX: Duration = Duration::from_secs(4);
/// So many seconds before its end, rows of a day count as late. A clock may be behind, and an insert takes time.
const LATE_BEFORE_END_S: i64 = 15;
/// Clocks that differ by more seconds are wrong.
const SKEW_MAX_S: i64 = 2;
/// A wrong clock is logged so often.
const CLOCK_LOGGED_EVERY: Duration = Duration::from_secs(60);

/// A turn to decide, and what a decision changes.
#[derive(Debug)]
pub struct SharedTurn {
    turn: StateTurn,
    core: Arc<SharedCore>,
}

impl Shared {
    /// See [`crate::store::Store::commit`].
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        let mut rows = Rows::default();
        let mut decided = Vec::new();
        let mut marked_s = None;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            if let Some(outcome) = rows.add_change(&self.core, change) {
                outcomes.push(outcome);
                continue;
            }
            match change {
                Change::Mark { at_s } => marked_s = Some(*at_s),
                other => decided.push((outcomes.len(), other.clone())),
            }
            outcomes.push(Outcome::Noted);
        }
        let core = self.core.clone();
        let task = async move { core.commit(decided, rows, marked_s).await };
        let told = self.runtime.wait(task).map_err(|error| NotDurable(error.to_string()))??;
        for (at, outcome) in told {
            outcomes[at] = outcome;
        }
        Ok(outcomes)
    }

    /// See [`crate::store::Store::insert`].
    pub fn insert(&self, changes: &[Change], told: Told) {
        let mut rows = Rows::default();
        let other = || Outcome::Failed("an insert contains messages only".to_owned());
        let outcomes: Vec<Outcome> =
            changes.iter().map(|change| rows.add_change(&self.core, change).unwrap_or_else(other)).collect();
        let core = self.core.clone();
        self.runtime.spawn(async move { told(core.insert_or_keep(rows).await.map(|()| outcomes)) });
    }

    /// See [`crate::store::Store::stored`].
    pub fn stored(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        let mut is_stored = vec![false; changes.len()];
        let (mut rows, mut places) = (Rows::default(), Vec::new());
        for (place, change) in changes.iter().enumerate() {
            let Change::Message { account, message } = change else { continue };
            if rows.add(&self.core, *account, message) == Outcome::Counted {
                places.push(place);
            }
        }
        let core = self.core.clone();
        let known = self.runtime.wait(async move { core.messages.known(&rows.messages).await })??;
        places.into_iter().zip(known).for_each(|(place, is_known)| is_stored[place] = is_known);
        Ok(is_stored)
    }

    /// Waits for a turn to decide.
    ///
    /// # Errors
    /// If PostgreSQL does not answer.
    pub async fn decide(&self) -> Result<SharedTurn, NotDurable> {
        Ok(SharedTurn { turn: self.core.state.turn().await?, core: self.core.clone() })
    }

    /// Like `decide`, and blocks.
    ///
    /// # Errors
    /// If PostgreSQL does not answer.
    pub fn decide_blocking(&self) -> Result<SharedTurn, NotDurable> {
        let core = self.core.clone();
        let turn = self.wait(async move { Ok(core.state.turn().await?) })?;
        Ok(SharedTurn { turn, core: self.core.clone() })
    }

    /// Makes the changes of a decision durable, all or none. Blocks.
    ///
    /// # Errors
    /// If nothing was stored, or if it is unknown whether it was.
    pub fn commit_blocking(
        &self,
        turn: SharedTurn,
        changes: Vec<Change>,
    ) -> Result<Vec<Outcome>, NotDurable> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.wait(async move { turn.commit(&changes).await.map(|(outcomes, _)| outcomes) })
    }

    /// True if another process serves. Blocks.
    ///
    /// # Errors
    /// If PostgreSQL does not answer.
    pub fn has_other_processes(&self) -> Result<bool, NotDurable> {
        let core = self.core.clone();
        let others = self.wait(async move { Ok(core.state.others().await?) })?;
        Ok(others.iter().any(cluster::state::ProcessRow::is_alive))
    }

    fn wait<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, NotDurable>> + Send + 'static,
    ) -> Result<T, NotDurable> {
        self.runtime.wait(task).map_err(|error| NotDurable(error.to_string()))?
    }
}

impl SharedTurn {
    /// The database's clock, Unix seconds; this process's if it was set on purpose.
    pub fn now_s(&self) -> i64 {
        if self.core.clock.is_chosen() { self.core.clock.now_s() } else { self.turn.now_s() }
    }

    /// Makes the changes of the decision durable, all or none.
    ///
    /// # Errors
    /// If nothing was stored, or if it is unknown whether it was.
    pub async fn commit(self, changes: &[Change]) -> Result<(Vec<Outcome>, Committed), NotDurable> {
        let service = ServiceState {
            is_other_alive: true,
            marked_s: self.core.state.service_mark(),
            own_marked_s: None,
        };
        let mut draft = StateDraft::new(&self.core.accounts, service, self.turn.seq());
        let outcomes = changes.iter().map(|change| {
            let stored_elsewhere = Outcome::Failed("a decision contains no messages and no marks".to_owned());
            draft.add(change).unwrap_or(stored_elsewhere)
        });
        let outcomes = outcomes.collect();
        let (writes, drafted) = draft.finish();
        let committed = self.turn.commit(writes).await?;
        drafted.apply(&self.core.accounts);
        Ok((outcomes, committed))
    }
}

impl SharedCore {
    async fn commit(
        &self,
        decided: Vec<(usize, Change)>,
        rows: Rows,
        marked_s: Option<i64>,
    ) -> Result<Vec<(usize, Outcome)>, NotDurable> {
        self.insert_or_try_again(rows, !decided.is_empty()).await?;
        if decided.iter().any(|(_, change)| begins(change)) {
            // ClickHouse is back, and no other insert runs.
            *lock(&self.unconfirmed) = None;
        }
        let outcomes = if decided.is_empty() { Vec::new() } else { self.commit_decided(decided).await? };
        if let Some(at_s) = marked_s {
            self.mark(at_s).await?;
        }
        Ok(outcomes)
    }

    async fn commit_decided(
        &self,
        changes: Vec<(usize, Change)>,
    ) -> Result<Vec<(usize, Outcome)>, NotDurable> {
        let asked_s = self.clock.now_s();
        let mut turn = self.state.turn().await?;
        let right_s = self.right_s(asked_s, turn.now_s());
        let ahead_s = self.note_clock(turn.now_s());
        let own_marked_s = *lock(&self.own_marked_s);
        let service = if changes.iter().any(|(_, change)| begins(change)) {
            ServiceState::new(&turn.processes().await?, &self.folder.name, own_marked_s)
        } else {
            ServiceState { is_other_alive: true, marked_s: self.state.service_mark(), own_marked_s }
        };
        let mut draft = StateDraft::new(&self.accounts, service, turn.seq());
        let outcomes = changes
            .iter()
            .filter_map(|(at, change)| {
                let outcome = match change {
                    Change::Serve { .. } | Change::Resume { .. } => draft.add(&beginning_at(change, right_s)),
                    Change::Lose { account, from_s, to_s, reason } if right_s.is_some() => {
                        // The wrong clock noted it, unless the time is WeChat's. So both times count as lost.
                        let (account, reason) = (*account, reason.clone());
                        let (from_s, to_s) = (from_s + ahead_s, to_s + ahead_s);
                        draft.add(&Change::Lose { account, from_s, to_s, reason });
                        draft.add(change)
                    }
                    other => draft.add(other),
                };
                outcome.map(|outcome| (*at, outcome))
            })
            .collect();
        let serves_from_s = draft.serves_from_s;
        if let Some(at_s) = serves_from_s {
            turn.begin_process(at_s).await?;
        }
        let (writes, drafted) = draft.finish();
        let committed = turn.commit(writes).await?;
        if serves_from_s.is_some() {
            drafted.log();
        }
        drafted.apply(&self.accounts);
        if let Some(at_s) = serves_from_s {
            *lock(&self.own_marked_s) = Some(at_s);
        }
        drop(committed);
        Ok(outcomes)
    }

    /// Notes the database's clock, Unix seconds, and returns how many seconds it is ahead.
    fn note_clock(&self, database_s: i64) -> i64 {
        let ahead_s = if self.clock.is_chosen() { 0 } else { database_s - self.clock.now_s() };
        self.database_ahead_s.store(ahead_s, Ordering::Relaxed);
        ahead_s
    }

    /// The second from which on this process serves, if its own clock cannot say so. `asked_s`: that clock before the
    /// turn was asked for. `turn_s`: the database's clock when it was given.
    fn right_s(&self, asked_s: i64, turn_s: i64) -> Option<i64> {
        let is_wrong = asked_s > turn_s + SKEW_MAX_S || self.clock.now_s() < turn_s - SKEW_MAX_S;
        (is_wrong && !self.clock.is_chosen()).then_some(turn_s + 1)
    }

    /// Inserts the rows. If a batch failed before and there are none now, some of its rows show whether ClickHouse is
    /// back: nothing may be covered before that. `is_needed`: something is stored after the rows.
    async fn insert_or_try_again(&self, rows: Rows, is_needed: bool) -> Result<(), NotDurable> {
        let again = if rows.is_empty() && is_needed { lock(&self.unconfirmed).take() } else { None };
        self.insert_or_keep(again.unwrap_or(rows)).await
    }

    /// Inserts the rows. If that fails, keeps some of them to try again.
    async fn insert_or_keep(&self, rows: Rows) -> Result<(), NotDurable> {
        if rows.is_empty() {
            return Ok(());
        }
        let kept = rows.some();
        let inserted = self.insert(rows).await;
        if inserted.is_err() {
            *lock(&self.unconfirmed) = Some(kept);
        }
        inserted
    }

    /// Inserts the rows. Stored results of periods that are over are put aside meanwhile, if rows belong to them.
    async fn insert(&self, rows: Rows) -> Result<(), NotDurable> {
        let until = Instant::now() + INSERT_TIME_MAX;
        // The clock of this machine may be behind.
        let ahead_s = self.database_ahead_s.load(Ordering::Relaxed).max(0);
        let late_until_s = self.clock.now_s() + ahead_s + LATE_BEFORE_END_S;
        let is_late = |day: i32| {
            start_of_day_s(datacube::Day::from_days_since_1970(i64::from(day) + 1)) <= late_until_s
        };
        let late: Vec<(String, i32)> = rows
            .days
            .iter()
            .filter(|(_, day)| is_late(*day))
            .map(|(appid, day)| (appid.to_string(), *day))
            .collect();
        let batch = if late.is_empty() { None } else { Some(self.state.begin_late(&late).await?) };
        let inserted = self.insert_rows(rows, until).await;
        // After an error a server may still insert the rows. Without this end, no results of these days are stored for a minute.
        if let (Some(batch), Ok(())) = (batch, &inserted) {
            self.state.end_late(&batch).await?;
        }
        inserted
    }

    async fn insert_rows(&self, rows: Rows, until: Instant) -> Result<(), NotDurable> {
        if !rows.messages.is_empty() {
            self.messages.insert(rows.messages, until).await?;
        }
        if !rows.quarantined.is_empty() {
            self.messages.insert_quarantined(rows.quarantined, until).await?;
        }
        Ok(())
    }

    /// Moves the mark of this process, if it serves and its clock is right. What was received is durable in any case.
    async fn mark(&self, at_s: i64) -> Result<(), NotDurable> {
        if lock(&self.own_marked_s).is_none() {
            return Ok(());
        }
        let now_us = (!self.clock.is_chosen()).then(|| self.clock.now_us());
        match self.state.mark(at_s, now_us).await? {
            MarkOutcome::Written { database_us } => {
                self.note_clock(database_us.div_euclid(1_000_000));
                *lock(&self.own_marked_s) = Some(at_s);
            }
            MarkOutcome::ClockOff { database_us } => {
                let ahead_s = self.note_clock(database_us.div_euclid(1_000_000));
                if is_due(&self.clock_logged, CLOCK_LOGGED_EVERY) {
                    tracing::error!(
                        "the clock of this machine is {} s {} PostgreSQL's; until it is set, this process covers no time",
                        ahead_s.abs(),
                        if ahead_s > 0 { "behind" } else { "ahead of" },
                    );
                }
            }
            MarkOutcome::Replaced => {
                return Err(NotDurable(format!(
                    "this process was silent for too long, or another one has its name {}; give each process a data_dir of its own",
                    self.folder.name
                )));
            }
        }
        Ok(())
    }
}

fn begins(change: &Change) -> bool {
    matches!(change, Change::Serve { .. } | Change::Resume { .. })
}

/// The start of service, at another second if one is given.
fn beginning_at(change: &Change, right_s: Option<i64>) -> Change {
    let mut change = change.clone();
    if let (Change::Serve { at_s, .. } | Change::Resume { at_s, .. }, Some(right_s)) = (&mut change, right_s)
    {
        *at_s = right_s;
    }
    change
}
