//! The embedded store: a log that makes messages durable, figures in memory, and pages on disk that keep a restart
//! short. A batch is admitted, made durable as one frame, then applied; or reverted as a whole.

mod answers;
pub mod disk;
pub mod examine;
mod frame;
mod log;
mod note;
pub mod pages;
mod record;
mod recover;
mod save;
mod small;
pub mod snapshot;
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

use counting::{Account, Admitted, Content, Coverage, Message};
use hashbrown::HashMap;
use system::sync::lock;

use super::{AccountNumber, Aside, Change, NotDurable, Outcome, StoreError, UnknownAccount};
use disk::{Disk, RealDisk};
use log::Log;
use note::Note;
use pages::Pages;
use record::Record;
use small::Small;

/// How the store uses memory and disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Users and pages in memory, in bytes, before pages are let go.
    pub memory_bytes: usize,
    /// Log that a restart may have to replay, in bytes, before pages are saved.
    pub log_bytes: u64,
    /// Where log files are made; tests put faults here.
    pub disk: Arc<dyn Disk>,
}

/// Memory that a user who came last takes, in bytes.
const RECENT_USER_BYTES: usize = 45;

impl Options {
    /// An account with nothing in memory. Half of the memory may be taken by users that were read from disk.
    fn figures(&self) -> Account {
        Account::within(self.memory_bytes / 2)
    }

    /// So many users of an account may have come last before they are sorted into pages: an eighth of the memory.
    fn recent_users(&self) -> u32 {
        u32::try_from(self.memory_bytes / 8 / RECENT_USER_BYTES).unwrap_or(u32::MAX)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { memory_bytes: 512 << 20, log_bytes: 64 << 20, disk: Arc::new(RealDisk) }
    }
}

/// The store in a folder.
#[derive(Debug)]
pub struct Embedded {
    log_folder: PathBuf,
    pages: Pages,
    accounts: RwLock<Accounts>,
    small: Mutex<Small>,
    log: Mutex<Log>,
    saving: Mutex<()>,
    /// Of the log and of the memory, as they were when last looked at: looking again would wait for the disk.
    log_bytes: Arc<AtomicU64>,
    memory_bytes: AtomicU64,
    /// Nobody is served since a fault or the start, and the log does not say so yet.
    interrupted: AtomicBool,
    options: Options,
    /// Held for as long as the store is open, so that no other process opens the folder.
    _folder_lock: File,
}

#[derive(Debug, Default)]
struct Accounts {
    by_number: Vec<Arc<Cell>>,
    by_appid: HashMap<String, AccountNumber, foldhash::quality::RandomState>,
    /// The log does not know them yet; it changes only while the log is locked, but for new ones at its end.
    unwritten: Vec<Arc<Cell>>,
}

impl Accounts {
    fn add(&mut self, appid: &str, coverage: Coverage, figures: Account) -> Arc<Cell> {
        let number = AccountNumber::at(self.by_number.len());
        let cell = Arc::new(Cell {
            number: number.0,
            appid: appid.to_owned(),
            figures: Mutex::new(figures),
            coverage: Mutex::new(coverage),
        });
        self.by_appid.insert(appid.to_owned(), number);
        self.by_number.push(cell.clone());
        cell
    }
}

/// One account. Its figures are locked on their own, so that a question waits for no other account.
#[derive(Debug)]
struct Cell {
    number: u32,
    appid: String,
    figures: Mutex<Account>,
    coverage: Mutex<Coverage>,
}

/// A batch between admission and the disk's answer.
#[derive(Default)]
struct Batch {
    frame: Vec<u8>,
    steps: Vec<Step>,
    /// Keys of the messages to keep aside.
    asides: BTreeSet<Vec<u8>>,
}

/// What to do once the frame is durable, or to undo if it is not.
enum Step {
    Entry { cell: Arc<Cell>, admitted: Admitted },
    EventName,
    Note(Note),
    Aside { key: Vec<u8>, value: Vec<u8> },
}

impl Embedded {
    /// Opens the folder, replays what was not saved, and is ready for messages.
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

    /// Writes a frame, if there is anything to write. Accounts that the log does not know yet come before what is about
    /// them.
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

    fn read_accounts(&self) -> std::sync::RwLockReadGuard<'_, Accounts> {
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
            if let Err(error) = self.append(&mut log, &self.with_interruption(batch.frame)) {
                self.revert(&batch.steps);
                self.interrupt();
                return Err(error);
            }
            self.interrupted.store(false, Ordering::Relaxed);
        }
        for step in batch.steps {
            self.apply(step);
        }
        Ok(outcomes)
    }

    /// What was not taken since the last mark is not covered, until somebody serves anew.
    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.read_accounts().by_number.iter().for_each(|cell| lock(&cell.coverage).interrupt());
    }

    /// The frame, after a record that ends all serving if the log does not know that yet.
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
        let note = match change {
            Change::Message { account, message } => return self.admit_message(*account, message, batch),
            Change::Aside { account, aside } => return self.admit_aside(*account, aside, batch),
            Change::Lose { account, from_s, to_s, reason } => {
                let lost = |cell| Note::Lose { cell, from_s: *from_s, to_s: *to_s, reason: reason.clone() };
                self.cell(*account).map(lost)
            }
            Change::Claim { account, from_s, to_s } => {
                self.cell(*account).map(|cell| Note::Claim { cell, from_s: *from_s, to_s: *to_s })
            }
            Change::Serve { at_s, accounts, reason } => {
                let served = |cells| Note::Serve { at_s: *at_s, cells, reason: reason.clone() };
                self.cells(accounts).map(served)
            }
            Change::Resume { end_s, at_s, accounts, is_bridged } => {
                let (end_s, at_s, is_bridged) = (*end_s, *at_s, *is_bridged);
                self.cells(accounts).map(|cells| Note::Resume { end_s, at_s, cells, is_bridged })
            }
            Change::Begin { at_s, account } => {
                self.cell(*account).map(|cell| Note::Begin { cell, at_s: *at_s })
            }
            Change::Cease { account } => self.cell(*account).map(|cell| Note::Cease { cell }),
            Change::Mark { at_s } => Ok(Note::Mark { at_s: *at_s }),
            Change::Fact { key, value } => Ok(Note::Fact { key: key.clone(), value: value.clone() }),
        };
        match note {
            Ok(note) => {
                note.record().encode(&mut batch.frame);
                batch.steps.push(Step::Note(note));
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
        batch.steps.push(Step::Entry { cell, admitted });
        Outcome::Counted
    }

    fn cells(&self, accounts: &[AccountNumber]) -> Result<Vec<Arc<Cell>>, UnknownAccount> {
        accounts.iter().map(|account| self.cell(*account)).collect()
    }

    fn event_name(&self, message: &Message, batch: &mut Batch) -> u16 {
        let Content::Event { name, .. } = &message.content else { return 0 };
        let mut small = lock(&self.small);
        let (number, new) = small.names.number_of(name);
        if new {
            Record::EventName { number, name }.encode(&mut batch.frame);
            batch.steps.push(Step::EventName);
        }
        number
    }

    fn admit_aside(&self, account: AccountNumber, aside: &Aside, batch: &mut Batch) -> Outcome {
        if let Err(error) = self.cell(account) {
            return error.into();
        }
        let key = small::aside_key(account.0, aside);
        // What a former version kept has no MsgID.
        let former = aside.without_event_msg_id().map(|aside| small::aside_key(account.0, &aside));
        for key in former.iter().chain([&key]) {
            let waits = batch.asides.contains(key) || lock(&self.small).asides.contains_key(key);
            match self.pages.aside(key) {
                Ok(None) if !waits => {}
                Ok(_) => return Outcome::Repeat,
                Err(error) => return Outcome::Failed(error.to_string()),
            }
        }
        match serde_json::to_vec(aside) {
            Ok(value) => {
                Record::Aside { account: account.0, key: &key, value: &value }.encode(&mut batch.frame);
                batch.asides.insert(key.clone());
                batch.steps.push(Step::Aside { key, value });
                Outcome::Noted
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn apply(&self, step: Step) {
        match step {
            Step::Entry { cell, admitted } => lock(&cell.figures).apply(&admitted),
            Step::EventName => {}
            Step::Aside { key, value } => drop(lock(&self.small).asides.insert(key, value)),
            Step::Note(note) => self.note(note),
        }
    }

    fn revert(&self, steps: &[Step]) {
        for step in steps.iter().rev() {
            match step {
                Step::Entry { cell, admitted } => lock(&cell.figures).revert(admitted),
                Step::EventName => lock(&self.small).names.remove_last(),
                Step::Aside { .. } | Step::Note(_) => {}
            }
        }
    }
}
