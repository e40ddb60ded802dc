//! The records inside a frame of the log.

use counting::{
    Damaged, Entry, EventEntry, Kind, MessageEntry, Reason, SECONDS_A_DAY,
    varint::{self, Reader},
};
use datacube::Day;

/// A durable record. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Account {
        number: u32,
        appid: &'a str,
    },
    EventName {
        number: u16,
        name: &'a str,
    },
    User {
        account: u32,
        number: u32,
        openid: &'a str,
    },
    Entry {
        account: u32,
        day: Day,
        entry: Entry,
    },
    Quarantined {
        account: u32,
        key: &'a [u8],
        value: &'a [u8],
    },
    Lose {
        account: u32,
        from_s: i64,
        to_s: i64,
        reason: Reason,
    },
    Claim {
        account: u32,
        from_s: i64,
        to_s: i64,
    },
    Serve {
        at_s: i64,
        accounts: Vec<u32>,
        reason: Reason,
    },
    Resume {
        end_s: i64,
        at_s: i64,
        accounts: Vec<u32>,
        is_bridged: bool,
    },
    /// No account is served since a fault or the start.
    Interrupted,
    Begin {
        account: u32,
        at_s: i64,
    },
    Cease {
        account: u32,
    },
    Mark {
        at_s: i64,
    },
    Fact {
        key: &'a str,
        value: Option<&'a [u8]>,
    },
}

const ACCOUNT: u8 = 1;
const EVENT_NAME: u8 = 2;
const USER: u8 = 3;
const MESSAGE: u8 = 4;
const EVENT: u8 = 5;
const QUARANTINED: u8 = 6;
/// Formats before 3: without a reason.
const LOSE: u8 = 7;
const CLAIM: u8 = 8;
/// Formats before 3: without a reason. With no accounts at time 0 it means interrupted.
const SERVE: u8 = 9;
const MARK: u8 = 10;
const FACT: u8 = 11;
const NO_FACT: u8 = 12;
/// From format 2 of the log on.
const BEGIN: u8 = 13;
const CEASE: u8 = 14;
/// From format 3 of the log on.
const LOSE_FOR: u8 = 15;
const SERVE_AFTER: u8 = 16;
const RESUME: u8 = 17;
const RESUME_BRIDGED: u8 = 18;
const INTERRUPTED: u8 = 19;

impl<'a> Record<'a> {
    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Account { number, appid } => {
                start(out, ACCOUNT, *number);
                varint::put_bytes(out, appid.as_bytes());
            }
            Record::EventName { number, name } => {
                start(out, EVENT_NAME, *number);
                varint::put_bytes(out, name.as_bytes());
            }
            Record::User { account, number, openid } => {
                start(out, USER, *account);
                varint::put(out, u64::from(*number));
                varint::put_bytes(out, openid.as_bytes());
            }
            Record::Entry { account, day, entry } => encode_entry(out, *account, *day, entry),
            Record::Quarantined { account, key, value } => {
                start(out, QUARANTINED, *account);
                varint::put_bytes(out, key);
                varint::put_bytes(out, value);
            }
            Record::Lose { account, from_s, to_s, reason } => {
                encode_stretch(out, LOSE_FOR, *account, *from_s, *to_s);
                reason.encode(out);
            }
            Record::Claim { account, from_s, to_s } => encode_stretch(out, CLAIM, *account, *from_s, *to_s),
            Record::Serve { at_s, accounts, reason } => {
                encode_accounts(out, SERVE_AFTER, accounts);
                put_seconds(out, *at_s);
                reason.encode(out);
            }
            Record::Resume { end_s, at_s, accounts, is_bridged } => {
                encode_accounts(out, if *is_bridged { RESUME_BRIDGED } else { RESUME }, accounts);
                put_seconds(out, *end_s);
                put_seconds(out, *at_s);
            }
            Record::Interrupted => out.push(INTERRUPTED),
            Record::Begin { account, at_s } => {
                start(out, BEGIN, *account);
                put_seconds(out, *at_s);
            }
            Record::Cease { account } => start(out, CEASE, *account),
            Record::Mark { at_s } => {
                out.push(MARK);
                put_seconds(out, *at_s);
            }
            Record::Fact { key, value } => {
                out.push(if value.is_some() { FACT } else { NO_FACT });
                varint::put_bytes(out, key.as_bytes());
                value.iter().for_each(|value| varint::put_bytes(out, value));
            }
        }
    }

    /// Reads the next record.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Record<'a>, Damaged> {
        let tag = reader.byte()?;
        Ok(match tag {
            ACCOUNT => Record::Account { number: reader.number_as()?, appid: reader.text()? },
            EVENT_NAME => Record::EventName { number: reader.number_as()?, name: reader.text()? },
            USER => Record::User {
                account: reader.number_as()?,
                number: reader.number_as()?,
                openid: reader.text()?,
            },
            MESSAGE | EVENT => decode_entry(tag, reader)?,
            QUARANTINED => Record::Quarantined {
                account: reader.number_as()?,
                key: reader.bytes()?,
                value: reader.bytes()?,
            },
            LOSE | LOSE_FOR => Record::Lose {
                account: reader.number_as()?,
                from_s: reader.seconds()?,
                to_s: reader.seconds()?,
                reason: if tag == LOSE { Reason::Unknown } else { Reason::decode(reader)? },
            },
            CLAIM => Record::Claim {
                account: reader.number_as()?,
                from_s: reader.seconds()?,
                to_s: reader.seconds()?,
            },
            SERVE => match (accounts(reader)?, reader.seconds()?) {
                (nobody, 0) if nobody.is_empty() => Record::Interrupted,
                (accounts, at_s) => Record::Serve { accounts, at_s, reason: Reason::Unknown },
            },
            SERVE_AFTER => Record::Serve {
                accounts: accounts(reader)?,
                at_s: reader.seconds()?,
                reason: Reason::decode(reader)?,
            },
            RESUME | RESUME_BRIDGED => Record::Resume {
                accounts: accounts(reader)?,
                end_s: reader.seconds()?,
                at_s: reader.seconds()?,
                is_bridged: tag == RESUME_BRIDGED,
            },
            INTERRUPTED => Record::Interrupted,
            BEGIN => Record::Begin { account: reader.number_as()?, at_s: reader.seconds()? },
            CEASE => Record::Cease { account: reader.number_as()? },
            MARK => Record::Mark { at_s: reader.seconds()? },
            FACT => Record::Fact { key: reader.text()?, value: Some(reader.bytes()?) },
            NO_FACT => Record::Fact { key: reader.text()?, value: None },
            _ => return Err(Damaged("a record that this version does not know")),
        })
    }
}

fn start(out: &mut Vec<u8>, tag: u8, number: impl Into<u64>) {
    out.push(tag);
    varint::put(out, number.into());
}

fn encode_stretch(out: &mut Vec<u8>, tag: u8, account: u32, from_s: i64, to_s: i64) {
    start(out, tag, account);
    put_seconds(out, from_s);
    put_seconds(out, to_s);
}

fn put_seconds(out: &mut Vec<u8>, seconds: i64) {
    out.extend_from_slice(&seconds.to_le_bytes());
}

fn encode_accounts(out: &mut Vec<u8>, tag: u8, accounts: &[u32]) {
    start(out, tag, accounts.len() as u64);
    accounts.iter().for_each(|account| varint::put(out, u64::from(*account)));
}

fn accounts(reader: &mut Reader<'_>) -> Result<Vec<u32>, Damaged> {
    let count: u32 = reader.number_as()?;
    (0..count).map(|_| reader.number_as()).collect()
}

fn encode_entry(out: &mut Vec<u8>, account: u32, day: Day, entry: &Entry) {
    start(out, if matches!(entry, Entry::Message(_)) { MESSAGE } else { EVENT }, account);
    varint::put(out, u64::from(day.days_since_1970().cast_unsigned()));
    varint::put(out, u64::from(entry.user()));
    varint::put(out, u64::from(entry.second()));
    match entry {
        Entry::Message(message) => {
            out.push(message.kind().code());
            out.extend_from_slice(&message.msg_id.to_le_bytes());
        }
        Entry::Event(event) => {
            varint::put(out, u64::from(event.name));
            out.extend_from_slice(&event.digest);
        }
    }
}

fn decode_entry<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<Record<'a>, Damaged> {
    let account = reader.number_as()?;
    let days = reader.number_as::<u32>()?.cast_signed();
    let day = Day::from_days_since_1970(i64::from(days));
    let (user, second) = (reader.number_as()?, reader.number_as()?);
    if second >= SECONDS_A_DAY || day.days_since_1970() != days {
        return Err(Damaged("a moment that the calendar does not have"));
    }
    let entry = if tag == MESSAGE {
        let kind =
            Kind::from_index(usize::from(reader.byte()?)).ok_or(Damaged("a kind that is not known"))?;
        let msg_id = reader.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Damaged("cut short"))?;
        Entry::Message(MessageEntry::new(second, user, msg_id, kind))
    } else {
        let name = reader.number_as()?;
        let digest = reader.take(16)?.try_into().map_err(|_| Damaged("cut short"))?;
        Entry::Event(EventEntry { second, user, digest, name })
    };
    Ok(Record::Entry { account, day, entry })
}
