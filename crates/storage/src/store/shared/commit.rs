//! Makes a batch durable: first everything that is decided, then messages, last the mark.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use cluster::{
    messages::{MessageId, MessageRow, QuarantinedRow},
    state::{Committed, MarkOutcome, StateTurn},
};
use counting::{Content, Message, day_of, start_of_day_s};
use system::sync::lock;
use tokio::time::Instant;

use super::{
    Shared, SharedCore,
    state_draft::{ServiceState, StateDraft},
};
use crate::store::{AccountNumber, Change, NotDurable, Outcome, QuarantinedMessage, StoreError};

/// Callers give up after 4.5 s, so rows are not repeated for longer.
const INSERT_TIME_MAX: Duration = Duration::from_secs(4);
/// So many seconds before its end, rows of a day count as late. A clock may be behind, and an insert takes time.
const LATE_BEFORE_END_S: i64 = 15;

/// A turn to decide, and what a decision changes.
#[derive(Debug)]
pub struct SharedTurn {
    turn: StateTurn,
    core: Arc<SharedCore>,
}

/// Account, user, CreateTime, MsgId and digest of the event: what makes two quarantined messages the same.
type QuarantinedIdentity = (AccountNumber, Box<str>, i64, Option<u64>, Option<String>);

/// The rows of a batch.
#[derive(Debug, Default)]
struct Rows {
    messages: Vec<MessageRow>,
    quarantined: Vec<QuarantinedRow>,
    /// Messages of this batch, to find repeats in it.
    seen: HashSet<(AccountNumber, Box<str>, i64, MessageId)>,
    seen_quarantined: HashSet<QuarantinedIdentity>,
    /// Accounts and days in Beijing of the messages.
    days: BTreeSet<(Arc<str>, i32)>,
}

impl Shared {
    /// See [`crate::store::Store::commit`].
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        let mut rows = Rows::default();
        let mut decided = Vec::new();
        let mut marked_s = None;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(match change {
                Change::Message { account, message } => rows.add(&self.core, *account, message),
                Change::Quarantine { account, message } => {
                    rows.add_quarantined(&self.core, *account, message)
                }
                Change::Mark { at_s } => {
                    marked_s = Some(*at_s);
                    Outcome::Noted
                }
                other => {
                    decided.push((outcomes.len(), other.clone()));
                    Outcome::Noted
                }
            });
        }
        let core = self.core.clone();
        let task = async move { core.commit(decided, rows, marked_s).await };
        let told = self.runtime.wait(task).map_err(|error| NotDurable(error.to_string()))??;
        for (at, outcome) in told {
            outcomes[at] = outcome;
        }
        Ok(outcomes)
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
        let outcomes = if decided.is_empty() { Vec::new() } else { self.commit_decided(decided).await? };
        self.insert(rows).await?;
        if let Some(at_s) = marked_s {
            self.mark(at_s).await?;
        }
        Ok(outcomes)
    }

    async fn commit_decided(
        &self,
        changes: Vec<(usize, Change)>,
    ) -> Result<Vec<(usize, Outcome)>, NotDurable> {
        let mut turn = self.state.turn().await?;
        let begins =
            |(_, change): &(usize, Change)| matches!(change, Change::Serve { .. } | Change::Resume { .. });
        let own_marked_s = *lock(&self.own_marked_s);
        let service = if changes.iter().any(begins) {
            ServiceState::new(&turn.processes().await?, &self.folder.name, own_marked_s)
        } else {
            ServiceState { is_other_alive: true, marked_s: self.state.service_mark(), own_marked_s }
        };
        let mut draft = StateDraft::new(&self.accounts, service, turn.seq());
        let outcomes = changes
            .iter()
            .filter_map(|(at, change)| draft.add(change).map(|outcome| (*at, outcome)))
            .collect();
        let serves_from_s = draft.serves_from_s;
        if let Some(at_s) = serves_from_s {
            turn.begin_process(at_s).await?;
        }
        let (writes, drafted) = draft.finish();
        let committed = turn.commit(writes).await?;
        drafted.apply(&self.accounts);
        if let Some(at_s) = serves_from_s {
            *lock(&self.own_marked_s) = Some(at_s);
        }
        drop(committed);
        Ok(outcomes)
    }

    /// Inserts the rows. Stored results of periods that are over are put aside meanwhile, if rows belong to them.
    async fn insert(&self, rows: Rows) -> Result<(), NotDurable> {
        let until = Instant::now() + INSERT_TIME_MAX;
        let is_late = |day: i32| {
            let end_s = start_of_day_s(datacube::Day::from_days_since_1970(i64::from(day) + 1));
            end_s <= self.clock.now_s() + LATE_BEFORE_END_S
        };
        let late: Vec<(String, i32)> = rows
            .days
            .iter()
            .filter(|(_, day)| is_late(*day))
            .map(|(appid, day)| (appid.to_string(), *day))
            .collect();
        let batch = if late.is_empty() { None } else { Some(self.state.begin_late(&late).await?) };
        let inserted = self.insert_rows(rows, until).await;
        if let Some(batch) = batch {
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
            MarkOutcome::Written { .. } => *lock(&self.own_marked_s) = Some(at_s),
            MarkOutcome::ClockOff { ahead_us } => tracing::error!(
                behind_s = ahead_us / 1_000_000,
                "the clock of this machine differs from PostgreSQL's; until it is set, this process covers no time"
            ),
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

impl Rows {
    fn add(&mut self, core: &SharedCore, number: AccountNumber, message: &Message) -> Outcome {
        let account = match core.accounts.get(number) {
            Ok(account) => account,
            Err(error) => return error.into(),
        };
        let Ok(create_time) = u32::try_from(message.create_time) else {
            return Outcome::Failed("CreateTime lies outside of 1970 to 2106".to_owned());
        };
        let (id, event) = match &message.content {
            Content::Message { msg_id, .. } => (MessageId::of_message(*msg_id), ""),
            Content::Event { name, key, msg_id } => (MessageId::of_event(name, key, *msg_id), &**name),
        };
        if !self.seen.insert((number, message.user.clone(), message.create_time, id)) {
            return Outcome::Repeat;
        }
        let appid = account.appid.clone();
        self.days.insert((appid.clone(), day_of(message.create_time).days_since_1970()));
        self.messages.push(MessageRow {
            appid,
            user: message.user.clone(),
            create_time,
            id,
            kind: message.kind(),
            event: event.into(),
            received_us: core.received_us(),
        });
        Outcome::Counted
    }

    fn add_quarantined(
        &mut self,
        core: &SharedCore,
        number: AccountNumber,
        message: &QuarantinedMessage,
    ) -> Outcome {
        let account = match core.accounts.get(number) {
            Ok(account) => account,
            Err(error) => return error.into(),
        };
        let identity = (
            number,
            message.user.as_str().into(),
            message.create_time,
            message.msg_id,
            message.event_digest.clone(),
        );
        if !self.seen_quarantined.insert(identity) {
            return Outcome::Repeat;
        }
        self.quarantined.push(QuarantinedRow {
            appid: account.appid.clone(),
            user: message.user.as_str().into(),
            create_time: message.create_time,
            msg_type: message.msg_type.as_str().into(),
            reason: message.reason.as_str().into(),
            msg_id: message.msg_id,
            event: message.event.as_deref().map(Into::into),
            event_digest: message.event_digest.as_deref().map(Into::into),
            received_us: core.received_us(),
        });
        Outcome::Noted
    }
}
