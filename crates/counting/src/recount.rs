//! Recounts the messages of a week or month. They come in order of time, so the marks of their users are scattered.
//! Messages are grouped by user first, so that each part of the marks is loaded into the CPU cache once for many
//! messages.

use crate::{Counters, Kind, marks::UserMarks};

/// Users in a group: their marks have 128 KiB.
const TOGETHER_BITS: u32 = 16;
/// Messages that are grouped at a time: 8 MiB.
const MESSAGES_MAX: usize = 1 << 20;

/// A recount in progress.
#[derive(Debug)]
pub struct Recount {
    counters: Counters,
    marks: UserMarks,
    users: usize,
    /// User, kind and number of the event's name, grouped by the upper bits of the user.
    waiting: Vec<Vec<(u32, Kind, Option<u16>)>>,
    count: usize,
}

impl Recount {
    /// An empty recount. `users`: number of users of the account. `expected`: estimate of how many of them have a
    /// mark.
    pub fn new(users: usize, expected: usize) -> Recount {
        let marks = UserMarks::for_about(expected, users);
        Recount { counters: Counters::default(), marks, users, waiting: Vec::new(), count: 0 }
    }

    /// Counts one message.
    pub fn add(&mut self, user: u32, kind: Kind, event: Option<u16>) {
        let place = (user >> TOGETHER_BITS) as usize;
        if place >= self.waiting.len() {
            self.waiting.resize_with(place + 1, Vec::new);
        }
        self.waiting[place].push((user, kind, event));
        self.count += 1;
        if self.count >= MESSAGES_MAX {
            self.count_waiting();
        }
    }

    fn count_waiting(&mut self) {
        for (user, kind, event) in self.waiting.iter_mut().flat_map(|waiting| waiting.drain(..)) {
            self.counters.record(self.marks.slot(user, self.users), kind, event);
        }
        self.count = 0;
    }

    /// Returns the figures and the marks.
    pub fn finish(mut self) -> (Counters, UserMarks) {
        self.count_waiting();
        (self.counters, self.marks)
    }
}
