//! Exact counting of what users send to Official Accounts: by Beijing hour, day, week and month, by type of
//! message, by user. Pure: no clock, no files, no sockets, no async, so that it can be tested by the million.

// Packed fields are cut to their width on purpose, next to where the width is checked.
#![allow(clippy::cast_possible_truncation)]

mod account;
mod block;
mod calendar;
mod counters;
mod coverage;
mod day;
mod derived;
mod entry;
mod first_days;
mod gap;
mod kind;
mod marks;
mod message;
mod packed;
mod page;
pub mod rollup;
mod senders;
mod user_set;
mod users;
pub mod varint;

pub use account::{Account, Admitted, Piece};
pub use calendar::{BEIJING_OFFSET_S, HOUR_S, Period, day_of, hour_of, second_of_day, start_of_day_s};
pub use counters::Counters;
pub use coverage::{Coverage, CoverageReport, GAPS_MAX};
pub use day::Entry;
pub use derived::Derived;
pub use entry::{EventDigest, EventEntry, MessageEntry, SECONDS_A_DAY, UNNAMED};
pub use gap::{Gap, Reason};
pub use kind::{COUNT_INTERVALS, COUNTED_TYPES, Kind};
pub use message::{Content, Message};
pub use page::{Cold, ColdError, PageKey, Snapshot};
pub use senders::Senders;
pub use users::{Merge, MergeStep, USERS_A_PAGE};

/// Stored bytes that make no sense: what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub &'static str);
