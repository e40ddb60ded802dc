//! Exact counting of what users send to Official Accounts: by Beijing hour, day, week and month, by type of
//! message, by user. Pure: no clock, no files, no sockets, no async, so that it can be tested by the million.
//!
//! # Ranges of days
//!
//! In addition to its figures, each day and each month has a page of senders: messages by kind, and for each kind the
//! set of its users. A set is stored as distances between user numbers or as one bit for each user, whichever is
//! shorter. The page is written in the same transaction as the figures, so a late message corrects both. A range is
//! composed of whole months and single days ([`Piece`]): their sets are united as bits, their messages are added.
//! Pages in memory are used first. Figures without a page of senders are an error, never an empty day.
//!
//! A row of a month that the range begins or ends in needs no union: a page of the month has the users of its days 1 to n
//! and n to the end ([`MonthEnds`]). The page is written after a save and is only used if the days still have the messages
//! that it was counted from.
//!
//! # New users
//!
//! The day of the first counted message is stored for each user (2 bytes), and for each day the number of users whose
//! first day it is. If a late message is earlier than a user's first day, the user moves to that day. The new users of
//! a range are the sum over its days.
//!
//! # Users on disk
//!
//! A new openid gets the next number and is kept in memory as a recent user. Recent users are saved in the order of
//! their numbers. If there are many, they are merged into pages sorted by openid ([`Merge`]). A sorted page has 8 KiB,
//! stores six bits for each character after the common prefix, and is searched in its stored form. A step of the merge
//! replaces up to 512 pages in one transaction, so the file needs little extra room. Until the last step, all merged
//! users are also recent users. So a kill loses nothing, and the next merge finds the users that are already merged. A
//! sorted page states its range of openids, so it can also prove that an openid is unknown.
//!
//! # Start after a kill
//!
//! The recent users are read, then the end of the log is replayed. The marks of the affected days, weeks and months
//! are rebuilt from the stored messages. Senders are stored apart from the rest of a day, so only they are read. None
//! of this grows with the length of the history.

// Packed fields are truncated on purpose, next to the check of their width.
#![allow(clippy::cast_possible_truncation)]
#![warn(missing_docs)]

mod account;
mod account_summary;
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
mod month_ends;
mod packed;
mod page;
mod recount;
pub mod rollup;
mod senders;
mod user_set;
mod users;
pub mod varint;

pub use account::{Account, Admitted, DayTotals, Piece};
pub use account_summary::AccountSummary;
pub use calendar::{BEIJING_OFFSET_S, HOUR_S, Period, day_of, hour_of, second_of_day, start_of_day_s};
pub use counters::Counters;
pub use coverage::{Coverage, CoverageReport, GAPS_MAX};
pub use day::Entry;
pub use derived::Derived;
pub use entry::{EventDigest, EventEntry, MessageEntry, SECONDS_A_DAY, UNNAMED, event_digest};
pub use gap::{Gap, Reason};
pub use kind::{COUNT_INTERVALS, COUNTED_TYPES, Kind};
pub use message::{Content, Message};
pub use month_ends::MonthEnds;
pub use page::{PageError, PageKey, PageSource, Snapshot};
pub use senders::Senders;
pub use users::{Merge, MergeStep, USERS_A_PAGE};

/// Stored bytes are damaged. The text says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub &'static str);
