//! Who wrote in a stretch of time, by kind of message, and how many messages: what ranges of days are counted from.
//! Each day and each month has a page of it, so that any range is the union of a few.

use crate::{Counters, Damaged, Kind, marks::UserMarks, packed, user_set::UserSet, varint::Reader};

const FORMAT: u8 = 1;

/// Messages by kind, and the different users who sent them.
#[derive(Clone, Debug, Default)]
pub struct Senders {
    messages: Counters,
    users: [UserSet; Kind::ALL.len()],
}

impl Senders {
    /// Counts one message; `event` is the number of an event's name.
    pub fn record(&mut self, user: u32, kind: Kind, event: Option<u16>) {
        self.messages.add_message(kind, event);
        self.users[kind.index()].insert(user);
    }

    /// Adds a period that is in memory.
    pub fn add_period(&mut self, counters: &Counters, marks: &UserMarks) {
        self.messages.add_messages_of(counters);
        marks.each(|user, mark| mark.kinds().for_each(|kind| self.users[kind.index()].insert(user)));
    }

    /// Adds other messages and their senders.
    pub fn add(&mut self, other: &Senders) {
        self.messages.add_messages_of(&other.messages);
        self.users.iter_mut().zip(&other.users).for_each(|(users, more)| users.add(more));
    }

    /// Adds what [`Senders::encode`] wrote.
    pub fn add_page(&mut self, page: &[u8]) -> Result<(), Damaged> {
        let mut reader = Reader::new(page);
        if reader.byte()? != FORMAT {
            return Err(Damaged("a page of senders of a format that this version does not know"));
        }
        let plain = packed::take(reader)?;
        let mut reader = Reader::new(&plain);
        self.messages.add_messages_of(&Counters::decode(&mut reader)?);
        self.users.iter_mut().try_for_each(|users| users.add_encoded(&mut reader))?;
        if reader.is_empty() { Ok(()) } else { Err(Damaged("more than all kinds in a page of senders")) }
    }

    /// As a page.
    pub fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        self.messages.encode(&mut plain);
        self.users.iter().for_each(|users| users.encode(&mut plain));
        let mut page = vec![FORMAT];
        packed::put(&mut page, &plain);
        page
    }

    /// The figures; how many messages each user sent is not known.
    pub fn counters(&self) -> Counters {
        let union = |holds: fn(Kind) -> bool| {
            let kinds = Kind::ALL.into_iter().filter(move |kind| holds(*kind));
            UserSet::len_of_union(kinds.map(|kind| &self.users[kind.index()]))
        };
        let users = self.users.each_ref().map(UserSet::len);
        let videos = union(|kind| kind.counted_type() == Some(4));
        self.messages.with_users(users, videos, union(|kind| kind.counted_type().is_some()))
    }
}
