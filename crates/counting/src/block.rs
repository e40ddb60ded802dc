//! The stored form of one account's messages and events of one day: columns sorted by time, compressed. Senders and
//! times are separate parts, because weeks and months are recounted from the senders alone.

use crate::{
    Damaged, Kind,
    entry::{EventEntry, MessageEntry, SECONDS_A_DAY},
    packed, varint,
    varint::Reader,
};

/// Page formats before 3: a single part.
const ONE_PART: u8 = 1;
const TWO_PARTS: u8 = 2;
const CUT_SHORT: Damaged = Damaged("cut short");
const UNKNOWN: Damaged = Damaged("a day block of a format that this version does not know");

/// Encodes a day. The entries may be in any order.
pub fn encode(messages: &[MessageEntry], events: &[EventEntry]) -> Vec<u8> {
    let mut messages = messages.to_vec();
    messages.sort_unstable();
    let mut events = events.to_vec();
    events.sort_unstable();
    let mut who = Vec::with_capacity(messages.len() * 5 + events.len() * 6 + 16);
    put_who(&mut who, &messages, &events);
    let mut when = Vec::with_capacity(messages.len() * 10 + events.len() * 18);
    put_when(&mut when, &messages, &events);
    let mut part = Vec::new();
    packed::put(&mut part, &who);
    let mut out = vec![TWO_PARTS];
    varint::put_bytes(&mut out, &part);
    packed::put(&mut out, &when);
    out
}

/// Reads what [`encode`] wrote.
pub fn decode(block: &[u8]) -> Result<(Vec<MessageEntry>, Vec<EventEntry>), Damaged> {
    let mut reader = Reader::new(block);
    match reader.byte()? {
        ONE_PART => {
            let plain = packed::take(reader)?;
            let mut reader = Reader::new(&plain);
            let messages = take_messages(&mut reader)?;
            let events = take_events(&mut reader)?;
            all_read(reader)?;
            Ok((messages, events))
        }
        TWO_PARTS => {
            let who = packed::take(Reader::new(reader.bytes()?))?;
            let when = packed::take(reader)?;
            both(&mut Reader::new(&who), &mut Reader::new(&when))
        }
        _ => Err(UNKNOWN),
    }
}

/// Visits each message and event: user, kind and number of the event's name. Reads only the part with the senders.
pub fn each(block: &[u8], mut visit: impl FnMut(u32, Kind, Option<u16>)) -> Result<(), Damaged> {
    let mut reader = Reader::new(block);
    if reader.byte()? != TWO_PARTS {
        let (messages, events) = decode(block)?;
        messages.iter().for_each(|entry| visit(entry.user, entry.kind(), None));
        events.iter().for_each(|entry| visit(entry.user, Kind::Event, Some(entry.name)));
        return Ok(());
    }
    let who = packed::take(Reader::new(reader.bytes()?))?;
    let mut reader = Reader::new(&who);
    let count = reader.number_as::<u32>()? as usize;
    let users = reader.take(count.checked_mul(4).ok_or(CUT_SHORT)?)?;
    let kinds = reader.take(count)?;
    for (at, kind) in kinds.iter().enumerate() {
        let byte = |plane: usize| u32::from(users[plane * count + at]) << (8 * plane);
        visit(byte(0) | byte(1) | byte(2) | byte(3), kind_of(*kind)?, None);
    }
    for _ in 0..reader.number_as::<u32>()? {
        visit(reader.number_as()?, Kind::Event, Some(reader.number_as()?));
    }
    all_read(reader)
}

fn all_read(reader: Reader<'_>) -> Result<(), Damaged> {
    if reader.is_empty() { Ok(()) } else { Err(Damaged("more than a day in a day block")) }
}

fn kind_of(code: u8) -> Result<Kind, Damaged> {
    Kind::from_index(code.into()).ok_or(Damaged("a kind that this version does not know"))
}

fn put_who(out: &mut Vec<u8>, messages: &[MessageEntry], events: &[EventEntry]) {
    varint::put(out, messages.len() as u64);
    put_planes(out, messages, 4, |entry| u64::from(entry.user));
    out.extend(messages.iter().map(|entry| entry.kind().index() as u8));
    varint::put(out, events.len() as u64);
    for entry in events {
        varint::put(out, u64::from(entry.user));
        varint::put(out, u64::from(entry.name));
    }
}

fn put_when(out: &mut Vec<u8>, messages: &[MessageEntry], events: &[EventEntry]) {
    put_deltas(out, messages.iter().map(MessageEntry::second));
    // MsgIds rise with time, so the high bytes of differences are nearly constant.
    let before = std::iter::once(0).chain(messages.iter().map(|entry| entry.msg_id));
    let differences: Vec<u64> =
        messages.iter().zip(before).map(|(entry, id)| entry.msg_id.wrapping_sub(id)).collect();
    put_planes(out, &differences, 8, |difference| *difference);
    put_deltas(out, events.iter().map(|entry| entry.second));
    events.iter().for_each(|entry| out.extend_from_slice(&entry.digest));
}

fn both(
    who: &mut Reader<'_>,
    when: &mut Reader<'_>,
) -> Result<(Vec<MessageEntry>, Vec<EventEntry>), Damaged> {
    let count = who.number_as::<u32>()? as usize;
    let users = take_planes(who, count, 4)?;
    let kinds = who.take(count)?;
    let seconds = take_deltas(when, count)?;
    let messages = messages_of(&seconds, &users, kinds, &take_planes(when, count, 8)?)?;
    let count = who.number_as::<u32>()? as usize;
    let seconds = take_deltas(when, count)?;
    let events = seconds.into_iter().map(|second| {
        let (user, name) = (who.number_as()?, who.number_as()?);
        Ok(EventEntry { second, user, digest: take_digest(when)?, name })
    });
    let events = events.collect::<Result<_, Damaged>>()?;
    all_read(*who)?;
    all_read(*when)?;
    Ok((messages, events))
}

fn messages_of(
    seconds: &[u32],
    users: &[u64],
    kinds: &[u8],
    differences: &[u64],
) -> Result<Vec<MessageEntry>, Damaged> {
    let mut msg_id = 0_u64;
    let entries = seconds.iter().enumerate().map(|(i, second)| {
        msg_id = msg_id.wrapping_add(differences[i]);
        Ok(MessageEntry::new(*second, users[i] as u32, msg_id, kind_of(kinds[i])?))
    });
    entries.collect()
}

fn take_messages(reader: &mut Reader<'_>) -> Result<Vec<MessageEntry>, Damaged> {
    let count = reader.number_as::<u32>()? as usize;
    let seconds = take_deltas(reader, count)?;
    let users = take_planes(reader, count, 4)?;
    let kinds = reader.take(count)?;
    messages_of(&seconds, &users, kinds, &take_planes(reader, count, 8)?)
}

fn take_events(reader: &mut Reader<'_>) -> Result<Vec<EventEntry>, Damaged> {
    let count = reader.number_as::<u32>()? as usize;
    let seconds = take_deltas(reader, count)?;
    let entries = seconds.into_iter().map(|second| {
        let (user, name) = (reader.number_as()?, reader.number_as()?);
        Ok(EventEntry { second, user, digest: take_digest(reader)?, name })
    });
    entries.collect()
}

fn take_digest(reader: &mut Reader<'_>) -> Result<[u8; 16], Damaged> {
    reader.take(16)?.try_into().map_err(|_| CUT_SHORT)
}

fn put_deltas(out: &mut Vec<u8>, sorted: impl Iterator<Item = u32>) {
    let mut before = 0;
    for value in sorted {
        varint::put(out, u64::from(value - before));
        before = value;
    }
}

fn take_deltas(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, Damaged> {
    let mut value = 0_u32;
    let mut values = Vec::new();
    for _ in 0..count {
        let delta = reader.number_as()?;
        value = value
            .checked_add(delta)
            .filter(|second| *second < SECONDS_A_DAY)
            .ok_or(Damaged("a second past midnight"))?;
        values.push(value);
    }
    Ok(values)
}

/// Writes all lowest bytes first, then all second bytes, and so on. Bytes that hardly change lie together, so they
/// compress well.
fn put_planes<T>(out: &mut Vec<u8>, items: &[T], width: usize, number: impl Fn(&T) -> u64) {
    for plane in 0..width {
        out.extend(items.iter().map(|item| (number(item) >> (8 * plane)) as u8));
    }
}

fn take_planes(reader: &mut Reader<'_>, count: usize, width: usize) -> Result<Vec<u64>, Damaged> {
    let planes = reader.take(count.checked_mul(width).ok_or(CUT_SHORT)?)?;
    let mut numbers = vec![0_u64; count];
    for plane in 0..width {
        let bytes = &planes[plane * count..][..count];
        numbers.iter_mut().zip(bytes).for_each(|(number, byte)| *number |= u64::from(*byte) << (8 * plane));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_message() -> impl Strategy<Value = MessageEntry> {
        (0..86_400_u32, any::<u32>(), any::<u64>(), 0..10_usize).prop_map(|(second, user, id, kind)| {
            MessageEntry::new(second, user, id, Kind::from_index(kind).unwrap())
        })
    }

    fn any_event() -> impl Strategy<Value = EventEntry> {
        (0..86_400_u32, any::<u32>(), any::<[u8; 16]>(), any::<u16>())
            .prop_map(|(second, user, digest, name)| EventEntry { second, user, digest, name })
    }

    proptest! {
        #[test]
        fn a_day_is_read_as_it_was_written(
            mut messages in prop::collection::vec(any_message(), 0..200),
            mut events in prop::collection::vec(any_event(), 0..50),
        ) {
            let read = decode(&encode(&messages, &events));
            messages.sort_unstable();
            events.sort_unstable();
            prop_assert_eq!(read, Ok((messages, events)));
        }

        #[test]
        fn who_wrote_is_read_alone_as_with_the_rest(
            messages in prop::collection::vec(any_message(), 0..100),
            events in prop::collection::vec(any_event(), 0..50),
        ) {
            let block = encode(&messages, &events);
            let mut seen = Vec::new();
            each(&block, |user, kind, name| seen.push((user, kind, name))).unwrap();
            let (messages, events) = decode(&block).unwrap();
            let messages = messages.iter().map(|entry| (entry.user, entry.kind(), None));
            let events = events.iter().map(|entry| (entry.user, Kind::Event, Some(entry.name)));
            prop_assert_eq!(seen, messages.chain(events).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_blocks_are_errors_and_not_panics(bytes: Vec<u8>, cut in 0..60_usize, flip in 0..60_usize) {
            let _ = (decode(&bytes), each(&bytes, |_, _, _| {}));
            let mut block = encode(&[MessageEntry::new(5, 1, 7, Kind::Text)], &[]);
            block.truncate(cut);
            if let Some(byte) = block.get_mut(flip) {
                *byte ^= 0x55;
            }
            let _ = (decode(&block), each(&block, |_, _, _| {}));
        }
    }
}
