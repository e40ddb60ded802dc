//! Folders of former formats. What ranges of days are counted from is made once, from the messages of each day, when
//! such a folder is first opened; a kill in between leaves the former format, and the next start makes it again.

use msgcube_client::{Day, Granularity};
use msgcube_cube::{Cold as _, ColdError, PageKey, Senders};

use super::{
    Embedded,
    pages::{Save, day_of_key, page_key},
    recover::{META_ACCOUNTS, META_FORMAT, META_VERSION, format_value, version_value},
};
use crate::store::StoreError;

/// The first format with pages of senders.
const WITH_SENDERS: u32 = 3;
/// So many bytes of pages are written at once.
const PAGE_BYTES_MAX: usize = 16 << 20;

impl Embedded {
    /// Brings the pages up to today's format.
    pub(super) fn upgrade(&self, from: u32) -> Result<(), StoreError> {
        if from >= WITH_SENDERS {
            return Ok(());
        }
        let accounts = self.read_accounts().by_number.len();
        for account in (0..).take(accounts) {
            self.make_senders(account)?;
        }
        self.pages.save(&Save {
            meta: vec![
                (META_FORMAT, format_value()),
                (META_VERSION, version_value()),
                (META_ACCOUNTS, self.encode_accounts()),
            ],
            ..Save::default()
        })
    }

    fn make_senders(&self, account: u32) -> Result<(), StoreError> {
        let cold = self.pages.of_account(account);
        let mut written = Written { store: self, account, save: Save::default(), bytes: 0 };
        let mut month: Option<(Day, Senders)> = None;
        for day in self.former_days(account)? {
            let key = PageKey::DayMessages(day);
            let block = cold.page(key).map_err(|error| self.pages.cold(error))?.unwrap_or_default();
            let mut senders = Senders::default();
            let added = senders.add_block(&block);
            added.map_err(|damage| self.pages.cold(ColdError::Damaged(key, damage)))?;
            written.put(PageKey::DaySenders(day), senders.encode())?;
            let start = day.start_of(Granularity::Month);
            match &mut month {
                Some((known, of_month)) if *known == start => of_month.add(&senders),
                _ => {
                    if let Some((former, of_month)) = month.replace((start, senders)) {
                        written.put(PageKey::MonthSenders(former), of_month.encode())?;
                    }
                }
            }
        }
        if let Some((last, of_month)) = month {
            written.put(PageKey::MonthSenders(last), of_month.encode())?;
        }
        self.pages.save(&written.save)
    }

    /// The days of an account, in order.
    fn former_days(&self, account: u32) -> Result<Vec<Day>, StoreError> {
        let key =
            |number: i32| page_key(account, PageKey::DayFigures(Day::from_days_since_1970(number.into())));
        let keys = self.pages.former_keys(&key(i32::MIN), &key(i32::MAX))?;
        Ok(keys.iter().filter_map(|key| day_of_key(key)).collect())
    }
}

/// Pages that are written now and then.
struct Written<'a> {
    store: &'a Embedded,
    account: u32,
    save: Save,
    bytes: usize,
}

impl Written<'_> {
    fn put(&mut self, key: PageKey, page: Vec<u8>) -> Result<(), StoreError> {
        self.bytes += page.len();
        self.save.pages.push((page_key(self.account, key), page));
        if self.bytes > PAGE_BYTES_MAX {
            self.store.pages.save(&self.save)?;
            (self.save, self.bytes) = (Save::default(), 0);
        }
        Ok(())
    }
}
