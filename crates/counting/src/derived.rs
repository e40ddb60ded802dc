//! The pages that former formats did not have, made from the messages of each day.

use datacube::{Day, Granularity};

use crate::{
    Damaged, block,
    first_days::{self, FirstDays},
    page::{Cold, ColdError, PageKey},
    senders::Senders,
    users::USERS_A_PAGE,
};

/// Takes the days of an account in order.
#[derive(Debug, Default)]
pub struct Derived {
    month: Option<(Day, Senders)>,
    first_days: FirstDays,
}

type Pages = Vec<(PageKey, Vec<u8>)>;

impl Derived {
    /// The pages of one more day, and of the month before it if that is over.
    pub fn add_day(&mut self, day: Day, block: &[u8]) -> Result<Pages, ColdError> {
        let damaged = |damage| ColdError::Damaged(PageKey::DayMessages(day), damage);
        if first_days::number_of(day).is_none() {
            return Err(damaged(Damaged("a day outside the calendar")));
        }
        let mut senders = Senders::default();
        let mut opened = Ok(());
        let visited = block::each(block, |user, kind, event| {
            senders.record(user, kind, event);
            if kind.counted_type().is_some() && opened.is_ok() {
                opened = self.first_days.open(user, 0, 0, &Nothing);
                self.first_days.record(user, day, 1);
            }
        });
        visited.map_err(damaged)?;
        opened?;
        let mut pages = vec![(PageKey::DaySenders(day), senders.encode())];
        let start = day.start_of(Granularity::Month);
        match &mut self.month {
            Some((month, of_month)) if *month == start => of_month.add(&senders),
            month => {
                let former = month.replace((start, senders));
                pages.extend(former.map(|(start, senders)| (PageKey::MonthSenders(start), senders.encode())));
            }
        }
        Ok(pages)
    }

    /// The other pages. `user_pages`: how many pages of users there are.
    pub fn finish(self, user_pages: u32) -> Pages {
        let mut pages = Pages::new();
        pages.extend(self.month.map(|(start, senders)| (PageKey::MonthSenders(start), senders.encode())));
        self.first_days.snapshot(0, user_pages.saturating_mul(USERS_A_PAGE), &mut pages);
        pages
    }
}

/// Where everything is made anew, nothing is read.
#[derive(Debug)]
struct Nothing;

impl Cold for Nothing {
    fn page(&self, _: PageKey) -> Result<Option<Vec<u8>>, ColdError> {
        Ok(None)
    }

    fn sorted_users(&self, _: &[u8]) -> Result<Option<Vec<u8>>, ColdError> {
        Ok(None)
    }
}
