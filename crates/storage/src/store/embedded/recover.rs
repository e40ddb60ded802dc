//! Opens a folder: reads the pages, then replays the frames of the log that are not in the pages.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
};

use counting::{
    Coverage, Damaged,
    varint::{self, Reader},
};
use system::files;
use system::sync::lock;

use super::{
    AccountCells, Cell, Embedded, Options,
    backlog::Backlog,
    disk::{Disk as _, RealDisk},
    facts::{EventNames, Facts},
    log::Log,
    pages::Pages,
    record::Record,
    state_change::StateChange,
};
use crate::store::{AccountNumber, StoreError, folder_lock::lock_folder};

/// Format of the pages. The log has its own format in each header. Format 2 added reasons of gaps. Format 3 added
/// pages of senders and of first days, sorted pages of users, and values in pieces.
pub const FORMAT: u32 = 3;

/// Keys of the values about the store as a whole.
pub const META_FORMAT: &str = "format";
/// Version of msgcube that wrote the format, so that an older version can say which one reads it.
pub const META_VERSION: &str = "version";
/// Number of the first frame that is not in the pages.
pub const META_FIRST_FRAME: &str = "first_frame";
/// Appids and coverage, in order of number.
pub const META_ACCOUNTS: &str = "accounts";
/// Names of events, in order of number.
pub const META_EVENT_NAMES: &str = "event_names";
/// Facts.
pub const META_FACTS: &str = "facts";

/// See [`Embedded::open`].
pub fn open(folder: &Path, options: &Options) -> Result<Embedded, StoreError> {
    let folder_lock = lock_folder(folder)?;
    let log_folder = folder.join("log");
    // A new folder gets its log first. If there are other files and no log, the log was lost.
    if !Log::is_begun(&log_folder)? && !has_data(folder)? {
        Log::begin(&log_folder, options.disk.as_ref())?;
    }
    let pages = open_pages(folder)?;
    let format = check_format(&pages, folder)?;
    let first_frame = first_frame(&pages)?;
    let mut store = Embedded {
        log_folder: log_folder.clone(),
        accounts: RwLock::new(AccountCells::default()),
        facts: Mutex::new(load_facts(&pages).map_err(|damage| damage_of(folder, damage))?),
        // Replaced below. Replaying needs the store, but the log is not open yet.
        log: Mutex::new(Log::unopened(&log_folder, options)),
        saving: Mutex::new(()),
        backlog: Backlog::default(),
        ends_wanted: Mutex::default(),
        log_bytes: Arc::default(),
        memory_bytes: AtomicU64::default(),
        pages,
        interrupted: AtomicBool::new(false),
        options: options.clone(),
        _folder_lock: folder_lock,
    };
    store.load_accounts(format).map_err(|damage| damage_of(folder, damage))?;
    store.upgrade(format)?;
    let log =
        Log::open(&log_folder, options.disk.clone(), first_frame, |payload| store.replay(payload, folder));
    let log = log.map_err(|error| naming_version(error, &store.pages))?;
    store.log_bytes = log.bytes_to_watch();
    *lock(&store.log) = log;
    store.interrupt();
    Ok(store)
}

/// True if the folder contains pages or another database of the program.
fn has_data(folder: &Path) -> Result<bool, StoreError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
    Ok(entries.iter().any(|entry| entry.path().extension().is_some_and(|found| found == "redb")))
}

/// Opens the pages. A new file is created under another name and renamed, so that a kill leaves no partial file.
fn open_pages(folder: &Path) -> Result<Pages, StoreError> {
    let (path, new) = (folder.join("pages.redb"), folder.join("pages.new"));
    let file_error = |source| StoreError::File { path: folder.to_owned(), source };
    if !path.exists() {
        files::remove(&new).map_err(file_error)?;
        drop(Pages::open(&new)?);
        RealDisk.replace(&new, &path).map_err(file_error)?;
    }
    Pages::open(&path)
}

fn check_format(pages: &Pages, folder: &Path) -> Result<u32, StoreError> {
    let Some(bytes) = pages.meta(META_FORMAT)? else { return Ok(FORMAT) };
    match Reader::new(&bytes).number_as::<u32>().map_err(|damage| damaged(folder, damage))? {
        found if found > FORMAT => {
            let newer = StoreError::NewerFormat { path: folder.to_owned(), found, known: FORMAT };
            Err(naming_version(newer, pages))
        }
        found => Ok(found),
    }
}

/// The number of the first frame that is not in the pages.
pub fn first_frame(pages: &Pages) -> Result<u64, StoreError> {
    match pages.meta(META_FIRST_FRAME)? {
        Some(bytes) => Reader::new(&bytes).number().map_err(|damage| pages.damaged(&damage.to_string())),
        None => Ok(0),
    }
}

/// Adds the version that wrote a newer format to the error, if the pages contain it.
fn naming_version(error: StoreError, pages: &Pages) -> StoreError {
    let StoreError::NewerFormat { path, found, known } = error else { return error };
    let version = pages.meta(META_VERSION).ok().flatten();
    match version.and_then(|version| String::from_utf8(version).ok()) {
        Some(version) => StoreError::NewerFormatOf { path, found, known, version },
        None => StoreError::NewerFormat { path, found, known },
    }
}

/// The value of [`META_VERSION`].
pub fn version_value() -> Vec<u8> {
    env!("CARGO_PKG_VERSION").as_bytes().to_vec()
}

/// The value of [`META_FORMAT`].
pub fn format_value() -> Vec<u8> {
    let mut value = Vec::new();
    varint::put(&mut value, u64::from(FORMAT));
    value
}

enum LoadError {
    Store(StoreError),
    Damaged(Damaged),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> LoadError {
        LoadError::Store(error)
    }
}

impl From<Damaged> for LoadError {
    fn from(damage: Damaged) -> LoadError {
        LoadError::Damaged(damage)
    }
}

fn damage_of(folder: &Path, error: LoadError) -> StoreError {
    match error {
        LoadError::Store(error) => error,
        LoadError::Damaged(damage) => damaged(folder, damage),
    }
}

fn damaged(folder: &Path, damage: Damaged) -> StoreError {
    StoreError::Damaged { path: folder.to_owned(), what: damage.to_string() }
}

fn load_facts(pages: &Pages) -> Result<Facts, LoadError> {
    let mut facts = Facts::default();
    if let Some(names) = pages.meta(META_EVENT_NAMES)? {
        facts.event_names = EventNames::decode(&names)?;
    }
    if let Some(bytes) = pages.meta(META_FACTS)? {
        facts.decode_facts(&bytes)?;
    }
    Ok(facts)
}

impl Embedded {
    fn load_accounts(&self, format: u32) -> Result<(), LoadError> {
        let Some(bytes) = self.pages.meta(META_ACCOUNTS)? else { return Ok(()) };
        let mut reader = Reader::new(&bytes);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        while !reader.is_empty() {
            let appid = reader.text()?;
            let coverage = match format {
                ..=1 => Coverage::decode_without_reasons(&mut reader)?,
                _ => Coverage::decode(&mut reader)?,
            };
            accounts.add(appid, coverage, self.options.figures());
        }
        Ok(())
    }

    /// The value of [`META_ACCOUNTS`].
    pub(super) fn encode_accounts(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for cell in &self.read_accounts().by_number {
            varint::put_bytes(&mut out, cell.appid.as_bytes());
            lock(&cell.coverage).encode(&mut out);
        }
        out
    }

    fn replay(&self, payload: &[u8], folder: &Path) -> Result<(), StoreError> {
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let record = Record::decode(&mut reader).map_err(|damage| damaged(folder, damage))?;
            self.replay_record(record).map_err(|error| damage_of(folder, error))?;
        }
        Ok(())
    }

    fn replay_record(&self, record: Record<'_>) -> Result<(), LoadError> {
        match record {
            Record::Account { number, appid } => self.replay_account(number, appid)?,
            Record::EventName { number, name } => lock(&self.facts).event_names.replay(number, name)?,
            Record::User { account, number, openid } => {
                self.with_figures(account, |figures, source| figures.replay_user(number, openid, source))?;
            }
            Record::Entry { account, day, entry } => {
                self.with_figures(account, |figures, source| figures.replay(day, entry, source).map(drop))?;
            }
            Record::Quarantined { key, value, .. } => {
                drop(lock(&self.facts).quarantined.insert(key.to_vec(), value.to_vec()));
            }
            Record::Lose { account, from_s, to_s, reason } => {
                self.apply_state_change(StateChange::Lose {
                    cell: self.named_cell(account)?,
                    from_s,
                    to_s,
                    reason,
                });
            }
            Record::Claim { account, from_s, to_s } => {
                self.apply_state_change(StateChange::Claim { cell: self.named_cell(account)?, from_s, to_s });
            }
            Record::Serve { at_s, accounts, reason } => {
                self.apply_state_change(StateChange::Serve {
                    at_s,
                    cells: self.named_cells(accounts)?,
                    reason,
                });
            }
            Record::Resume { end_s, at_s, accounts, is_bridged } => {
                let cells = self.named_cells(accounts)?;
                self.apply_state_change(StateChange::Resume { end_s, at_s, cells, is_bridged });
            }
            Record::Interrupted => {
                self.read_accounts().by_number.iter().for_each(|cell| lock(&cell.coverage).interrupt());
            }
            Record::Begin { account, at_s } => {
                self.apply_state_change(StateChange::Begin { cell: self.named_cell(account)?, at_s });
            }
            Record::Cease { account } => {
                self.apply_state_change(StateChange::Cease { cell: self.named_cell(account)? });
            }
            Record::Mark { at_s } => self.apply_state_change(StateChange::Mark { at_s }),
            Record::Fact { key, value } => {
                self.apply_state_change(StateChange::Fact {
                    key: key.to_owned(),
                    value: value.map(<[u8]>::to_vec),
                });
            }
        }
        Ok(())
    }

    /// Replays a new account. Replaying it twice changes nothing.
    fn replay_account(&self, number: u32, appid: &str) -> Result<(), Damaged> {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        match accounts.by_number.get(number as usize) {
            Some(known) if known.appid == appid => Ok(()),
            None if accounts.by_number.len() == number as usize => {
                accounts.add(appid, Coverage::default(), self.options.figures());
                Ok(())
            }
            _ => Err(Damaged("an account's number that does not follow")),
        }
    }

    fn named_cell(&self, account: u32) -> Result<Arc<Cell>, Damaged> {
        self.cell(AccountNumber(account)).map_err(|_| Damaged("something of an account that is not known"))
    }

    fn named_cells(&self, accounts: Vec<u32>) -> Result<Vec<Arc<Cell>>, Damaged> {
        accounts.into_iter().map(|account| self.named_cell(account)).collect()
    }

    fn with_figures(
        &self,
        account: u32,
        call: impl FnOnce(&mut counting::Account, &dyn counting::PageSource) -> Result<(), counting::PageError>,
    ) -> Result<(), LoadError> {
        let cell = self.named_cell(account)?;
        let source = self.pages.of_account(account);
        let result = call(&mut lock(&cell.figures), &source);
        Ok(result.map_err(|error| self.pages.read_error(error))?)
    }
}
