//! Exact counting of what users send to Official Accounts: by Beijing hour, day, week and month, by type of
//! message, by user. Pure: no clock, no files, no sockets, no async, so that it can be tested by the million.
//!
//! # Ranges of days
//!
//! Each day and each month has a page of senders beside its figures: messages by kind, and for each kind the set of its
//! users. A set is stored as distances between user numbers or as one bit a user, whichever is shorter. The page is
//! written in the same transaction as the figures, so a late message corrects both. A range is made of whole months and
//! single days ([`Piece`]). Their sets become bits and are united, their messages are added. What is in memory is taken
//! from there. Figures without a page of senders are damage, never an empty day.
//!
//! # New users
//!
//! For each user the day of the first counted message is stored (2 bytes), and for each day how many users it was the
//! first of. If a message is earlier than the first day known, its user moves to that day. The new users of a range are
//! the sum over its days.
//!
//! # Users on disk
//!
//! A new openid gets the next number and stays in memory, among the newest users. They are saved in order of number. When
//! they are many, they are merged into pages sorted by openid ([`Merge`]): 8 KiB each, six bits a character behind the
//! common beginning, searched as they are stored. A step of the merge replaces 512 pages in one transaction, so the file
//! needs little more room. Until the last step all merged users are also among the newest ones, so a kill loses nothing
//! and the next merge finds what was done. A sorted page says which openids belong into it, so it also shows that one is
//! unknown.
//!
//! # Start after a kill
//!
//! The newest users are read, then the end of the log is replayed. Marks of the days, weeks and months that it touches are
//! rebuilt from the stored messages: who wrote lies in a part of its own, so the rest is not read. None of this grows with
//! the history.

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
mod recount;
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
