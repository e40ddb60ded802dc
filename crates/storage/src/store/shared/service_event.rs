//! What happens to all accounts at once: service begins again after a time in which no process served, or messages of
//! all accounts may be lost. Stored as a fact, so that every process applies the same events in the same order.

use counting::{
    Coverage, Damaged, Reason,
    varint::{self, Reader},
};

/// Prefix of the keys of these facts. The number of the transaction follows, so that they sort in its order.
pub const FACT_PREFIX: &str = "service/";
const FORMAT: u8 = 1;

/// An event, and until when time was covered before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEvent {
    /// The newest mark of all processes before the event, Unix seconds.
    pub marked_s: Option<i64>,
    /// What happened.
    pub what: Happened,
}

/// What happened to all accounts. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Messages are received again. The time since the mark is a gap.
    Served {
        /// Since when.
        at_s: i64,
        /// Why none were received.
        reason: Reason,
    },
    /// Messages are received again after a planned stop that lost none.
    Resumed {
        /// The last mark before the stop.
        end_s: i64,
        /// Since when.
        at_s: i64,
        /// WeChat's retries cover the stop, and it is listed.
        is_bridged: bool,
    },
    /// One process did not work, while others did. Messages that were sent to it may be lost.
    Lost {
        /// Start of the stretch.
        from_s: i64,
        /// End of the stretch, not included.
        to_s: i64,
        /// Why.
        reason: Reason,
    },
}

impl ServiceEvent {
    /// Changes the coverage of an account. Accounts that receive no messages do not change.
    pub fn apply(&self, coverage: &mut Coverage) {
        if let Some(marked_s) = self.marked_s {
            coverage.mark(marked_s);
        }
        match &self.what {
            Happened::Served { at_s, reason } if coverage.is_served() => coverage.serve(*at_s, reason),
            Happened::Resumed { end_s, at_s, is_bridged } if coverage.is_served() => {
                coverage.resume(*end_s, *at_s, is_bridged.then_some((*end_s, *at_s)));
            }
            Happened::Lost { from_s, to_s, reason } if coverage.has_begun() => {
                coverage.lose(*from_s, *to_s, reason);
            }
            Happened::Served { .. } | Happened::Resumed { .. } | Happened::Lost { .. } => {}
        }
    }

    /// The fact's key for the transaction with this number.
    pub fn key(seq: u64) -> String {
        format!("{FACT_PREFIX}{seq:020}")
    }

    /// The number of the transaction in a key. None for keys of other facts.
    pub fn seq_of(key: &str) -> Option<u64> {
        key.strip_prefix(FACT_PREFIX)?.parse().ok()
    }

    /// The fact's value: the events of one transaction.
    pub fn encode_all(events: &[ServiceEvent]) -> Vec<u8> {
        let mut out = vec![FORMAT];
        varint::put(&mut out, events.len() as u64);
        events.iter().for_each(|event| event.encode(&mut out));
        out
    }

    /// Reads what [`ServiceEvent::encode_all`] wrote.
    pub fn decode_all(value: &[u8]) -> Result<Vec<ServiceEvent>, Damaged> {
        let mut reader = Reader::new(value);
        if reader.byte()? != FORMAT {
            return Err(Damaged("a service event of a newer version"));
        }
        let count: usize = reader.number_as()?;
        (0..count).map(|_| ServiceEvent::decode(&mut reader)).collect()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_moment(out, self.marked_s);
        match &self.what {
            Happened::Served { at_s, reason } => {
                out.push(0);
                out.extend_from_slice(&at_s.to_le_bytes());
                reason.encode(out);
            }
            Happened::Resumed { end_s, at_s, is_bridged } => {
                out.push(1);
                [end_s, at_s].iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
                out.push(u8::from(*is_bridged));
            }
            Happened::Lost { from_s, to_s, reason } => {
                out.push(2);
                [from_s, to_s].iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
                reason.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<ServiceEvent, Damaged> {
        let marked_s = if reader.byte()? == 1 { Some(reader.seconds()?) } else { None };
        let what = match reader.byte()? {
            0 => Happened::Served { at_s: reader.seconds()?, reason: Reason::decode(reader)? },
            1 => Happened::Resumed {
                end_s: reader.seconds()?,
                at_s: reader.seconds()?,
                is_bridged: reader.byte()? == 1,
            },
            2 => Happened::Lost {
                from_s: reader.seconds()?,
                to_s: reader.seconds()?,
                reason: Reason::decode(reader)?,
            },
            _ => return Err(Damaged("a service event that is not known")),
        };
        Ok(ServiceEvent { marked_s, what })
    }
}

fn put_moment(out: &mut Vec<u8>, moment: Option<i64>) {
    out.push(u8::from(moment.is_some()));
    out.extend(moment.map(i64::to_le_bytes).into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_written() {
        let reason = Reason::refused("malformed", 3);
        let events = [
            (None, Happened::Served { at_s: -5, reason: reason.clone() }),
            (Some(7), Happened::Resumed { end_s: 7, at_s: 9, is_bridged: true }),
            (Some(i64::MAX), Happened::Lost { from_s: 1, to_s: 2, reason }),
        ];
        let events = events.map(|(marked_s, what)| ServiceEvent { marked_s, what });
        let bytes = ServiceEvent::encode_all(&events);
        assert_eq!(ServiceEvent::decode_all(&bytes).as_deref(), Ok(&events[..]));
        assert!((0..bytes.len()).all(|end| ServiceEvent::decode_all(&bytes[..end]).is_err()));
        assert_eq!(ServiceEvent::seq_of(&ServiceEvent::key(42)), Some(42));
    }
}
