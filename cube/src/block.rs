//! All messages and events of one account on one day as bytes: columns sorted by time, compressed.

use crate::{
    Damaged, Kind,
    entry::{EventEntry, MessageEntry, SECONDS_A_DAY},
    packed, varint,
    varint::Reader,
};

const FORMAT: u8 = 1;

/// Writes a day.
pub fn encode(messages: &[MessageEntry], events: &[EventEntry]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(messages.len() * 16 + events.len() * 24);
    let mut messages = messages.to_vec();
    messages.sort_unstable();
    put_messages(&mut plain, &messages);
    let mut events = events.to_vec();
    events.sort_unstable();
    put_events(&mut plain, &events);
    let mut out = vec![FORMAT];
    packed::put(&mut out, &plain);
    out
}

/// Reads what [`encode`] wrote.
pub fn decode(block: &[u8]) -> Result<(Vec<MessageEntry>, Vec<EventEntry>), Damaged> {
    let mut reader = Reader::new(block);
    if reader.byte()? != FORMAT {
        return Err(Damaged("a day block of a format that this version does not know"));
    }
    let plain = packed::take(reader)?;
    let mut reader = Reader::new(&plain);
    let messages = take_messages(&mut reader)?;
    let events = take_events(&mut reader)?;
    if reader.is_empty() { Ok((messages, events)) } else { Err(Damaged("more than a day in a day block")) }
}

fn put_messages(out: &mut Vec<u8>, messages: &[MessageEntry]) {
    varint::put(out, messages.len() as u64);
    put_deltas(out, messages.iter().map(MessageEntry::second));
    put_planes(out, messages, 4, |entry| u64::from(entry.user));
    out.extend(messages.iter().map(|entry| entry.kind().index() as u8));
    // MsgIds rise with time, so differences leave the high planes nearly constant.
    let before = std::iter::once(0).chain(messages.iter().map(|entry| entry.msg_id));
    let differences: Vec<u64> =
        messages.iter().zip(before).map(|(entry, id)| entry.msg_id.wrapping_sub(id)).collect();
    put_planes(out, &differences, 8, |difference| *difference);
}

fn take_messages(reader: &mut Reader<'_>) -> Result<Vec<MessageEntry>, Damaged> {
    let count = reader.small::<u32>()? as usize;
    let seconds = take_deltas(reader, count)?;
    let users = reader.take(count * 4)?;
    let kinds = reader.take(count)?;
    let ids = reader.take(count * 8)?;
    let mut msg_id = 0_u64;
    let entries = seconds.into_iter().enumerate().map(|(i, second)| {
        msg_id = msg_id.wrapping_add(of_planes(ids, count, 8, i));
        let kind = Kind::from_index(usize::from(kinds[i]))
            .ok_or(Damaged("a kind that this version does not know"))?;
        Ok(MessageEntry::new(second, of_planes(users, count, 4, i) as u32, msg_id, kind))
    });
    entries.collect()
}

fn put_events(out: &mut Vec<u8>, events: &[EventEntry]) {
    varint::put(out, events.len() as u64);
    put_deltas(out, events.iter().map(|entry| entry.second));
    for entry in events {
        varint::put(out, u64::from(entry.user));
        varint::put(out, u64::from(entry.name));
        out.extend_from_slice(&entry.digest);
    }
}

fn take_events(reader: &mut Reader<'_>) -> Result<Vec<EventEntry>, Damaged> {
    let count = reader.small::<u32>()? as usize;
    let seconds = take_deltas(reader, count)?;
    let entries = seconds.into_iter().map(|second| {
        let (user, name) = (reader.small()?, reader.small()?);
        let digest = reader.take(16)?.try_into().map_err(|_| Damaged("cut short"))?;
        Ok(EventEntry { second, user, digest, name })
    });
    entries.collect()
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
        let delta = reader.small()?;
        value = value
            .checked_add(delta)
            .filter(|second| *second < SECONDS_A_DAY)
            .ok_or(Damaged("a second past midnight"))?;
        values.push(value);
    }
    Ok(values)
}

/// Writes numbers byte by byte of equal weight, so that bytes that hardly change lie together.
fn put_planes<T>(out: &mut Vec<u8>, items: &[T], width: usize, number: impl Fn(&T) -> u64) {
    for plane in 0..width {
        out.extend(items.iter().map(|item| (number(item) >> (8 * plane)) as u8));
    }
}

fn of_planes(planes: &[u8], count: usize, width: usize, at: usize) -> u64 {
    (0..width).fold(0, |number, plane| number | u64::from(planes[plane * count + at]) << (8 * plane))
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
        fn damaged_blocks_are_errors_and_not_panics(bytes: Vec<u8>, cut in 0..60_usize, flip in 0..60_usize) {
            let _ = decode(&bytes);
            let mut block = encode(&[MessageEntry::new(5, 1, 7, Kind::Text)], &[]);
            block.truncate(cut);
            if let Some(byte) = block.get_mut(flip) {
                *byte ^= 0x55;
            }
            let _ = decode(&block);
        }
    }
}
