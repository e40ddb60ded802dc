//! One account's figures: pages for its days, weeks and months, loaded when touched and let go when clean.
//!
//! A message goes in two steps, so that nothing is counted before it is durable: `admit` finds repeats and reserves
//! its place, then, once the disk has it, `apply` counts it (or `revert` takes it back, newest first).

use datacube::{Day, Granularity};
use hashbrown::HashMap;

use crate::{
    Content, Damaged, Message, Period,
    calendar::{day_of, second_of_day, start_of_day_s},
    counters::Counters,
    day::{DayFigures, Entry, OpenDay},
    entry::{EventEntry, MessageEntry, UNNAMED, event_digest},
    page::{Cold, ColdError, PageKey, PageState, Snapshot, tally_cold},
    tally::Tally,
    users::{USERS_A_PAGE, Users},
    varint::Reader,
};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A message that was admitted: what the log keeps, and what `apply` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The day its CreateTime lies in.
    pub day: Day,
    /// Its place in that day.
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
    /// None while the page only answers questions.
    marks: Option<crate::marks::UserMarks>,
    state: PageState,
}

/// One account.
#[derive(Debug, Default)]
pub struct Account {
    users: Users,
    /// Questions need no users, so they are loaded with the first message.
    users_loaded: bool,
    users_applied: u32,
    users_saved: u32,
    days: Map<Day, DayPage>,
    spans: Map<(Granularity, Day), SpanPage>,
    tick: u64,
}

const SPANS: [Granularity; 2] = [Granularity::Week, Granularity::Month];

impl Account {
    fn load_users(&mut self, cold: &dyn Cold) -> Result<(), ColdError> {
        let mut users = Users::default();
        for page in 0.. {
            let key = PageKey::Users(page);
            let Some(bytes) = cold.page(key)? else { break };
            users.decode_page(&bytes).map_err(|damage| ColdError::Damaged(key, damage))?;
        }
        (self.users_applied, self.users_saved) = (users.len(), users.len());
        (self.users, self.users_loaded) = (users, true);
        Ok(())
    }

    /// Reserves the place of a message. None: it is a repeat. `name` is the number of an event's name.
    pub fn admit(
        &mut self,
        message: &Message,
        name: u16,
        cold: &dyn Cold,
    ) -> Result<Option<Admitted>, ColdError> {
        let day = day_of(message.create_time);
        if start_of_day_s(day) + i64::from(second_of_day(message.create_time)) != message.create_time {
            return Err(ColdError::OutsideCalendar(message.create_time));
        }
        self.open(day, cold)?;
        let known = self.users.find(&message.user);
        let user = match known {
            Some(user) => user,
            None => self.users.add(&message.user).ok_or(ColdError::TooManyUsers)?,
        };
        let entry = entry_of(message, user, name);
        let added = !self.has_former(day, message, user) && self.admit_entry(day, entry);
        assert!(added || known.is_some(), "a user's first message is no repeat");
        Ok(added.then_some(Admitted { day, entry, new_user: known.is_none() }))
    }

    /// Takes from the log what `admit` said when it was new. Doing it again changes nothing and says false.
    pub fn replay(&mut self, day: Day, entry: Entry, cold: &dyn Cold) -> Result<bool, ColdError> {
        self.open(day, cold)?;
        if entry.user() >= self.users.len() {
            return Err(ColdError::Damaged(
                PageKey::DayMessages(day),
                Damaged("a message of a user that is not known"),
            ));
        }
        let added = self.admit_entry(day, entry);
        if added {
            self.apply(&Admitted { day, entry, new_user: false });
        }
        Ok(added)
    }

    /// Takes a new user from the log. Doing it again changes nothing; a number that does not follow is damage.
    pub fn replay_user(&mut self, number: u32, openid: &str, cold: &dyn Cold) -> Result<(), ColdError> {
        if !self.users_loaded {
            self.load_users(cold)?;
        }
        match self.users.find(openid) {
            Some(known) if known == number => Ok(()),
            None if number == self.users.len() => {
                self.users.add(openid).map(drop).ok_or(ColdError::TooManyUsers)
            }
            _ => Err(ColdError::Damaged(
                PageKey::Users(number),
                Damaged("a user's number that does not follow"),
            )),
        }
    }

    /// True if a former version took this event: it did not read the MsgID.
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

    /// Counts an admitted message that has become durable. In order of admission.
    ///
    /// # Panics
    /// If it was not admitted, or its pages are gone: it was acknowledged, so going on would be a wrong figure.
    pub fn apply(&mut self, admitted: &Admitted) {
        let Admitted { day, entry, .. } = *admitted;
        let (tick, users) = (self.tick, self.users.len() as usize);
        self.users_applied = self.users_applied.max(entry.user() + 1);
        let (open, figures, state) = opened_day(&mut self.days, day);
        open.apply(entry, users, figures);
        state.changed = tick;
        for granularity in SPANS {
            let page = self.spans.get_mut(&(granularity, day.start_of(granularity)));
            let Some(SpanPage { counters, marks: Some(marks), state }) = page else {
                unreachable!("{granularity:?} of {day} was let go before its message was counted");
            };
            counters.record(marks.slot(entry.user(), users), entry.kind(), entry.event());
            *state = PageState { changed: tick, used: tick, ..*state };
        }
    }

    /// Takes back an admitted message that did not become durable. Newest first.
    ///
    /// # Panics
    /// If it is not the newest, or its day is gone: what is left would be counted or refused as a repeat for ever.
    pub fn revert(&mut self, admitted: &Admitted) {
        let (open, ..) = opened_day(&mut self.days, admitted.day);
        open.revert_last(admitted.entry);
        if admitted.new_user {
            self.users.remove_last(admitted.entry.user());
        }
    }

    /// Brings everything into memory that a message of this day will change, so that `apply` cannot fail.
    fn open(&mut self, day: Day, cold: &dyn Cold) -> Result<(), ColdError> {
        if !self.users_loaded {
            self.load_users(cold)?;
        }
        if self.days.get(&day).is_none_or(|page| page.open.is_none()) {
            self.open_day(day, cold)?;
        }
        for granularity in SPANS {
            let start = day.start_of(granularity);
            if self.spans.get(&(granularity, start)).is_none_or(|page| page.marks.is_none()) {
                self.open_span(granularity, start, cold)?;
            }
        }
        Ok(())
    }

    fn open_day(&mut self, day: Day, cold: &dyn Cold) -> Result<(), ColdError> {
        let key = PageKey::DayMessages(day);
        let (open, figures) = match cold.page(key)? {
            Some(block) => OpenDay::of_block(&block, self.users.len() as usize)
                .map_err(|damage| ColdError::Damaged(key, damage))?,
            None => (OpenDay::default(), DayFigures::default()),
        };
        let state = PageState { used: self.tick, ..PageState::default() };
        self.days.insert(day, DayPage { figures, open: Some(open), state });
        Ok(())
    }

    fn open_span(&mut self, granularity: Granularity, start: Day, cold: &dyn Cold) -> Result<(), ColdError> {
        let mut tally = Tally::new(self.users.len() as usize);
        let mut day = start;
        while day < start.start_of_next(granularity) {
            if !self.tally_in_memory(day, &mut tally) {
                tally_cold(day, cold, &mut tally)?;
            }
            day = day.plus_days(1);
        }
        let (counters, marks) = tally.into_parts();
        let state = PageState { used: self.tick, ..PageState::default() };
        self.spans.insert((granularity, start), SpanPage { counters, marks: Some(marks), state });
        Ok(())
    }

    /// Adds a day's messages to a tally if they are in memory; false if they must be read.
    pub fn tally_in_memory(&self, day: Day, tally: &mut Tally) -> bool {
        let Some(open) = self.days.get(&day).and_then(|page| page.open.as_ref()) else { return false };
        open.each(|user, kind, event| tally.record(user, kind, event));
        true
    }

    /// The figures of a period, none if it has none.
    pub fn figures(&mut self, period: Period, cold: &dyn Cold) -> Result<Option<&Counters>, ColdError> {
        self.tick += 1;
        match period.granularity() {
            Granularity::Day => Ok(self.day_figures(period.start(), cold)?.map(|figures| &figures.day)),
            Granularity::Hour => {
                Ok(self.day_figures(period.start(), cold)?.and_then(|day| day.hour(period.hour_of_day())))
            }
            granularity => self.span_figures(granularity, period.start(), cold),
        }
    }

    fn day_figures(&mut self, day: Day, cold: &dyn Cold) -> Result<Option<&DayFigures>, ColdError> {
        if !self.days.contains_key(&day) {
            let key = PageKey::DayFigures(day);
            let Some(bytes) = cold.page(key)? else { return Ok(None) };
            let figures = DayFigures::decode(&bytes).map_err(|damage| ColdError::Damaged(key, damage))?;
            self.days.insert(day, DayPage { figures, ..DayPage::default() });
        }
        let tick = self.tick;
        Ok(self.days.get_mut(&day).map(|page| {
            page.state.used = tick;
            &page.figures
        }))
    }

    fn span_figures(
        &mut self,
        granularity: Granularity,
        start: Day,
        cold: &dyn Cold,
    ) -> Result<Option<&Counters>, ColdError> {
        if !self.spans.contains_key(&(granularity, start)) {
            let key = PageKey::of_span(granularity, start);
            let Some(bytes) = cold.page(key)? else { return Ok(None) };
            let counters = Counters::decode(&mut Reader::new(&bytes))
                .map_err(|damage| ColdError::Damaged(key, damage))?;
            self.spans.insert((granularity, start), SpanPage { counters, ..SpanPage::default() });
        }
        let tick = self.tick;
        Ok(self.spans.get_mut(&(granularity, start)).map(|page| {
            page.state.used = tick;
            &page.counters
        }))
    }

    /// How many users ever wrote; 0 until the first message since the account was loaded.
    pub fn users(&self) -> u32 {
        self.users_applied
    }

    /// Every page that changed since it was last saved, consistent with one another.
    pub fn snapshot(&mut self) -> Snapshot {
        let tick = self.tick;
        // Whatever changes from here on is not in the snapshot, also what was admitted before.
        self.tick += 1;
        let mut pages = Vec::new();
        if self.users_applied > self.users_saved {
            let page_numbers = self.users_saved / USERS_A_PAGE..=(self.users_applied - 1) / USERS_A_PAGE;
            pages.extend(
                page_numbers
                    .map(|page| (PageKey::Users(page), self.users.encode_page(page, self.users_applied))),
            );
        }
        for (day, page) in self.days.iter().filter(|(_, page)| !page.state.is_clean()) {
            pages.push((PageKey::DayFigures(*day), page.figures.encode()));
            pages.extend(page.open.as_ref().map(|open| (PageKey::DayMessages(*day), open.encode())));
        }
        for ((granularity, start), page) in self.spans.iter().filter(|(_, page)| !page.state.is_clean()) {
            let mut bytes = Vec::new();
            page.counters.encode(&mut bytes);
            pages.push((PageKey::of_span(*granularity, *start), bytes));
        }
        Snapshot { pages, tick, users: self.users_applied }
    }

    /// True if it holds nothing that disk does not hold, beside its users.
    pub fn is_idle(&self) -> bool {
        self.days.is_empty() && self.spans.is_empty() && self.users_applied == self.users_saved
    }

    /// True if a snapshot would hold something.
    pub fn has_changed(&self) -> bool {
        self.users_applied > self.users_saved
            || self.days.values().any(|page| !page.state.is_clean())
            || self.spans.values().any(|page| !page.state.is_clean())
    }

    /// Notes that a snapshot is on disk: pages that have not changed since are clean.
    pub fn saved(&mut self, snapshot: &Snapshot) {
        self.users_saved = snapshot.users;
        let days = self.days.values_mut().map(|page| &mut page.state);
        for state in days.chain(self.spans.values_mut().map(|page| &mut page.state)) {
            if state.changed <= snapshot.tick {
                state.saved = state.changed;
            }
        }
    }

    /// Lets go of the half of the clean pages that was not used for longest.
    pub fn evict(&mut self) {
        let mut used: Vec<u64> = self.clean_pages().map(|state| state.used).collect();
        if used.is_empty() {
            return;
        }
        let middle = used.len() / 2;
        let limit = *used.select_nth_unstable(middle).1;
        let keep = |state: &PageState| !state.is_clean() || state.used > limit;
        // `apply` relies on the pages that `admit` opened.
        let is_waiting = |page: &DayPage| page.open.as_ref().is_some_and(OpenDay::is_waiting);
        let waiting: Vec<Day> =
            self.days.iter().filter(|(_, page)| is_waiting(page)).map(|(day, _)| *day).collect();
        self.days.retain(|day, page| keep(&page.state) || waiting.contains(day));
        self.spans.retain(|(granularity, start), page| {
            keep(&page.state) || waiting.iter().any(|day| day.start_of(*granularity) == *start)
        });
    }

    fn clean_pages(&self) -> impl Iterator<Item = PageState> {
        let days = self.days.values().map(|page| page.state);
        days.chain(self.spans.values().map(|page| page.state)).filter(|state| state.is_clean())
    }

    /// Memory in bytes: users, pages.
    pub fn bytes(&self) -> usize {
        let days = self.days.values().map(|page| 400 + page.open.as_ref().map_or(0, OpenDay::bytes));
        let spans = self
            .spans
            .values()
            .map(|page| 400 + page.marks.as_ref().map_or(0, super::marks::UserMarks::bytes));
        self.users.bytes() + days.sum::<usize>() + spans.sum::<usize>()
    }
}

/// A day that [`Account::open`] opened.
fn opened_day(days: &mut Map<Day, DayPage>, day: Day) -> (&mut OpenDay, &mut DayFigures, &mut PageState) {
    let Some(DayPage { figures, open: Some(open), state }) = days.get_mut(&day) else {
        unreachable!("{day} was let go while a message of it waits");
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
