//! Examines a data folder: reads all of it, changes nothing, and says what is damaged and what that costs.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use counting::{Coverage, varint::Reader};
use datacube::Day;
use serde::Serialize;

use super::{
    log::{examine, number_of, paths},
    pages::{
        day_of_key,
        raw::{PagesExam, RawTable},
    },
    recover::{FORMAT, META_ACCOUNTS, META_FIRST_FRAME, META_FORMAT},
};
use crate::store::StoreError;

/// A damaged place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What that costs.
    pub cost: String,
}

impl Damage {
    /// The damage with its cost as an English text.
    pub fn new(file: &Path, what: &str, cost: &Cost) -> Damage {
        Damage { file: file.to_owned(), what: what.to_owned(), cost: cost.to_string() }
    }
}

/// What a damage costs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cost {
    /// The log.
    #[error(
        "messages from frame {from_frame} of the log on, which are in no other file; msgcube does not start with this folder"
    )]
    Log {
        /// The first frame that cannot be read.
        from_frame: u64,
    },
    /// All pages.
    #[error("all figures that were saved in it; msgcube does not start with this folder")]
    Pages,
    /// A page of users.
    #[error("account {account}: some of its users; figures that need them are not answered")]
    Users {
        /// Its appid, or its number if the appid cannot be read.
        account: String,
    },
    /// The messages of a day.
    #[error(
        "account {account}: messages of {day}; hours and ranges of this day are not answered, its late messages are not taken"
    )]
    Messages {
        /// Its appid, or its number if the appid cannot be read.
        account: String,
        /// The Beijing day.
        day: Day,
    },
    /// The figures of a period.
    #[error("account {account}: figures of the {period} of {day}")]
    Figures {
        /// Its appid, or its number if the appid cannot be read.
        account: String,
        /// `day`, `week` or `month`.
        period: &'static str,
        /// The first day of the period.
        day: Day,
    },
    /// The sets of users who wrote on a day or in a month.
    #[error(
        "account {account}: who wrote in the {period} of {day}; distinct users of ranges with it are not answered"
    )]
    Senders {
        /// Its appid, or its number if the appid cannot be read.
        account: String,
        /// `day` or `month`.
        period: &'static str,
        /// The first day of the period.
        day: Day,
    },
    /// On which day users wrote first.
    #[error(
        "account {account}: when some or all of its users first wrote; new users of ranges are not answered, messages of such users are not taken"
    )]
    NewUsers {
        /// Its appid, or its number if the appid cannot be read.
        account: String,
    },
    /// A quarantined message.
    #[error("one message that is not counted; no figure")]
    Quarantined,
    /// A value about the store as a whole.
    #[error("{name} of all accounts; msgcube does not start with this folder")]
    Meta {
        /// Its key.
        name: String,
    },
    /// Any other value of the page file.
    #[error("one value of the table {table}")]
    Value {
        /// The name of the table.
        table: String,
    },
    /// The outbox.
    #[error("copies of events that were not delivered yet; no figure")]
    Copies,
    /// Any part of a backup.
    #[error("this backup cannot be restored; the next backup into this folder replaces the damaged part")]
    Part,
    /// The list of a backup's parts.
    #[error("this backup cannot be restored; make a new one in an empty folder")]
    Manifest,
}

/// The result of an examination.
#[derive(Debug, Default)]
pub struct Examined {
    /// Number of files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged.
    pub damages: Vec<Damage>,
}

/// About how many bytes an examination will read.
pub fn bytes_of(folder: &Path) -> u64 {
    let log = paths(&folder.join("log")).unwrap_or_default();
    let files = log.into_iter().chain(["pages.redb", "copies.redb"].map(|name| folder.join(name)));
    files.filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Examines the folder. `progress` gets the bytes that were read so far.
///
/// # Errors
/// [`StoreError::InUse`] while a server uses it, [`StoreError::File`] if something cannot be read at all, and
/// [`StoreError::NewerFormat`].
pub fn examine_folder(folder: &Path, progress: &dyn Fn(u64)) -> Result<Examined, StoreError> {
    let _lock = lock_if_there(folder)?;
    let mut examined = Examined::default();
    let first_frame = examine_pages(&folder.join("pages.redb"), &mut examined)?;
    progress(examined.bytes);
    examine_log(&folder.join("log"), first_frame, &mut examined, progress)?;
    let copies = folder.join("copies.redb");
    if copies.exists() {
        examined.count(&copies);
        let exam = PagesExam::open(&copies);
        if !exam.is_ok_and(|exam| exam.is_intact) {
            examined.damages.push(Damage::new(&copies, WRONG_CHECKSUMS, &Cost::Copies));
        }
        progress(examined.bytes);
    }
    Ok(examined)
}

const WRONG_CHECKSUMS: &str = "its checksums are wrong";

impl Examined {
    /// Counts a file that was read.
    pub fn count(&mut self, path: &Path) {
        self.files += 1;
        self.bytes += path.metadata().map_or(0, |metadata| metadata.len());
    }
}

/// Only an existing lock is taken: nothing is written.
fn lock_if_there(folder: &Path) -> Result<Option<File>, StoreError> {
    let Ok(file) = File::open(folder.join("lock")) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(StoreError::File { path: folder.to_owned(), source }),
    }
}

/// Returns the number of the frame where the log continues. None if that cannot be read.
fn examine_pages(path: &Path, examined: &mut Examined) -> Result<Option<u64>, StoreError> {
    if !path.exists() {
        return Ok(Some(0));
    }
    examined.count(path);
    let exam = match PagesExam::open(path) {
        Ok(exam) => exam,
        Err(StoreError::File { path, source }) => return Err(StoreError::File { path, source }),
        Err(_) => {
            examined.damages.push(Damage::new(path, WRONG_CHECKSUMS, &Cost::Pages));
            return Ok(None);
        }
    };
    let mut meta = Meta::default();
    let mut damaged = Vec::new();
    let read = exam.each_row(path, |table, key, value, is_whole| {
        if !is_whole {
            damaged.push((table.clone(), key.to_vec()));
        } else if table.name == "meta" {
            meta.take(key, &value[..value.len().saturating_sub(4)]);
        }
    });
    if let Some(found) = meta.format.filter(|found| *found > FORMAT) {
        return Err(StoreError::NewerFormat { path: path.to_owned(), found, known: FORMAT });
    }
    let accounts = meta.accounts();
    for (table, key) in &damaged {
        let what = format!("the value of key {key:02x?} is damaged");
        examined.damages.push(Damage::new(path, &what, &cost_of(table, key, &accounts)));
    }
    // If damaged values were found, the damage of the whole file is not listed as well.
    if read.is_err() || (!exam.is_intact && damaged.is_empty()) {
        examined.damages.push(Damage::new(path, WRONG_CHECKSUMS, &Cost::Pages));
    }
    Ok(meta.first_frame.or(damaged.is_empty().then_some(0)))
}

#[derive(Default)]
struct Meta {
    format: Option<u32>,
    first_frame: Option<u64>,
    accounts: Vec<u8>,
}

impl Meta {
    fn take(&mut self, key: &[u8], value: &[u8]) {
        if key == META_FORMAT.as_bytes() {
            self.format = Reader::new(value).number_as().ok();
        } else if key == META_FIRST_FRAME.as_bytes() {
            self.first_frame = Reader::new(value).number().ok();
        } else if key == META_ACCOUNTS.as_bytes() {
            self.accounts = value.to_vec();
        }
    }

    /// As many appids as can be read.
    fn accounts(&self) -> Vec<String> {
        let mut reader = Reader::new(&self.accounts);
        let mut accounts = Vec::new();
        while let Ok(appid) = reader.text() {
            accounts.push(appid.to_owned());
            let skipped = match self.format {
                Some(..=1) => Coverage::decode_without_reasons(&mut reader),
                _ => Coverage::decode(&mut reader),
            };
            if skipped.is_err() {
                break;
            }
        }
        accounts
    }
}

fn cost_of(table: &RawTable, key: &[u8], accounts: &[String]) -> Cost {
    let known = match (table.name.as_str(), key) {
        ("meta", _) => return Cost::Meta { name: String::from_utf8_lossy(key).into_owned() },
        ("asides", _) => return Cost::Quarantined,
        ("users", [n0, n1, n2, n3, ..]) => {
            let account = account_name(u32::from_be_bytes([*n0, *n1, *n2, *n3]), accounts);
            Some(Cost::Users { account })
        }
        ("pages" | "values", _) => cost_of_page(key, accounts),
        ("pieces", [page_key @ .., _number]) => cost_of_page(page_key, accounts),
        _ => None,
    };
    known.unwrap_or_else(|| Cost::Value { table: table.name.clone() })
}

fn account_name(number: u32, accounts: &[String]) -> String {
    accounts.get(number as usize).cloned().unwrap_or_else(|| number.to_string())
}

/// Reads a key that `page_key` made.
fn cost_of_page(key: &[u8], accounts: &[String]) -> Option<Cost> {
    let [number @ .., sort, _, _, _, _] = key else { return None };
    let account = account_name(u32::from_be_bytes(number.try_into().ok()?), accounts);
    let day = day_of_key(key)?;
    Some(match sort {
        1 | 10 | 11 => Cost::Users { account },
        2 => Cost::Messages { account, day },
        3 => Cost::Figures { account, period: "day", day },
        4 => Cost::Figures { account, period: "week", day },
        5 => Cost::Figures { account, period: "month", day },
        6 => Cost::Senders { account, period: "day", day },
        7 => Cost::Senders { account, period: "month", day },
        8 | 9 => Cost::NewUsers { account },
        _ => return None,
    })
}

/// `first_frame`: the first frame that is not in the pages. None if that cannot be read.
fn examine_log(
    folder: &Path,
    first_frame: Option<u64>,
    examined: &mut Examined,
    progress: &dyn Fn(u64),
) -> Result<(), StoreError> {
    let paths = paths(folder)?;
    let numbers: Vec<u64> = paths.iter().filter_map(|path| number_of(path)).collect();
    // If the pages do not say where the log continues, any segment may be the first.
    let needed = first_frame.or(numbers.first().copied()).unwrap_or(0);
    if numbers.iter().all(|number| *number < needed) {
        let path = super::log::path_of(folder, needed);
        examined.damages.push(Damage::new(&path, "is missing", &Cost::Log { from_frame: needed }));
    }
    let mut expected = None;
    for (at, path) in paths.iter().enumerate() {
        let file_error = |source| StoreError::File { path: path.clone(), source };
        let Some(number) = number_of(path) else { continue };
        let bytes = std::fs::read(path).map_err(file_error)?;
        examined.count(path);
        progress(examined.bytes);
        let next = match paths.get(at + 1) {
            // The newest segment may have no whole header yet. Then it holds no frame.
            Some(next) => super::log::read_header(next)?,
            None => None,
        };
        if expected.is_some_and(|expected| expected != number) || (at == 0 && number > needed) {
            let what = format!("frames before {number} are missing");
            let from_frame = expected.unwrap_or(needed);
            examined.damages.push(Damage::new(path, &what, &Cost::Log { from_frame }));
        }
        match examine::examine(&bytes, number, next) {
            Ok(end) => expected = Some(end),
            Err(flaw) => {
                examined.damages.push(Damage::new(
                    path,
                    &flaw.what,
                    &Cost::Log { from_frame: flaw.from_frame },
                ));
                expected = None;
            }
        }
    }
    Ok(())
}
