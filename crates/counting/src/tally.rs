//! Figures of any set of messages, for ranges that are no whole period.

use crate::{Kind, counters::Counters, marks::UserMarks};

/// Counts messages one by one, different users exactly.
#[derive(Debug, Default)]
pub struct Tally {
    counters: Counters,
    marks: UserMarks,
    users: usize,
}

impl Tally {
    /// An empty tally. `users`: how many the account has, which decides how marks are kept.
    pub fn new(users: usize) -> Tally {
        Tally { users, ..Tally::default() }
    }

    /// Counts a message; `event` is the number of an event's name.
    pub fn record(&mut self, user: u32, kind: Kind, event: Option<u16>) {
        self.counters.record(self.marks.slot(user, self.users), kind, event);
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn into_parts(self) -> (Counters, UserMarks) {
        (self.counters, self.marks)
    }
}
