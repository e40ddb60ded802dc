//! The users of one account: openid to a dense number, in order of arrival. The one place where openids stand. Most of
//! them lie on disk, sorted by openid, and are read a page at a time; those that came since are in memory.

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
    page::{Cold, ColdError, PageKey, PageState},
    varint::Reader,
};

/// How many users one stored page of those that came last holds.
pub const USERS_A_PAGE: u32 = 4096;

/// Openids and their numbers.
#[derive(Debug, Default)]
pub struct Users {
    /// Those with a number from its first one on; all others are in sorted pages.
    recent: Recent,
    /// Sorted pages in memory, by the lowest openid of each.
    sorted: BTreeMap<Box<[u8]>, InMemory>,
    sorted_bytes: usize,
    /// What they may take; none: they are only let go with other pages.
    sorted_bytes_max: Option<usize>,
}

#[derive(Debug)]
struct InMemory {
    page: SortedPage,
    used: u64,
}

impl Users {
    /// The users as they were last saved. `sorted_bytes_max`: what sorted pages in memory may take.
    pub fn load(sorted_bytes_max: Option<usize>, cold: &dyn Cold) -> Result<Users, ColdError> {
        let key = PageKey::MergedUsers;
        let merged = match cold.page(key)? {
            Some(bytes) => Reader::new(&bytes).small().map_err(|damage| ColdError::Damaged(key, damage))?,
            None => 0,
        };
        let mut recent = Recent::after(merged);
        for page in merged / USERS_A_PAGE.. {
            let key = PageKey::Users(page);
            let Some(bytes) = cold.page(key)? else { break };
            let decoded = recent.decode_page(page, &bytes);
            decoded.map_err(|damage| ColdError::Damaged(key, damage))?;
        }
        Ok(Users { recent, sorted_bytes_max, ..Users::default() })
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.recent.end()
    }

    /// The number of an openid, if it has one. `tick`: when it was looked for.
    pub fn find(&mut self, openid: &str, tick: u64, cold: &dyn Cold) -> Result<Option<u32>, ColdError> {
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
        let page = sorted_page(openid, cold)?;
        let found = page.find(openid);
        if self.sorted_bytes_max.is_some_and(|max| self.sorted_bytes > max) {
            self.halve();
        }
        self.sorted_bytes += memory_bytes(&page);
        self.sorted.insert(page.first().into(), InMemory { page, used: tick });
        Ok(found)
    }

    /// Lets go of the half of the pages that was not used for longest.
    fn halve(&mut self) {
        let mut used: Vec<u64> = self.sorted.values().map(|known| known.used).collect();
        let middle = used.len() / 2;
        if let Some(limit) = used.get(middle).is_some().then(|| *used.select_nth_unstable(middle).1) {
            self.retain(|state| state.used > limit);
        }
    }

    /// Gives an openid that has none the next number. None: 4 GiB of openids came last, or 2^32 users in all.
    pub fn add(&mut self, openid: &str) -> Option<u32> {
        self.recent.add(openid.as_bytes())
    }

    /// Takes back the newest number, which is the one given.
    pub fn remove_last(&mut self, last: u32) {
        self.recent.remove_last(last);
    }

    /// One page of the openids that came last, up to but not including the user `until`.
    pub fn encode_page(&self, page: u32, until: u32) -> Vec<u8> {
        self.recent.encode_page(page, until)
    }

    /// What sorts the users below `until`, which are saved, into pages, if there are so many that it is worth it.
    pub fn merge(&self, until: u32, recent_max: u32) -> Option<Merge> {
        let merged = self.recent.first();
        let waiting = until.saturating_sub(merged);
        let many = (until / 8).max(RECENT_MIN).min(recent_max);
        (waiting > 0 && waiting >= many).then(|| Merge::new(merged, self.recent.sorted(until), until))
    }

    /// Notes that the users below `until` are in sorted pages on disk.
    pub fn merged(&mut self, until: u32) {
        self.recent = self.recent.behind(until);
        self.sorted.clear();
        self.sorted_bytes = 0;
    }

    /// The states of the pages in memory. All are on disk.
    pub fn states(&self) -> impl Iterator<Item = PageState> {
        self.sorted.values().map(InMemory::state)
    }

    /// Lets go of the pages that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&PageState) -> bool) {
        self.sorted.retain(|_, known| {
            let stays = keep(&known.state());
            self.sorted_bytes -= if stays { 0 } else { memory_bytes(&known.page) };
            stays
        });
    }

    /// True if no page is in memory.
    pub fn is_idle(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.recent.bytes() + self.sorted_bytes
    }
}

/// Fewer users than that are not worth the writing.
const RECENT_MIN: u32 = 65_536;

/// The sorted page that is about an openid.
fn sorted_page(openid: &[u8], cold: &dyn Cold) -> Result<SortedPage, ColdError> {
    let key = PageKey::SortedUsers;
    let damaged = |what| ColdError::Damaged(key, crate::Damaged(what));
    let bytes = cold.sorted_users(openid)?.ok_or(damaged("no page is about an openid"))?;
    let page = SortedPage::read(bytes).map_err(|damage| ColdError::Damaged(key, damage))?;
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
