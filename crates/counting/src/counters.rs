//! The figures of one period, and how a message changes them.

use datacube::{Figures, Row};

use crate::{COUNT_INTERVALS, COUNTED_TYPES, Damaged, Kind, Period, varint, varint::Reader};

/// The state of one user in one period: which kinds were sent, and how many messages of counted types. The count stops
/// at 11, because more makes no difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u16);

const KIND_BITS: u16 = 10;
const MOST: u16 = 11;
const VIDEOS: u16 = 1 << Kind::Video as u16 | 1 << Kind::ShortVideo as u16;

impl Mark {
    fn has_any(self, kinds: u16) -> bool {
        self.0 & kinds != 0
    }

    /// The kinds that the user has sent.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        let seen = usize::from(self.0 & ((1 << KIND_BITS) - 1));
        Kind::ALL.into_iter().filter(move |kind| seen >> kind.index() & 1 == 1)
    }

    /// Messages of counted types, at most 11.
    fn counted(self) -> u16 {
        self.0 >> KIND_BITS
    }

    /// True if the user has no message in the period.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn with(self, kind: Kind) -> Mark {
        let counted = self.counted() + u16::from(kind.counted_type().is_some() && self.counted() < MOST);
        Mark(self.0 & ((1 << KIND_BITS) - 1) | 1 << kind.index() | counted << KIND_BITS)
    }
}

/// The figures of one period of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    messages: [u64; Kind::ALL.len()],
    users: [u64; Kind::ALL.len()],
    /// Users of msg_type 4, which includes two kinds.
    users_of_videos: u64,
    /// Users of any counted type.
    users_counted: u64,
    /// Users by number of counted messages: 1 to 5, 6 to 10, more than 10.
    classes: [u64; 3],
    /// Number of events by the number of their name, sorted.
    events: Vec<(u16, u64)>,
}

impl Counters {
    /// Counts one message of a user and updates the user's mark.
    pub fn record(&mut self, mark: &mut Mark, kind: Kind, event: Option<u16>) {
        let before = *mark;
        *mark = before.with(kind);
        self.add_message(kind, event);
        self.users[kind.index()] += u64::from(!before.has_any(1 << kind.index()));
        if kind.counted_type().is_some() {
            let video = VIDEOS & 1 << kind.index() != 0;
            self.users_of_videos += u64::from(video && !before.has_any(VIDEOS));
            self.move_class(before.counted(), mark.counted());
        }
    }

    /// Counts one message without its user.
    pub(crate) fn add_message(&mut self, kind: Kind, event: Option<u16>) {
        self.messages[kind.index()] += 1;
        if let Some(name) = event {
            self.add_events(name, 1);
        }
    }

    /// Adds the messages of other figures, without their users.
    pub(crate) fn add_messages_of(&mut self, other: &Counters) {
        self.messages.iter_mut().zip(&other.messages).for_each(|(sum, more)| *sum += more);
        other.events.iter().for_each(|(name, count)| self.add_events(*name, *count));
    }

    /// A copy with other numbers of users: by kind, of msg_type 4, of any counted type.
    pub(crate) fn with_users(&self, users: [u64; Kind::ALL.len()], of_videos: u64, counted: u64) -> Counters {
        Counters { users, users_of_videos: of_videos, users_counted: counted, ..self.clone() }
    }

    /// Figures that were counted elsewhere: messages and users by the index of the kind, users of msg_type 4, users of
    /// any counted type, and users by number of counted messages. Without names of events.
    pub fn of_sums(
        messages: [u64; Kind::ALL.len()],
        users: [u64; Kind::ALL.len()],
        users_of_videos: u64,
        users_counted: u64,
        classes: [u64; 3],
    ) -> Counters {
        Counters { messages, users, users_of_videos, users_counted, classes, events: Vec::new() }
    }

    /// Adds the figures of the same period for other users. No user may be in both.
    pub fn add_other_users(&mut self, other: &Counters) {
        let mut fields = self.fields();
        fields.iter_mut().zip(other.fields()).for_each(|(sum, more)| *sum += more);
        let events = std::mem::take(&mut self.events);
        *self = Counters { events, ..Counters::of_fields(&fields) };
        other.events.iter().for_each(|(name, count)| self.add_events(*name, *count));
    }

    fn move_class(&mut self, before: u16, after: u16) {
        match class_of(before) {
            None => self.users_counted += 1,
            Some(class) if class_of(after) != Some(class) => {
                assert!(self.classes[class] > 0, "a user leaves a class that nobody is in");
                self.classes[class] -= 1;
            }
            Some(_) => return,
        }
        if let Some(class) = class_of(after) {
            self.classes[class] += 1;
        }
    }

    fn add_events(&mut self, name: u16, count: u64) {
        match self.events.binary_search_by_key(&name, |event| event.0) {
            Ok(at) => self.events[at].1 += count,
            Err(at) => self.events.insert(at, (name, count)),
        }
    }

    /// Number of messages of this kind.
    pub fn messages(&self, kind: Kind) -> u64 {
        self.messages[kind.index()]
    }

    /// Number of different users who sent this kind.
    pub fn users(&self, kind: Kind) -> u64 {
        self.users[kind.index()]
    }

    /// Number of messages and events of all kinds.
    pub fn messages_of_all_kinds(&self) -> u64 {
        self.messages.iter().sum()
    }

    /// Number of messages of all counted types.
    pub fn messages_counted(&self) -> u64 {
        Kind::ALL
            .into_iter()
            .filter(|kind| kind.counted_type().is_some())
            .map(|kind| self.messages(kind))
            .sum()
    }

    /// Number of different users of all counted types.
    pub fn users_counted(&self) -> u64 {
        self.users_counted
    }

    /// Number of different users of videos and short videos, which WeChat counts as one type.
    pub fn users_of_videos(&self) -> u64 {
        self.users_of_videos
    }

    /// Number of events by the number of their name, sorted by that number.
    pub fn events(&self) -> &[(u16, u64)] {
        &self.events
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.messages.iter().all(|count| *count == 0)
    }

    /// Appends the rows that one of the seven interfaces returns for this period.
    pub fn rows(&self, period: Period, figures: Figures, rows: &mut Vec<Row>) {
        match figures {
            Figures::Totals => {
                rows.extend(COUNTED_TYPES.iter().filter_map(|number| self.total_row(period, *number)));
            }
            Figures::Distribution => {
                rows.extend(
                    COUNT_INTERVALS.into_iter().filter_map(|interval| self.class_row(period, interval)),
                );
            }
        }
    }

    fn total_row(&self, period: Period, msg_type: u8) -> Option<Row> {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.counted_type() == Some(msg_type));
        let msg_count = kinds.clone().map(|kind| self.messages(kind)).sum();
        let msg_user = match msg_type {
            4 => self.users_of_videos,
            _ => kinds.map(|kind| self.users(kind)).sum(),
        };
        let row = Row { msg_type: Some(msg_type), msg_count: Some(msg_count), ..empty_row(period, msg_user) };
        (msg_count > 0).then_some(row)
    }

    fn class_row(&self, period: Period, interval: u8) -> Option<Row> {
        let users = self.classes[usize::from(interval) - 1];
        (users > 0).then(|| Row { count_interval: Some(interval), ..empty_row(period, users) })
    }

    /// Appends the figures: a bit for each field that is not zero, then those fields.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let fields = self.fields();
        let present = fields.iter().enumerate().fold(0_u64, |bits, (i, n)| bits | u64::from(*n != 0) << i);
        varint::put(out, present);
        fields.iter().filter(|n| **n != 0).for_each(|n| varint::put(out, *n));
        varint::put(out, self.events.len() as u64);
        for (name, count) in &self.events {
            varint::put(out, u64::from(*name));
            varint::put(out, *count);
        }
    }

    /// Reads what [`Counters::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Counters, Damaged> {
        let present = reader.number()?;
        let mut fields = [0_u64; FIELDS];
        for (i, field) in fields.iter_mut().enumerate() {
            if present >> i & 1 == 1 {
                *field = reader.number()?;
            }
        }
        let mut counters = Counters::of_fields(&fields);
        // A u32, because there can be 65,536 of them: all numbers of names and [`UNNAMED`](crate::UNNAMED).
        for _ in 0..reader.number_as::<u32>()? {
            let name = reader.number_as()?;
            let count = reader.number()?;
            counters.add_events(name, count);
        }
        Ok(counters)
    }

    fn fields(&self) -> [u64; FIELDS] {
        let mut fields = [0; FIELDS];
        fields[..10].copy_from_slice(&self.messages);
        fields[10..20].copy_from_slice(&self.users);
        fields[20] = self.users_of_videos;
        fields[21] = self.users_counted;
        fields[22..].copy_from_slice(&self.classes);
        fields
    }

    fn of_fields(fields: &[u64; FIELDS]) -> Counters {
        let mut counters = Counters::default();
        counters.messages.copy_from_slice(&fields[..10]);
        counters.users.copy_from_slice(&fields[10..20]);
        counters.users_of_videos = fields[20];
        counters.users_counted = fields[21];
        counters.classes.copy_from_slice(&fields[22..]);
        counters
    }
}

const FIELDS: usize = 25;

/// The class of a number of counted messages: 1 to 5, 6 to 10, more than 10.
fn class_of(counted: u16) -> Option<usize> {
    match counted {
        0 => None,
        1..=5 => Some(0),
        6..=10 => Some(1),
        _ => Some(2),
    }
}

fn empty_row(period: Period, msg_user: u64) -> Row {
    let hour = u16::from(period.hour_of_day()) * 100;
    Row {
        ref_date: period.start(),
        ref_hour: (period.granularity() == datacube::Granularity::Hour).then_some(hour),
        user_source: None,
        msg_type: None,
        count_interval: None,
        msg_user,
        msg_count: None,
    }
}
