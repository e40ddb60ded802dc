//! The embedded store. A log makes messages durable, figures are kept in memory, and pages on disk keep a restart
//! short. A batch is admitted, written as one frame, and then applied. If the write fails, the whole batch is
//! reverted.

mod backlog;
pub mod disk;
mod ends;
pub mod examine;
mod facts;
mod frame;
mod log;
mod options;
pub mod pages;
mod reads;
mod record;
mod recover;
mod save;
pub mod snapshot;
mod state_change;
mod summary;
mod upgrade;

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use counting::{Account, Admitted, Content, Coverage, Message, start_of_day_s};
use datacube::Day;
use hashbrown::HashMap;
use system::sync::lock;

use super::{AccountNumber, Change, NotDurable, Outcome, QuarantinedMessage, StoreError, UnknownAccount};
use facts::Facts;
use log::Log;
pub use options::Options;
use pages::Pages;
use record::Record;
use state_change::StateChange;
use summary::SummaryTally;

/// The store in a data folder. It locks the folder while it is open.
#[derive(Debug)]
pub struct Embedded {
    log_folder: PathBuf,
    pages: Pages,
    accounts: RwLock<AccountCells>,
    facts: Mutex<Facts>,
    log: Mutex<Log>,
    saving: Mutex<()>,
    backlog: backlog::Backlog,
    /// Account and month whose ends are to be counted.
    ends_wanted: Mutex<BTreeSet<(u32, Day)>>,
    /// Last known sizes of log and memory. They are cached because computing them would wait for the disk.
    log_bytes: Arc<AtomicU64>,
    memory_bytes: AtomicU64,
    /// No account is served since a fault or the start, and the log does not contain that yet.
    interrupted: AtomicBool,
    options: Options,
    /// Locked while the store is open, so that no other process opens the folder.
    _folder_lock: File,
}

#[derive(Debug, Default)]
struct AccountCells {
    by_number: Vec<Arc<Cell>>,
    by_appid: HashMap<String, AccountNumber, foldhash::quality::RandomState>,
    /// Accounts that are not in the log yet. New ones are appended at any time; other changes need the lock of the
    /// log.
    unwritten: Vec<Arc<Cell>>,
}

impl AccountCells {
    fn add(&mut self, appid: &str, coverage: Coverage, figures: Account) -> Arc<Cell> {
        let number = AccountNumber::at(self.by_number.len());
        let cell = Arc::new(Cell {
            number: number.0,
            appid: appid.to_owned(),
            figures: Mutex::new(figures),
            coverage: Mutex::new(coverage),
            summary: Mutex::new(None),
        });
        self.by_appid.insert(appid.to_owned(), number);
        self.by_number.push(cell.clone());
        cell
    }
}

/// One account. Its figures have their own lock, so a query does not wait for other accounts.
#[derive(Debug)]
struct Cell {
    number: u32,
    appid: String,
    figures: Mutex<Account>,
    coverage: Mutex<Coverage>,
    /// None until it is first needed. It is locked after the figures.
    summary: Mutex<Option<Box<SummaryTally>>>,
}

impl Cell {
    /// Counts an admitted message that is now durable.
    fn count(&self, admitted: &Admitted) {
        let mut figures = lock(&self.figures);
        figures.apply(admitted);
        if let Some(tally) = lock(&self.summary).as_mut() {
            let Admitted { day, entry, .. } = admitted;
            tally.count(start_of_day_s(*day) + i64::from(entry.second()), entry.kind());
        }
    }
}

/// A batch that is admitted and not durable yet.
#[derive(Default)]
struct Batch {
    frame: Vec<u8>,
    steps: Vec<PendingStep>,
    /// Keys of the batch's quarantined messages, to find repeats in the batch.
    quarantined: BTreeSet<Vec<u8>>,
}

/// A step to apply once the frame is durable, or to revert if the write fails.
enum PendingStep {
    Entry { cell: Arc<Cell>, admitted: Admitted },
    EventName,
    State(StateChange),
    Quarantined { key: Vec<u8>, value: Vec<u8> },
}

impl Embedded {
    /// Opens the folder and replays the log that is not in the pages.
    pub fn open(folder: &Path, options: &Options) -> Result<Embedded, StoreError> {
        recover::open(folder, options)
    }

    /// See [`super::Store::is_blank`].
    pub fn is_blank(&self) -> bool {
        lock(&self.log).is_blank()
    }

    /// See [`super::Store::account`].
    pub fn account(&self, appid: &str) -> Result<AccountNumber, NotDurable> {
        let mut log = lock(&self.log);
        let number = self.reserve(appid);
        self.append(&mut log, &[])?;
        Ok(number)
    }

    /// See [`super::Store::reserve`].
    pub fn reserve(&self, appid: &str) -> AccountNumber {
        if let Some(number) = self.read_accounts().by_appid.get(appid) {
            return *number;
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = accounts.by_appid.get(appid) {
            return *number;
        }
        let cell = accounts.add(appid, Coverage::default(), self.options.figures());
        accounts.unwritten.push(cell.clone());
        AccountNumber(cell.number)
    }

    /// Writes a frame, unless it would be empty. New accounts come first in it, before records that name them.
    fn append(&self, log: &mut Log, records: &[u8]) -> Result<(), NotDurable> {
        let mut accounts = Vec::new();
        let written = self.encode_unwritten(&mut accounts);
        let done = match (written, records) {
            (0, []) => return Ok(()),
            (0, records) => log.append(records),
            (_, records) => log.append(&[&accounts, records].concat()),
        };
        done.map_err(|error| NotDurable(error.to_string()))?;
        if written > 0 {
            let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
            accounts.unwritten.drain(..written);
        }
        Ok(())
    }

    fn encode_unwritten(&self, frame: &mut Vec<u8>) -> usize {
        let accounts = self.read_accounts();
        for cell in &accounts.unwritten {
            Record::Account { number: cell.number, appid: &cell.appid }.encode(frame);
        }
        accounts.unwritten.len()
    }

    fn read_accounts(&self) -> std::sync::RwLockReadGuard<'_, AccountCells> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, account: AccountNumber) -> Result<Arc<Cell>, UnknownAccount> {
        let accounts = self.read_accounts();
        accounts.by_number.get(account.0 as usize).cloned().ok_or(UnknownAccount(account.0))
    }

    /// See [`super::Store::commit`].
    pub fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, NotDurable> {
        let mut log = lock(&self.log);
        let mut batch = Batch::default();
        let outcomes = changes.iter().map(|change| self.admit(change, &mut batch)).collect();
        if !batch.frame.is_empty() {
            let bytes = batch.frame.len();
            if let Err(error) = self.append(&mut log, &self.with_interruption(batch.frame)) {
                self.revert(&batch.steps);
                self.interrupt();
                return Err(error);
            }
            self.backlog.add(bytes);
            self.interrupted.store(false, Ordering::Relaxed);
        }
        for step in batch.steps {
            self.apply(step);
        }
        Ok(outcomes)
    }

    /// Time since the last mark is not covered until the accounts are served again.
    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.read_accounts().by_number.iter().for_each(|cell| lock(&cell.coverage).interrupt());
    }

    /// The frame. If the log does not know about the interruption yet, a record of it comes first.
    fn with_interruption(&self, frame: Vec<u8>) -> Vec<u8> {
        if !self.interrupted.load(Ordering::Relaxed) {
            return frame;
        }
        let mut whole = Vec::with_capacity(frame.len() + 16);
        Record::Interrupted.encode(&mut whole);
        whole.extend_from_slice(&frame);
        whole
    }

    fn admit(&self, change: &Change, batch: &mut Batch) -> Outcome {
        let state_change = match change {
            Change::Message { account, message } => return self.admit_message(*account, message, batch),
            Change::Quarantine { account, message } => {
                return self.admit_quarantined(*account, message, batch);
            }
            Change::Lose { account, from_s, to_s, reason } => {
                let lost =
                    |cell| StateChange::Lose { cell, from_s: *from_s, to_s: *to_s, reason: reason.clone() };
                self.cell(*account).map(lost)
            }
            Change::Claim { account, from_s, to_s } => {
                self.cell(*account).map(|cell| StateChange::Claim { cell, from_s: *from_s, to_s: *to_s })
            }
            Change::Serve { at_s, accounts, reason } => {
                let served = |cells| StateChange::Serve { at_s: *at_s, cells, reason: reason.clone() };
                self.cells(accounts).map(served)
            }
            Change::Resume { end_s, at_s, accounts, is_bridged } => {
                let (end_s, at_s, is_bridged) = (*end_s, *at_s, *is_bridged);
                self.cells(accounts).map(|cells| StateChange::Resume { end_s, at_s, cells, is_bridged })
            }
            Change::Begin { at_s, account } => {
                self.cell(*account).map(|cell| StateChange::Begin { cell, at_s: *at_s })
            }
            Change::Cease { account } => self.cell(*account).map(|cell| StateChange::Cease { cell }),
            Change::Mark { at_s } => Ok(StateChange::Mark { at_s: *at_s }),
            Change::Fact { key, value } => Ok(StateChange::Fact { key: key.clone(), value: value.clone() }),
        };
        match state_change {
            Ok(state_change) => {
                state_change.record().encode(&mut batch.frame);
                batch.steps.push(PendingStep::State(state_change));
                Outcome::Noted
            }
            Err(error) => error.into(),
        }
    }

    fn admit_message(&self, account: AccountNumber, message: &Message, batch: &mut Batch) -> Outcome {
        let cell = match self.cell(account) {
            Ok(cell) => cell,
            Err(error) => return error.into(),
        };
        let name = self.event_name(message, batch);
        let admitted = lock(&cell.figures).admit(message, name, &self.pages.of_account(cell.number));
        let admitted = match admitted {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return Outcome::Repeat,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let Admitted { day, entry, new_user } = admitted;
        if new_user {
            Record::User { account: cell.number, number: entry.user(), openid: &message.user }
                .encode(&mut batch.frame);
        }
        Record::Entry { account: cell.number, day, entry }.encode(&mut batch.frame);
        batch.steps.push(PendingStep::Entry { cell, admitted });
        Outcome::Counted
    }

    fn cells(&self, accounts: &[AccountNumber]) -> Result<Vec<Arc<Cell>>, UnknownAccount> {
        accounts.iter().map(|account| self.cell(*account)).collect()
    }

    fn event_name(&self, message: &Message, batch: &mut Batch) -> u16 {
        let Content::Event { name, .. } = &message.content else { return 0 };
        let mut facts = lock(&self.facts);
        let (number, new) = facts.event_names.number_of(name);
        if new {
            Record::EventName { number, name }.encode(&mut batch.frame);
            batch.steps.push(PendingStep::EventName);
        }
        number
    }

    fn admit_quarantined(
        &self,
        account: AccountNumber,
        message: &QuarantinedMessage,
        batch: &mut Batch,
    ) -> Outcome {
        if let Err(error) = self.cell(account) {
            return error.into();
        }
        let key = facts::quarantine_key(account.0, message);
        // Former versions stored no MsgID of an event.
        let former = message.without_event_msg_id().map(|former| facts::quarantine_key(account.0, &former));
        for key in former.iter().chain([&key]) {
            let waits = batch.quarantined.contains(key) || lock(&self.facts).quarantined.contains_key(key);
            match self.pages.quarantined(key) {
                Ok(None) if !waits => {}
                Ok(_) => return Outcome::Repeat,
                Err(error) => return Outcome::Failed(error.to_string()),
            }
        }
        match serde_json::to_vec(message) {
            Ok(value) => {
                Record::Quarantined { account: account.0, key: &key, value: &value }.encode(&mut batch.frame);
                batch.quarantined.insert(key.clone());
                batch.steps.push(PendingStep::Quarantined { key, value });
                Outcome::Noted
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn apply(&self, step: PendingStep) {
        match step {
            PendingStep::Entry { cell, admitted } => cell.count(&admitted),
            PendingStep::EventName => {}
            PendingStep::Quarantined { key, value } => drop(lock(&self.facts).quarantined.insert(key, value)),
            PendingStep::State(state_change) => self.apply_state_change(state_change),
        }
    }

    fn revert(&self, steps: &[PendingStep]) {
        for step in steps.iter().rev() {
            match step {
                PendingStep::Entry { cell, admitted } => lock(&cell.figures).revert(admitted),
                PendingStep::EventName => lock(&self.facts).event_names.remove_last(),
                PendingStep::Quarantined { .. } | PendingStep::State(_) => {}
            }
        }
    }
}
