//! One account's figures: pages for its days, weeks and months. Pages are loaded on use and evicted when clean.
//!
//! A message is counted in two steps, so that nothing is counted before it is durable. `admit` rejects repeats and
//! reserves an entry. Once the entry is durable, `apply` counts it. If it does not become durable, `revert` removes
//! it, newest first.

mod reads;
mod save;
mod totals;

use datacube::{Day, Granularity};
use hashbrown::HashMap;

use crate::{
    Content, Damaged, Kind, Message, block,
    calendar::{day_of, second_of_day, start_of_day_s},
    counters::Counters,
    day::{DayFigures, Entry, OpenDay},
    entry::{EventEntry, MessageEntry, UNNAMED, event_digest},
    first_days::{self, FirstDays},
    marks::UserMarks,
    page::{PageError, PageKey, PageSource, PageState},
    recount::Recount,
    users::Users,
    varint::Reader,
};

pub use reads::Piece;
pub use totals::DayTotals;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// An admitted message: it is written to the log and then passed to [`Account::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The Beijing day of its CreateTime.
    pub day: Day,
    /// What is stored of the message in that day.
    pub entry: Entry,
    /// True if this is the user's first message ever.
    pub new_user: bool,
}

#[derive(Debug, Default)]
struct DayPage {
    figures: DayFigures,
    open: Option<OpenDay>,
    state: PageState,
}

#[derive(Debug, Default)]
struct SpanPage {
    counters: Counters,
    /// None if the page was loaded for a query only.
    marks: Option<UserMarks>,
    state: PageState,
}

/// One account: its users, its figures and its pages in memory.
#[derive(Debug, Default)]
pub struct Account {
    users: Users,
    /// Queries need no users, so users are loaded with the first message.
    users_loaded: bool,
    users_applied: u32,
    users_saved: u32,
    days: Map<Day, DayPage>,
    spans: Map<(Granularity, Day), SpanPage>,
    first_days: FirstDays,
    tick: u64,
    users_bytes_max: Option<usize>,
}

const SPANS: [Granularity; 2] = [Granularity::Week, Granularity::Month];

impl Account {
    /// An account with nothing loaded. `users_bytes_max`: limit in bytes for sorted pages of users in memory.
    pub fn within(users_bytes_max: usize) -> Account {
        Account { users_bytes_max: Some(users_bytes_max), ..Account::default() }
    }

    fn load_users(&mut self, source: &dyn PageSource) -> Result<(), PageError> {
        let users = Users::load(self.users_bytes_max, source)?;
        (self.users_applied, self.users_saved) = (users.len(), users.len());
        (self.users, self.users_loaded) = (users, true);
        Ok(())
    }

    /// Reserves the entry of a message. Returns None for a repeat. `name` is the number of an event's name.
    ///
    /// # Errors
    ///
    /// If a page cannot be read or is damaged, if CreateTime is outside the calendar, or if the account has too many
    /// users.
    pub fn admit(
        &mut self,
        message: &Message,
        name: u16,
        source: &dyn PageSource,
    ) -> Result<Option<Admitted>, PageError> {
        let day = day_of(message.create_time);
        let is_exact =
            start_of_day_s(day) + i64::from(second_of_day(message.create_time)) == message.create_time;
        if !is_exact || first_days::number_of(day).is_none() {
            return Err(PageError::OutsideCalendar(message.create_time));
        }
        self.open(day, source)?;
        let known = self.users.find(&message.user, self.tick, source)?;
        self.open_first_day(known.unwrap_or(self.users.len()), message.kind(), source)?;
        let user = match known {
            Some(user) => user,
            None => self.users.add(&message.user).ok_or(PageError::TooManyUsers)?,
        };
        let entry = entry_of(message, user, name);
        let added = !self.has_former(day, message, user) && self.admit_entry(day, entry);
        assert!(added || known.is_some(), "a user's first message is no repeat");
        Ok(added.then_some(Admitted { day, entry, new_user: known.is_none() }))
    }

    /// Replays an entry that `admit` returned before. Replaying it twice changes nothing and returns false.
    pub fn replay(&mut self, day: Day, entry: Entry, source: &dyn PageSource) -> Result<bool, PageError> {
        self.open(day, source)?;
        let damaged = |what| Err(PageError::Damaged(PageKey::DayMessages(day), Damaged(what)));
        if entry.user() >= self.users.len() {
            return damaged("a message of a user that is not known");
        }
        if first_days::number_of(day).is_none() {
            return damaged("a day outside the calendar");
        }
        self.open_first_day(entry.user(), entry.kind(), source)?;
        let added = self.admit_entry(day, entry);
        if added {
            self.apply(&Admitted { day, entry, new_user: false });
        }
        Ok(added)
    }

    /// Replays a new user. Replaying it twice changes nothing. A number that is not the next one is damage.
    pub fn replay_user(
        &mut self,
        number: u32,
        openid: &str,
        source: &dyn PageSource,
    ) -> Result<(), PageError> {
        if !self.users_loaded {
            self.load_users(source)?;
        }
        match self.users.find(openid, self.tick, source)? {
            Some(known) if known == number => Ok(()),
            None if number == self.users.len() => {
                self.users.add(openid).map(drop).ok_or(PageError::TooManyUsers)
            }
            _ => Err(PageError::Damaged(
                PageKey::Users(number),
                Damaged("a user's number that does not follow"),
            )),
        }
    }

    /// True if a former version stored this event. Former versions did not read the MsgID.
    fn has_former(&self, day: Day, message: &Message, user: u32) -> bool {
        let Content::Event { name, key, msg_id: Some(_) } = &message.content else { return false };
        let digest = event_digest(name, key, None);
        let former = EventEntry { second: second_of_day(message.create_time), user, digest, name: UNNAMED };
        let open = self.days.get(&day).and_then(|page| page.open.as_ref());
        open.is_some_and(|open| open.has_event(&former))
    }

    fn admit_entry(&mut self, day: Day, entry: Entry) -> bool {
        self.tick += 1;
        let (open, _, state) = opened_day(&mut self.days, day);
        state.used = self.tick;
        open.admit(entry)
    }

    /// Counts an admitted message that is now durable. Messages must be applied in the order of admission.
    ///
    /// # Panics
    /// If it was not admitted, or its pages were evicted. The message was acknowledged, so the figures would be wrong.
    pub fn apply(&mut self, admitted: &Admitted) {
        let Admitted { day, entry, .. } = *admitted;
        let (tick, users) = (self.tick, self.users.len() as usize);
        self.users_applied = self.users_applied.max(entry.user() + 1);
        let (open, figures, state) = opened_day(&mut self.days, day);
        open.apply(entry, users, figures);
        state.changed = tick;
        if entry.kind().counted_type().is_some() {
            self.first_days.record(entry.user(), day, tick);
        }
        for granularity in SPANS {
            let page = self.spans.get_mut(&(granularity, day.start_of(granularity)));
            let Some(SpanPage { counters, marks: Some(marks), state }) = page else {
                unreachable!("{granularity:?} of {day} was evicted before its message was counted");
            };
            counters.record(marks.slot(entry.user(), users), entry.kind(), entry.event());
            *state = PageState { changed: tick, used: tick, ..*state };
        }
    }

    /// Removes an admitted message that did not become durable. Newest first.
    ///
    /// # Panics
    /// If it is not the newest one, or its day was evicted. The message would be counted without being durable, or its
    /// retry would be rejected as a repeat.
    pub fn revert(&mut self, admitted: &Admitted) {
        let (open, ..) = opened_day(&mut self.days, admitted.day);
        open.revert_last(admitted.entry);
        if admitted.new_user {
            self.users.remove_last(admitted.entry.user());
        }
    }

    /// Loads everything that a message of this day changes, so that `apply` cannot fail.
    fn open(&mut self, day: Day, source: &dyn PageSource) -> Result<(), PageError> {
        if !self.users_loaded {
            self.load_users(source)?;
        }
        if self.days.get(&day).is_none_or(|page| page.open.is_none()) {
            self.open_day(day, source)?;
        }
        for granularity in SPANS {
            let start = day.start_of(granularity);
            if self.spans.get(&(granularity, start)).is_none_or(|page| page.marks.is_none()) {
                self.open_span(granularity, start, source)?;
            }
        }
        Ok(())
    }

    fn open_first_day(&mut self, user: u32, kind: Kind, source: &dyn PageSource) -> Result<(), PageError> {
        match kind.counted_type() {
            Some(_) => self.first_days.open(user, self.users_saved, self.tick, source),
            None => Ok(()),
        }
    }

    fn open_day(&mut self, day: Day, source: &dyn PageSource) -> Result<(), PageError> {
        let key = PageKey::DayMessages(day);
        let (open, figures) = match source.page(key)? {
            Some(block) => OpenDay::of_block(&block, self.users.len() as usize)
                .map_err(|damage| PageError::Damaged(key, damage))?,
            None => (OpenDay::default(), DayFigures::default()),
        };
        let state = PageState { used: self.tick, ..PageState::default() };
        self.days.insert(day, DayPage { figures, open: Some(open), state });
        Ok(())
    }

    fn open_span(
        &mut self,
        granularity: Granularity,
        start: Day,
        source: &dyn PageSource,
    ) -> Result<(), PageError> {
        let expected = match source.page(PageKey::of_span(granularity, start))? {
            // Only an estimate, so damaged figures do not matter here.
            Some(page) => {
                Counters::decode(&mut Reader::new(&page)).map_or(0, |former| former.users_counted())
            }
            None => 0,
        };
        let mut recount = Recount::new(self.users.len() as usize, expected as usize);
        let mut count = |user, kind, event| recount.add(user, kind, event);
        let mut day = start;
        while day < start.start_of_next(granularity) {
            match self.days.get(&day).and_then(|page| page.open.as_ref()) {
                Some(open) => open.each(&mut count),
                None => count_stored(day, source, &mut count)?,
            }
            day = day.plus_days(1);
        }
        let (counters, marks) = recount.finish();
        let state = PageState { used: self.tick, ..PageState::default() };
        self.spans.insert((granularity, start), SpanPage { counters, marks: Some(marks), state });
        Ok(())
    }

    /// Number of users who ever wrote. 0 until the first message after the account was loaded.
    pub fn users(&self) -> u32 {
        self.users_applied
    }
}

/// Visits the messages of a stored day: user, kind and number of the event's name.
fn count_stored(
    day: Day,
    source: &dyn PageSource,
    visit: impl FnMut(u32, Kind, Option<u16>),
) -> Result<(), PageError> {
    let key = PageKey::DayMessages(day);
    let Some(block) = source.page(key)? else { return Ok(()) };
    block::each(&block, visit).map_err(|damage| PageError::Damaged(key, damage))
}

/// A day that [`Account::open`] loaded.
fn opened_day(days: &mut Map<Day, DayPage>, day: Day) -> (&mut OpenDay, &mut DayFigures, &mut PageState) {
    let Some(DayPage { figures, open: Some(open), state }) = days.get_mut(&day) else {
        unreachable!("{day} was evicted while a message of it waits");
    };
    (open, figures, state)
}

fn entry_of(message: &Message, user: u32, name: u16) -> Entry {
    let second = second_of_day(message.create_time);
    match &message.content {
        Content::Message { kind, msg_id } => Entry::Message(MessageEntry::new(second, user, *msg_id, *kind)),
        Content::Event { name: text, key, msg_id } => {
            Entry::Event(EventEntry { second, user, digest: event_digest(text, key, *msg_id), name })
        }
    }
}
