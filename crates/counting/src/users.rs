//! The users of one account: maps openids to numbers in order of arrival. Openids are stored nowhere else. Most are on
//! disk in pages sorted by openid, and are read one page at a time. Recent ones are in memory.

mod merge;
mod packed_text;
mod recent;
mod sorted_page;
mod user_list;

use std::{collections::BTreeMap, ops::Bound};

pub use merge::{Merge, MergeStep};
use recent::Recent;
use sorted_page::SortedPage;

use crate::{
    page::{PageError, PageKey, PageSource, PageState},
    varint::Reader,
};

/// Users in one stored page of recent users.
pub const USERS_A_PAGE: u32 = 4096;

/// Openids and their numbers.
#[derive(Debug, Default)]
pub struct Users {
    /// Recent users: those from its first number on. All others are in sorted pages.
    recent: Recent,
    /// Sorted pages in memory, by their first openid.
    sorted: BTreeMap<Box<[u8]>, InMemory>,
    sorted_bytes: usize,
    /// Limit of their memory in bytes. None: they are only evicted together with other pages.
    sorted_bytes_max: Option<usize>,
}

#[derive(Debug)]
struct InMemory {
    page: SortedPage,
    used: u64,
}

impl Users {
    /// Loads the recent users. `sorted_bytes_max`: limit in bytes for sorted pages in memory.
    pub fn load(sorted_bytes_max: Option<usize>, source: &dyn PageSource) -> Result<Users, PageError> {
        let key = PageKey::MergedUsers;
        let merged = match source.page(key)? {
            Some(bytes) => {
                Reader::new(&bytes).number_as().map_err(|damage| PageError::Damaged(key, damage))?
            }
            None => 0,
        };
        let mut recent = Recent::after(merged);
        for page in merged / USERS_A_PAGE.. {
            let key = PageKey::Users(page);
            let Some(bytes) = source.page(key)? else { break };
            let decoded = recent.decode_page(page, &bytes);
            decoded.map_err(|damage| PageError::Damaged(key, damage))?;
        }
        Ok(Users { recent, sorted_bytes_max, ..Users::default() })
    }

    /// Number of users.
    pub fn len(&self) -> u32 {
        self.recent.end()
    }

    /// The number of an openid. None if it is unknown. `tick`: current tick, for eviction.
    pub fn find(
        &mut self,
        openid: &str,
        tick: u64,
        source: &dyn PageSource,
    ) -> Result<Option<u32>, PageError> {
        let openid = openid.as_bytes();
        if let Some(number) = self.recent.find(openid) {
            return Ok(Some(number));
        }
        if self.recent.first() == 0 {
            return Ok(None);
        }
        let below = (Bound::Unbounded, Bound::Included(openid));
        if let Some((_, known)) = self.sorted.range_mut::<[u8], _>(below).next_back()
            && known.page.is_about(openid)
        {
            known.used = tick;
            return Ok(known.page.find(openid));
        }
        let page = sorted_page(openid, source)?;
        let found = page.find(openid);
        if self.sorted_bytes_max.is_some_and(|max| self.sorted_bytes > max) {
            self.halve();
        }
        self.sorted_bytes += memory_bytes(&page);
        let former = self.sorted.insert(page.first().into(), InMemory { page, used: tick });
        // During a merge, a page on disk may have a longer range than the one in memory.
        self.sorted_bytes -= former.map_or(0, |former| memory_bytes(&former.page));
        Ok(found)
    }

    /// Evicts the half of the pages that was not used for the longest time.
    fn halve(&mut self) {
        let mut used: Vec<u64> = self.sorted.values().map(|known| known.used).collect();
        let middle = used.len() / 2;
        if let Some(limit) = used.get(middle).is_some().then(|| *used.select_nth_unstable(middle).1) {
            self.retain(|state| state.used > limit);
        }
    }

    /// Gives a new openid the next number. Returns None at the limit: 4 GiB of recent openids, or 2^32 users.
    pub fn add(&mut self, openid: &str) -> Option<u32> {
        self.recent.add(openid.as_bytes())
    }

    /// Removes the user with the newest number, which must be `last`.
    pub fn remove_last(&mut self, last: u32) {
        self.recent.remove_last(last);
    }

    /// Encodes one page of recent openids, up to but not including the user `until`.
    pub fn encode_page(&self, page: u32, until: u32) -> Vec<u8> {
        self.recent.encode_page(page, until)
    }

    /// Starts a merge of the saved users below `until` into sorted pages, if there are enough of them.
    pub fn merge(&self, until: u32, recent_max: u32) -> Option<Merge> {
        let merged = self.recent.first();
        let waiting = until.saturating_sub(merged);
        let many = (until / 8).max(RECENT_MIN).min(recent_max);
        (waiting > 0 && waiting >= many).then(|| Merge::new(merged, self.recent.below(until), until))
    }

    /// Records that the users below `until` are in sorted pages on disk.
    pub fn merged(&mut self, until: u32) {
        self.recent = self.recent.starting_at(until);
        self.sorted.clear();
        self.sorted_bytes = 0;
    }

    /// The states of the sorted pages in memory. They are always clean.
    pub fn states(&self) -> impl Iterator<Item = PageState> {
        self.sorted.values().map(InMemory::state)
    }

    /// Evicts the pages for which `keep` returns false.
    pub fn retain(&mut self, keep: impl Fn(&PageState) -> bool) {
        self.sorted.retain(|_, known| {
            let stays = keep(&known.state());
            self.sorted_bytes -= if stays { 0 } else { memory_bytes(&known.page) };
            stays
        });
    }

    /// True if no sorted page is in memory.
    pub fn is_idle(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.recent.bytes() + self.sorted_bytes
    }
}

/// A merge of fewer users is not worth the writing.
const RECENT_MIN: u32 = 65_536;

/// The sorted page whose range contains an openid.
fn sorted_page(openid: &[u8], source: &dyn PageSource) -> Result<SortedPage, PageError> {
    let key = PageKey::SortedUsers;
    let damaged = |what| PageError::Damaged(key, crate::Damaged(what));
    let bytes = source.sorted_users(openid)?.ok_or(damaged("no page is about an openid"))?;
    let page = SortedPage::read(bytes).map_err(|damage| PageError::Damaged(key, damage))?;
    if page.is_about(openid) { Ok(page) } else { Err(damaged("a page of users is missing")) }
}

fn memory_bytes(page: &SortedPage) -> usize {
    page.memory_bytes() + page.first().len() + size_of::<InMemory>()
}

impl InMemory {
    fn state(&self) -> PageState {
        PageState { used: self.used, ..PageState::default() }
    }
}
