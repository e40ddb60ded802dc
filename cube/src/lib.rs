//! Exact counting of what users send to Official Accounts: by Beijing hour, day, week and month, by type of
//! message, by user. Pure: no clock, no files, no sockets, no async, so that it can be tested by the million.

mod calendar;
mod kind;
mod message;

pub use calendar::{BEIJING_OFFSET_S, HOUR_S, Period, day_of, hour_of, second_of_day, start_of_day_s};
pub use kind::{COUNTED_TYPES, Kind};
pub use message::{Content, Message};
