//! Counting the messages of a week or month anew. They come in order of time, so the marks of their users lie anywhere:
//! messages are put together by user first, so that each stretch of marks is brought into the cache once for many.

use crate::{Counters, Kind, marks::UserMarks};

/// Users whose marks lie together: 128 KiB of them.
const TOGETHER_BITS: u32 = 16;
/// Messages that are put together at once: 8 MiB.
const MESSAGES_MAX: usize = 1 << 20;

/// A count that is going on.
#[derive(Debug)]
pub struct Recount {
    counters: Counters,
    marks: UserMarks,
    users: usize,
    /// User, kind and number of the event's name, by the upper bits of the user.
    waiting: Vec<Vec<(u32, Kind, Option<u16>)>>,
    count: usize,
}

impl Recount {
    /// Nothing counted yet. `users`: how many the account has. `expected`: how many of them will probably have a mark.
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

    /// Figures and marks.
    pub fn finish(mut self) -> (Counters, UserMarks) {
        self.count_waiting();
        (self.counters, self.marks)
    }
}
