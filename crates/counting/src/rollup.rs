//! Defines the figures. It is slow and plain. All fast code must give the same results.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use datacube::{Day, Figures, Granularity, Row};

use crate::{COUNTED_TYPES, Content, Kind, Message, Period, day_of};

/// The messages without repeats. Of messages with the same user, CreateTime and MsgId (for events: Event, EventKey and
/// MsgID) the first one stays. An event with a MsgID also repeats one without, because former versions stored none.
pub fn without_repeats(messages: &[Message]) -> Vec<&Message> {
    let mut seen = HashSet::new();
    let identity = |message: &Message| {
        let id = match &message.content {
            Content::Message { msg_id, .. } => Ok(*msg_id),
            Content::Event { name, key, msg_id } => Err((name.clone(), key.clone(), *msg_id)),
        };
        (message.user.clone(), message.create_time, id)
    };
    let is_new = |message: &&Message| {
        let (user, time, id) = identity(message);
        let former = id.clone().map_err(|(name, key, _)| (name, key, None));
        let has_former = seen.contains(&(user.clone(), time, former));
        !has_former && seen.insert((user, time, id))
    };
    messages.iter().filter(is_new).collect()
}

/// The rows of one of the seven interfaces for all periods, in order.
pub fn rollup(messages: &[Message], granularity: Granularity, figures: Figures) -> Vec<Row> {
    let mut periods: BTreeMap<Period, Vec<&Message>> = BTreeMap::new();
    for message in without_repeats(messages) {
        if message.kind().counted_type().is_some() {
            periods.entry(Period::of(granularity, message.create_time)).or_default().push(message);
        }
    }
    let rows = periods.iter().flat_map(|(period, messages)| match figures {
        Figures::Totals => totals(*period, messages),
        Figures::Distribution => distribution(*period, messages),
    });
    rows.collect()
}

fn totals(period: Period, messages: &[&Message]) -> Vec<Row> {
    let of_type =
        |number| messages.iter().filter(move |message| message.kind().counted_type() == Some(number));
    let rows = COUNTED_TYPES.into_iter().map(|number| Row {
        msg_type: Some(number),
        msg_count: Some(of_type(number).count() as u64),
        ..row(period, distinct(of_type(number).copied()))
    });
    rows.filter(|row| row.msg_user > 0).collect()
}

fn distribution(period: Period, messages: &[&Message]) -> Vec<Row> {
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    messages.iter().for_each(|message| *sent.entry(&message.user).or_default() += 1);
    let users = |least, most| sent.values().filter(|count| (least..=most).contains(*count)).count() as u64;
    let intervals = [(1, users(1, 5)), (2, users(6, 10)), (3, users(11, u64::MAX))];
    let rows = intervals.into_iter().filter(|(_, users)| *users > 0);
    rows.map(|(interval, users)| Row { count_interval: Some(interval), ..row(period, users) }).collect()
}

fn distinct<'a>(messages: impl Iterator<Item = &'a Message>) -> u64 {
    messages.map(|message| &message.user).collect::<BTreeSet<_>>().len() as u64
}

fn row(period: Period, msg_user: u64) -> Row {
    let hour = u16::from(period.hour_of_day()) * 100;
    Row {
        ref_date: period.start(),
        ref_hour: (period.granularity() == Granularity::Hour).then_some(hour),
        user_source: None,
        msg_type: None,
        count_interval: None,
        msg_user,
        msg_count: None,
    }
}

/// Users, messages and events of one kind in a range of days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Number of different users.
    pub users: u64,
    /// Number of messages.
    pub messages: u64,
    /// Number of events by name.
    pub events: BTreeMap<String, u64>,
}

/// The figures by kind for the days from…to, taken as one period.
pub fn by_kind(messages: &[Message], from: Day, to: Day) -> BTreeMap<Kind, KindFigures> {
    let inside = |message: &&Message| (from..=to).contains(&day_of(message.create_time));
    let messages: Vec<&Message> = without_repeats(messages).into_iter().filter(inside).collect();
    let of_kind = |kind| messages.iter().filter(move |message| message.kind() == kind).copied();
    let figures = Kind::ALL.into_iter().map(|kind| {
        let mut events = BTreeMap::new();
        for message in of_kind(kind) {
            if let Content::Event { name, .. } = &message.content {
                *events.entry(name.to_string()).or_default() += 1;
            }
        }
        (kind, KindFigures { users: distinct(of_kind(kind)), messages: of_kind(kind).count() as u64, events })
    });
    figures.filter(|(_, figures)| figures.messages > 0).collect()
}

/// Number of users and of messages of all counted types in a range of days.
pub fn counted(messages: &[Message], from: Day, to: Day) -> (u64, u64) {
    let messages = without_repeats(messages).into_iter();
    let inside: Vec<&Message> = messages
        .filter(|message| {
            message.kind().counted_type().is_some() && (from..=to).contains(&day_of(message.create_time))
        })
        .collect();
    (distinct(inside.iter().copied()), inside.len() as u64)
}

/// Number of users of videos and short videos together in a range of days. WeChat counts these as one type.
pub fn users_of_videos(messages: &[Message], from: Day, to: Day) -> u64 {
    let messages = without_repeats(messages).into_iter();
    distinct(messages.filter(|message| {
        message.kind().counted_type() == Some(4) && (from..=to).contains(&day_of(message.create_time))
    }))
}

/// Number of users whose first counted message lies in a range of days.
pub fn new_users(messages: &[Message], from: Day, to: Day) -> u64 {
    let mut first: BTreeMap<&str, Day> = BTreeMap::new();
    for message in without_repeats(messages) {
        if message.kind().counted_type().is_some() {
            let day = day_of(message.create_time);
            first.entry(&message.user).and_modify(|first| *first = day.min(*first)).or_insert(day);
        }
    }
    first.values().filter(|day| (from..=to).contains(day)).count() as u64
}
