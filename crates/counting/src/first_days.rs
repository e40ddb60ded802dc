//! The day of each user's first counted message, and for each day the number of users whose first day it is.

use std::collections::BTreeMap;

use datacube::Day;
use hashbrown::HashMap;

use crate::{
    Damaged, packed,
    page::{PageError, PageKey, PageSource, PageState},
    users::USERS_A_PAGE,
    varint,
    varint::Reader,
};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

const PAGE_USERS: usize = USERS_A_PAGE as usize;
/// Memory of a page and of its slot in the map.
const PAGE_BYTES: usize = PAGE_USERS * 2 + 64;
/// A user without a counted message.
const NONE: u16 = 0;

/// The first days of users, [`USERS_A_PAGE`] in a page.
#[derive(Debug, Default)]
pub struct FirstDays {
    pages: Map<u32, FirstDaysPage>,
    /// None until it is loaded.
    new_users: Option<NewUsersPage>,
}

#[derive(Debug)]
struct FirstDaysPage {
    /// Days since 1970.
    days: Box<[u16; PAGE_USERS]>,
    state: PageState,
}

/// Number of users by their first day.
#[derive(Debug, Default)]
struct NewUsersPage {
    by_day: BTreeMap<Day, u64>,
    state: PageState,
}

/// A day as a stored number: days since 1970. None before 1970-01-02 and after 2149-06-06.
pub fn number_of(day: Day) -> Option<u16> {
    u16::try_from(day.days_since_1970()).ok().filter(|number| *number != NONE)
}

fn day_of(number: u16) -> Day {
    Day::from_days_since_1970(number.into())
}

impl FirstDays {
    /// Loads what a message of this user may change, so that [`FirstDays::record`] cannot fail. `users_saved`: all
    /// pages of the users below this number are on disk.
    pub fn open(
        &mut self,
        user: u32,
        users_saved: u32,
        tick: u64,
        source: &dyn PageSource,
    ) -> Result<(), PageError> {
        self.load_new_users(source)?;
        let number = user / USERS_A_PAGE;
        if let Some(page) = self.pages.get_mut(&number) {
            page.state.used = tick;
            return Ok(());
        }
        let key = PageKey::FirstDays(number);
        let days = match source.page(key)? {
            Some(bytes) => decode_days(&bytes).map_err(|damage| PageError::Damaged(key, damage))?,
            None if number * USERS_A_PAGE < users_saved => return Err(missing(key)),
            None => Box::new([NONE; PAGE_USERS]),
        };
        self.pages
            .insert(number, FirstDaysPage { days, state: PageState { used: tick, ..PageState::default() } });
        Ok(())
    }

    fn load_new_users(&mut self, source: &dyn PageSource) -> Result<&mut NewUsersPage, PageError> {
        if self.new_users.is_none() {
            let key = PageKey::NewUsers;
            let by_day = match new_users_page(source)? {
                Some(bytes) => decode_counts(&bytes).map_err(|damage| PageError::Damaged(key, damage))?,
                None => BTreeMap::new(),
            };
            self.new_users = Some(NewUsersPage { by_day, state: PageState::default() });
        }
        match &mut self.new_users {
            Some(new_users) => Ok(new_users),
            None => unreachable!("read just above"),
        }
    }

    /// Records the day of a counted message.
    ///
    /// # Panics
    /// If its pages were evicted. The message was acknowledged, so the figures would be wrong.
    pub fn record(&mut self, user: u32, day: Day, tick: u64) {
        let (Some(page), Some(new_users), Some(number)) =
            (self.pages.get_mut(&(user / USERS_A_PAGE)), &mut self.new_users, number_of(day))
        else {
            unreachable!("the first day of user {user} was evicted before its message was counted");
        };
        let first = &mut page.days[(user % USERS_A_PAGE) as usize];
        if *first != NONE && *first <= number {
            return;
        }
        let before = std::mem::replace(first, number);
        page.state.changed = tick;
        new_users.state.changed = tick;
        if before != NONE {
            new_users.remove_one(day_of(before));
        }
        *new_users.by_day.entry(day).or_default() += 1;
    }

    /// Number of users whose first day is one of from…to.
    pub fn count(&mut self, from: Day, to: Day, source: &dyn PageSource) -> Result<u64, PageError> {
        let new_users = self.load_new_users(source)?;
        Ok(if from <= to { new_users.by_day.range(from..=to).map(|(_, users)| users).sum() } else { 0 })
    }

    /// The earliest first day of all users.
    pub fn earliest(&mut self, source: &dyn PageSource) -> Result<Option<Day>, PageError> {
        Ok(self.load_new_users(source)?.by_day.keys().next().copied())
    }

    /// Appends the pages that changed, and all pages of users that were not saved before. `users`: number of users.
    pub fn snapshot(&self, users_saved: u32, users: u32, pages: &mut Vec<(PageKey, Vec<u8>)>) {
        for (number, page) in self.pages.iter().filter(|(_, page)| !page.state.is_clean()) {
            pages.push((PageKey::FirstDays(*number), encode_days(&page.days)));
        }
        for number in users_saved.div_ceil(USERS_A_PAGE)..users.div_ceil(USERS_A_PAGE) {
            if self.pages.get(&number).is_none_or(|page| page.state.is_clean()) {
                pages.push((PageKey::FirstDays(number), encode_days(&[NONE; PAGE_USERS])));
            }
        }
        match &self.new_users {
            Some(new_users) if users > users_saved || !new_users.state.is_clean() => {
                pages.push((PageKey::NewUsers, encode_counts(&new_users.by_day)));
            }
            // There were only events so far, but the page must exist.
            None if users > users_saved && users_saved == 0 => pages.push((PageKey::NewUsers, Vec::new())),
            _ => {}
        }
    }

    /// The states of the pages in memory.
    pub(crate) fn states(&self) -> impl Iterator<Item = PageState> {
        let counts = self.new_users.iter().map(|new_users| new_users.state);
        self.pages.values().map(|page| page.state).chain(counts)
    }

    /// The states of the pages in memory, mutable.
    pub(crate) fn states_mut(&mut self) -> impl Iterator<Item = &mut PageState> {
        let counts = self.new_users.iter_mut().map(|new_users| &mut new_users.state);
        self.pages.values_mut().map(|page| &mut page.state).chain(counts)
    }

    /// Evicts the pages for which `keep` returns false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(PageState, std::ops::Range<u32>) -> bool) {
        self.pages.retain(|number, page| {
            let first = number * USERS_A_PAGE;
            keep(page.state, first..first.saturating_add(USERS_A_PAGE))
        });
    }

    /// True if no page of users is in memory and all changes are saved.
    pub fn is_idle(&self) -> bool {
        self.pages.is_empty() && self.states().all(PageState::is_clean)
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        let days = self.new_users.as_ref().map_or(0, |new_users| new_users.by_day.len());
        self.pages.len() * PAGE_BYTES + days * 32
    }
}

impl NewUsersPage {
    fn remove_one(&mut self, day: Day) {
        match self.by_day.get_mut(&day) {
            Some(1) => drop(self.by_day.remove(&day)),
            Some(users) => *users -= 1,
            None => unreachable!("{day} is the first day of a user and of none"),
        }
    }
}

/// The stored [`NewUsersPage`]. None if the account has no users.
fn new_users_page(source: &dyn PageSource) -> Result<Option<Vec<u8>>, PageError> {
    let key = PageKey::NewUsers;
    match source.page(key)? {
        Some(page) => Ok(Some(page)),
        None if source.page(PageKey::Users(0))?.is_none() && source.page(PageKey::MergedUsers)?.is_none() => {
            Ok(None)
        }
        // The page may have been saved just now, together with the users. If it is still missing it was lost; the
        // account must not count as one without users.
        None => source.page(key)?.ok_or(missing(key)).map(Some),
    }
}

fn missing(key: PageKey) -> PageError {
    PageError::Damaged(key, Damaged("it is missing"))
}

/// Users are numbered in order of arrival, so neighbours have similar days and differences compress well.
fn encode_days(days: &[u16; PAGE_USERS]) -> Vec<u8> {
    let before = std::iter::once(&0).chain(days);
    let differences = days.iter().zip(before).map(|(day, before)| day.wrapping_sub(*before));
    let (low, high): (Vec<u8>, Vec<u8>) =
        differences.map(|difference| difference.to_le_bytes().into()).unzip();
    let mut page = Vec::new();
    packed::put(&mut page, &[low, high].concat());
    page
}

fn decode_days(page: &[u8]) -> Result<Box<[u16; PAGE_USERS]>, Damaged> {
    let plain = packed::take(Reader::new(page))?;
    let (low, high) = plain.split_at_checked(PAGE_USERS).ok_or(Damaged("cut short"))?;
    if high.len() != PAGE_USERS {
        return Err(Damaged("first days of another number of users"));
    }
    let mut days = Box::new([NONE; PAGE_USERS]);
    let mut day = 0_u16;
    for (at, (low, high)) in low.iter().zip(high).enumerate() {
        day = day.wrapping_add(u16::from_le_bytes([*low, *high]));
        days[at] = day;
    }
    Ok(days)
}

fn encode_counts(by_day: &BTreeMap<Day, u64>) -> Vec<u8> {
    let mut page = Vec::new();
    let mut before = 0;
    for (day, users) in by_day {
        let number = u64::from(number_of(*day).unwrap_or(NONE));
        varint::put(&mut page, number - before);
        varint::put(&mut page, *users);
        before = number;
    }
    page
}

fn decode_counts(page: &[u8]) -> Result<BTreeMap<Day, u64>, Damaged> {
    let mut reader = Reader::new(page);
    let (mut by_day, mut number) = (BTreeMap::new(), 0_u16);
    while !reader.is_empty() {
        number = number.checked_add(reader.number_as()?).ok_or(Damaged("a day beyond the calendar"))?;
        by_day.insert(day_of(number), reader.number()?);
    }
    Ok(by_day)
}
