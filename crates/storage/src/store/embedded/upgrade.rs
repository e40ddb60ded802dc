//! Upgrades folders of former formats. Missing pages are created from the messages of each day when the folder is
//! first opened. A kill during that leaves the former format, and the next start does it again.

use counting::{Derived, PageKey, PageSource as _};
use datacube::Day;

use super::{
    Embedded,
    pages::{Save, day_of_key, page_key},
    recover::{META_ACCOUNTS, META_FORMAT, META_VERSION, format_value, version_value},
};
use crate::store::StoreError;

/// First format with pages of senders and of first days.
const WITH_SENDERS: u32 = 3;
/// Bytes of pages to collect before they are written.
const PAGE_BYTES_MAX: usize = 16 << 20;

impl Embedded {
    /// Upgrades the pages from this format to the current one.
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
        let source = self.pages.of_account(account);
        let mut writer = PageWriter { store: self, account, save: Save::default(), bytes: 0 };
        let mut derived = Derived::default();
        for day in self.former_days(account)? {
            let block =
                source.page(PageKey::DayMessages(day)).map_err(|error| self.pages.read_error(error))?;
            let pages = derived.add_day(day, &block.unwrap_or_default());
            writer.put(pages.map_err(|error| self.pages.read_error(error))?)?;
        }
        let last = page_key(account, PageKey::Users(u32::MAX));
        let user_pages = self.pages.former_keys(&page_key(account, PageKey::Users(0)), &last)?.len();
        writer.put(derived.finish(u32::try_from(user_pages).unwrap_or(u32::MAX)))?;
        self.pages.save(&writer.save)
    }

    /// The days of an account, in order.
    fn former_days(&self, account: u32) -> Result<Vec<Day>, StoreError> {
        let key =
            |number: i32| page_key(account, PageKey::DayFigures(Day::from_days_since_1970(number.into())));
        let keys = self.pages.former_keys(&key(i32::MIN), &key(i32::MAX))?;
        Ok(keys.iter().filter_map(|key| day_of_key(key)).collect())
    }
}

/// Collects pages and writes them when there are enough.
struct PageWriter<'a> {
    store: &'a Embedded,
    account: u32,
    save: Save,
    bytes: usize,
}

impl PageWriter<'_> {
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
