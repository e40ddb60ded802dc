//! Saving an account's pages, and letting go of clean ones.

use std::collections::BTreeSet;

use datacube::{Day, Granularity};

use super::{Account, DayPage, SpanPage};
use crate::{
    day::OpenDay,
    marks::UserMarks,
    page::{PageKey, PageState, Snapshot},
    senders::Senders,
    users::{Merge, USERS_A_PAGE},
};

impl Account {
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
        self.first_days.snapshot(self.users_saved, self.users_applied, &mut pages);
        for (day, page) in self.days.iter().filter(|(_, page)| !page.state.is_clean()) {
            page.encode(*day, &mut pages);
        }
        for ((granularity, start), page) in self.spans.iter().filter(|(_, page)| !page.state.is_clean()) {
            page.encode(*granularity, *start, &mut pages);
        }
        Snapshot { pages, tick, users: self.users_applied }
    }

    /// True if it holds nothing that disk does not hold, beside its users.
    pub fn is_idle(&self) -> bool {
        self.days.is_empty()
            && self.spans.is_empty()
            && self.first_days.is_idle()
            && self.users.is_idle()
            && self.users_applied == self.users_saved
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
        let spans = self.spans.values_mut().map(|page| &mut page.state);
        for state in days.chain(spans).chain(self.first_days.states_mut()) {
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
        let (waiting, users) = self.waiting();
        self.days.retain(|day, page| keep(&page.state) || waiting.contains(day));
        self.spans.retain(|(granularity, start), page| {
            keep(&page.state) || waiting.iter().any(|day| day.start_of(*granularity) == *start)
        });
        self.users.retain(keep);
        self.first_days.retain(|state, page| keep(&state) || users.range(page).next().is_some());
    }

    /// Days and users of messages that wait for the disk.
    fn waiting(&self) -> (BTreeSet<Day>, BTreeSet<u32>) {
        let (mut days, mut users) = (BTreeSet::new(), BTreeSet::new());
        for (day, page) in &self.days {
            let open = page.open.iter().filter(|open| open.is_waiting());
            open.for_each(|open| {
                days.insert(*day);
                open.each_waiting(|user| users.extend([user]));
            });
        }
        (days, users)
    }

    fn clean_pages(&self) -> impl Iterator<Item = PageState> {
        let days = self.days.values().map(|page| page.state);
        let spans = self.spans.values().map(|page| page.state);
        let others = self.first_days.states().chain(self.users.states());
        days.chain(spans).chain(others).filter(|state| state.is_clean())
    }

    /// What sorts the saved users that came last into pages, once they are many. `recent_max`: how many may be in memory.
    pub fn merge(&self, recent_max: u32) -> Option<Merge> {
        self.users.merge(self.users_saved, recent_max)
    }

    /// Notes that a merge is on disk.
    pub fn merged(&mut self, merge: &Merge) {
        if self.users_loaded {
            self.users.merged(merge.until());
        }
    }

    /// Memory in bytes of the days, weeks and months that changed since they were last saved.
    pub fn changed_bytes(&self) -> usize {
        let days = self.days.values().filter(|page| !page.state.is_clean()).map(DayPage::bytes);
        let spans = self.spans.values().filter(|page| !page.state.is_clean()).map(SpanPage::bytes);
        days.sum::<usize>() + spans.sum::<usize>()
    }

    /// Memory in bytes: users, pages.
    pub fn bytes(&self) -> usize {
        let days = self.days.values().map(DayPage::bytes);
        let spans = self.spans.values().map(SpanPage::bytes);
        self.users.bytes() + self.first_days.bytes() + days.sum::<usize>() + spans.sum::<usize>()
    }
}

/// Of a page's figures.
const FIGURES_BYTES: usize = 400;

impl DayPage {
    fn bytes(&self) -> usize {
        FIGURES_BYTES + self.open.as_ref().map_or(0, OpenDay::bytes)
    }

    fn encode(&self, day: Day, pages: &mut Vec<(PageKey, Vec<u8>)>) {
        pages.push((PageKey::DayFigures(day), self.figures.encode()));
        let Some(open) = &self.open else { return };
        pages.push((PageKey::DayMessages(day), open.encode()));
        let mut senders = Senders::default();
        senders.add_period(&self.figures.day, open.marks());
        pages.push((PageKey::DaySenders(day), senders.encode()));
    }
}

impl SpanPage {
    fn bytes(&self) -> usize {
        FIGURES_BYTES + self.marks.as_ref().map_or(0, UserMarks::bytes)
    }

    fn encode(&self, granularity: Granularity, start: Day, pages: &mut Vec<(PageKey, Vec<u8>)>) {
        let mut bytes = Vec::new();
        self.counters.encode(&mut bytes);
        pages.push((PageKey::of_span(granularity, start), bytes));
        if let (Granularity::Month, Some(marks)) = (granularity, &self.marks) {
            let mut senders = Senders::default();
            senders.add_period(&self.counters, marks);
            pages.push((PageKey::MonthSenders(start), senders.encode()));
        }
    }
}
