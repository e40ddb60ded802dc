//! The accounts of this process and their coverage. All processes apply the same facts in the same order, so all have
//! the same coverage.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use counting::{
    Coverage, Damaged,
    varint::{self, Reader},
};
use hashbrown::HashMap;
use system::sync::lock;

use super::service_event::{self, ServiceEvent};
use crate::store::{AccountNumber, UnknownAccount};

/// Prefix of the keys of the facts that hold an account's coverage.
pub const FACT_PREFIX: &str = "coverage/";
const FORMAT: u8 = 1;

/// Accounts by number. Numbers mean something only in this process.
#[derive(Debug, Default)]
pub struct SharedAccounts {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_number: Vec<Arc<SharedAccount>>,
    by_appid: HashMap<Arc<str>, AccountNumber, foldhash::quality::RandomState>,
}

/// One account.
#[derive(Debug)]
pub struct SharedAccount {
    /// Its appid.
    pub appid: Arc<str>,
    covered: Mutex<Covered>,
}

/// Coverage, and the facts that it contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The number of the newest transaction that changed it.
    pub seq: u64,
    /// The coverage. Marks of all processes are added when it is looked at.
    pub coverage: Coverage,
}

impl SharedAccounts {
    /// The account's number. `load` reads the coverage of an account that is new in this process.
    pub fn number(&self, appid: &str, load: impl FnOnce() -> Covered) -> AccountNumber {
        if let Some(number) = self.read().by_appid.get(appid) {
            return *number;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.by_appid.get(appid) {
            return *number;
        }
        // Still with the lock, so a fact that comes later finds the account.
        let covered = load();
        let number = AccountNumber::at(known.by_number.len());
        let appid: Arc<str> = appid.into();
        known.by_appid.insert(appid.clone(), number);
        known.by_number.push(Arc::new(SharedAccount { appid, covered: Mutex::new(covered) }));
        number
    }

    /// The account with a number.
    pub fn get(&self, number: AccountNumber) -> Result<Arc<SharedAccount>, UnknownAccount> {
        self.read().by_number.get(number.0 as usize).cloned().ok_or(UnknownAccount(number.0))
    }

    /// All accounts, in the order of their numbers.
    pub fn all(&self) -> Vec<Arc<SharedAccount>> {
        self.read().by_number.clone()
    }

    /// Applies a fact. Facts of other kinds and accounts that are unknown here change nothing: `number` reads those
    /// later.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) -> Result<(), Damaged> {
        let Some(value) = value else { return Ok(()) };
        if let Some(seq) = ServiceEvent::seq_of(key) {
            let events = ServiceEvent::decode_all(value)?;
            self.all().iter().for_each(|account| account.apply(seq, &events));
        } else if let Some(appid) = key.strip_prefix(FACT_PREFIX) {
            let number = self.read().by_appid.get(appid).copied();
            if let Some(account) = number.and_then(|number| self.get(number).ok()) {
                account.replace(Covered::decode(value)?);
            }
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedAccount {
    /// A copy of the coverage.
    pub fn covered(&self) -> Covered {
        lock(&self.covered).clone()
    }

    /// Passes the coverage to `look`, with the time until this mark covered.
    pub fn look<T>(&self, marked_s: Option<i64>, look: impl FnOnce(&mut Coverage) -> T) -> T {
        let mut covered = lock(&self.covered);
        if let Some(marked_s) = marked_s {
            covered.coverage.mark(marked_s);
        }
        look(&mut covered.coverage)
    }

    /// Applies the events of a transaction, unless they are contained already.
    pub fn apply(&self, seq: u64, events: &[ServiceEvent]) {
        lock(&self.covered).apply(seq, events);
    }

    /// Takes a newer state of the coverage.
    pub fn replace(&self, newer: Covered) {
        let mut covered = lock(&self.covered);
        // One with the same number contains the events of that transaction.
        if newer.seq >= covered.seq {
            *covered = newer;
        }
    }

    /// Replaces the coverage, also by an older one.
    pub fn reset(&self, covered: Covered) {
        *lock(&self.covered) = covered;
    }

    /// The key of the fact.
    pub fn fact_key(&self) -> String {
        format!("{FACT_PREFIX}{}", self.appid)
    }
}

impl Covered {
    /// Reads the coverage of an account from the stored facts: `stored`, and the events of all accounts after it.
    pub fn load(stored: Option<Vec<u8>>, events: &[(String, Vec<u8>)]) -> Result<Covered, Damaged> {
        let mut covered = stored.map_or(Ok(Covered::default()), |stored| Covered::decode(&stored))?;
        for (key, value) in events {
            if let Some(seq) = ServiceEvent::seq_of(key) {
                covered.apply(seq, &ServiceEvent::decode_all(value)?);
            }
        }
        Ok(covered)
    }

    /// Applies the events of a transaction, unless they are contained already.
    fn apply(&mut self, seq: u64, events: &[ServiceEvent]) {
        if seq > self.seq {
            events.iter().for_each(|event| event.apply(&mut self.coverage));
            self.seq = seq;
        }
    }

    /// The fact's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        varint::put(&mut out, self.seq);
        self.coverage.encode(&mut out);
        out
    }

    fn decode(value: &[u8]) -> Result<Covered, Damaged> {
        let mut reader = Reader::new(value);
        if reader.byte()? != FORMAT {
            return Err(Damaged("a coverage of a newer version"));
        }
        Ok(Covered { seq: reader.number()?, coverage: Coverage::decode(&mut reader)? })
    }
}

/// Whether a fact belongs to the store itself.
pub fn is_own_fact(key: &str) -> bool {
    key.starts_with(FACT_PREFIX) || key.starts_with(service_event::FACT_PREFIX)
}
