//! One day of one account: its figures, and, while it receives messages, everything that is needed to count more.

use crate::{
    Damaged, Kind, block,
    counters::Counters,
    entry::{Entries, EventEntry, MessageEntry},
    marks::{HourMarks, UserMarks},
    varint,
    varint::Reader,
};

/// The figures of a day and of its hours that have messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    pub day: Counters,
    hours: Vec<(u8, Counters)>,
}

impl DayFigures {
    /// The figures of an hour. None if it has no messages.
    pub fn hour(&self, hour: u8) -> Option<&Counters> {
        let at = self.hours.binary_search_by_key(&hour, |(hour, _)| *hour).ok()?;
        Some(&self.hours[at].1)
    }

    /// The hours with messages, and their figures.
    pub fn hours(&self) -> impl Iterator<Item = (u8, &Counters)> {
        self.hours.iter().map(|(hour, counters)| (*hour, counters))
    }

    fn hour_mut(&mut self, hour: u8) -> &mut Counters {
        let at = match self.hours.binary_search_by_key(&hour, |(hour, _)| *hour) {
            Ok(at) => at,
            Err(at) => {
                self.hours.insert(at, (hour, Counters::default()));
                at
            }
        };
        &mut self.hours[at].1
    }

    /// Encodes the figures.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.day.encode(&mut out);
        varint::put(&mut out, self.hours.len() as u64);
        for (hour, counters) in &self.hours {
            out.push(*hour);
            counters.encode(&mut out);
        }
        out
    }

    /// Reads what [`DayFigures::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<DayFigures, Damaged> {
        let mut reader = Reader::new(bytes);
        let day = Counters::decode(&mut reader)?;
        let count: u8 = reader.number_as()?;
        let hours = (0..count).map(|_| Ok((reader.byte()?, Counters::decode(&mut reader)?)));
        Ok(DayFigures { day, hours: hours.collect::<Result<_, Damaged>>()? })
    }
}

/// A message or an event of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A message of any kind but `event`.
    Message(MessageEntry),
    /// An event.
    Event(EventEntry),
}

impl Entry {
    /// Number of the user who sent it.
    pub fn user(&self) -> u32 {
        match self {
            Entry::Message(entry) => entry.user,
            Entry::Event(entry) => entry.user,
        }
    }

    /// Second of the Beijing day, 0 to 86,399.
    pub fn second(&self) -> u32 {
        match self {
            Entry::Message(entry) => entry.second(),
            Entry::Event(entry) => entry.second,
        }
    }

    /// Its kind; [`Kind::Event`] for events.
    pub fn kind(&self) -> Kind {
        match self {
            Entry::Message(entry) => entry.kind(),
            Entry::Event(_) => Kind::Event,
        }
    }

    /// Number of the event's name. None for messages.
    pub fn event(&self) -> Option<u16> {
        match self {
            Entry::Message(_) => None,
            Entry::Event(entry) => Some(entry.name),
        }
    }
}

/// A day that receives messages.
#[derive(Clone, Debug, Default)]
pub struct OpenDay {
    messages: Entries<MessageEntry>,
    events: Entries<EventEntry>,
    marks: UserMarks,
    hour_marks: HourMarks,
}

impl OpenDay {
    /// Rebuilds a day and its figures from its stored messages. `users`: number of users of the account.
    pub fn of_block(block: &[u8], users: usize) -> Result<(OpenDay, DayFigures), Damaged> {
        let (messages, events) = block::decode(block)?;
        let mut numbers =
            messages.iter().map(|entry| entry.user).chain(events.iter().map(|entry| entry.user));
        if numbers.any(|user| user as usize >= users) {
            return Err(Damaged("a message of a user that is not known"));
        }
        let mut day = OpenDay::default();
        let mut figures = DayFigures::default();
        messages.iter().for_each(|entry| day.count(Entry::Message(*entry), users, &mut figures));
        events.iter().for_each(|entry| day.count(Entry::Event(*entry), users, &mut figures));
        day.messages = Entries::of_applied(messages);
        day.events = Entries::of_applied(events);
        Ok((day, figures))
    }

    /// Adds an entry unless it is a repeat. Returns whether it was added. It is not counted yet.
    pub fn admit(&mut self, entry: Entry) -> bool {
        match entry {
            Entry::Message(entry) => self.messages.admit(entry),
            Entry::Event(entry) => self.events.admit(entry),
        }
    }

    /// True if an event with this digest exists. The number of its name does not matter.
    pub fn has_event(&self, entry: &EventEntry) -> bool {
        self.events.has(entry)
    }

    /// Counts `entry`, which must be the oldest one that is not durable yet.
    pub fn apply(&mut self, entry: Entry, users: usize, figures: &mut DayFigures) {
        match entry {
            Entry::Message(entry) => self.messages.applied_one(&entry),
            Entry::Event(entry) => self.events.applied_one(&entry),
        }
        self.count(entry, users, figures);
    }

    /// Removes `entry`, which must be the newest one and not durable.
    pub fn revert_last(&mut self, entry: Entry) {
        match entry {
            Entry::Message(entry) => self.messages.revert_last(&entry),
            Entry::Event(entry) => self.events.revert_last(&entry),
        }
    }

    fn count(&mut self, entry: Entry, users: usize, figures: &mut DayFigures) {
        let hour = (entry.second() / 3600) as u8;
        let (user, kind, event) = (entry.user(), entry.kind(), entry.event());
        figures.day.record(self.marks.slot(user, users), kind, event);
        figures.hour_mut(hour).record(self.hour_marks.slot(user, hour), kind, event);
    }

    /// True if some entry is not durable yet.
    pub fn is_waiting(&self) -> bool {
        self.messages.is_waiting() || self.events.is_waiting()
    }

    /// Visits the users of entries that are not durable yet.
    pub fn each_waiting(&self, mut visit: impl FnMut(u32)) {
        self.messages.waiting().iter().for_each(|entry| visit(entry.user));
        self.events.waiting().iter().for_each(|entry| visit(entry.user));
    }

    /// Visits the durable entries: user, kind and number of the event's name.
    pub fn each(&self, mut visit: impl FnMut(u32, Kind, Option<u16>)) {
        self.messages.applied().iter().for_each(|entry| visit(entry.user, entry.kind(), None));
        self.events.applied().iter().for_each(|entry| visit(entry.user, Kind::Event, Some(entry.name)));
    }

    /// Visits the durable messages without events: second of the day and kind.
    pub fn each_time(&self, mut visit: impl FnMut(u32, Kind)) {
        self.messages.applied().iter().for_each(|entry| visit(entry.second(), entry.kind()));
    }

    /// The marks of the day's users.
    pub fn marks(&self) -> &UserMarks {
        &self.marks
    }

    /// Encodes the durable entries as a block.
    pub fn encode(&self) -> Vec<u8> {
        block::encode(self.messages.applied(), self.events.applied())
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.messages.bytes() + self.events.bytes() + self.marks.bytes() + self.hour_marks.bytes()
    }
}
