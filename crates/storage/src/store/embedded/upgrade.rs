//! Folders of former formats. Pages that they do not have are made once, from the messages of each day, when
//! such a folder is first opened; a kill in between leaves the former format, and the next start makes it again.

use counting::{Cold as _, Derived, PageKey};
use datacube::Day;

use super::{
    Embedded,
    pages::{Save, day_of_key, page_key},
    recover::{META_ACCOUNTS, META_FORMAT, META_VERSION, format_value, version_value},
};
use crate::store::StoreError;

/// The first format with senders and first days.
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
            self.derive(account)?;
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

    fn derive(&self, account: u32) -> Result<(), StoreError> {
        let cold = self.pages.of_account(account);
        let mut written = Written { store: self, account, save: Save::default(), bytes: 0 };
        let mut derived = Derived::default();
        for day in self.former_days(account)? {
            let block = cold.page(PageKey::DayMessages(day)).map_err(|error| self.pages.cold(error))?;
            let pages = derived.add_day(day, &block.unwrap_or_default());
            written.put(pages.map_err(|error| self.pages.cold(error))?)?;
        }
        let last = page_key(account, PageKey::Users(u32::MAX));
        let user_pages = self.pages.former_keys(&page_key(account, PageKey::Users(0)), &last)?.len();
        written.put(derived.finish(u32::try_from(user_pages).unwrap_or(u32::MAX)))?;
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
    fn put(&mut self, pages: Vec<(PageKey, Vec<u8>)>) -> Result<(), StoreError> {
        self.bytes += pages.iter().map(|(_, page)| page.len()).sum::<usize>();
        let pages = pages.into_iter().map(|(key, page)| (page_key(self.account, key), page));
        self.save.pages.extend(pages);
        if self.bytes > PAGE_BYTES_MAX {
            self.store.pages.save(&self.save)?;
            (self.save, self.bytes) = (Save::default(), 0);
        }
        Ok(())
    }
}
