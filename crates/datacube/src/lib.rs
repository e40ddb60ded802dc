//! The wire contract of WeChat's seven message analysis interfaces: their names, the dates they accept, their rows and
//! their error codes. Uses no other crate of this workspace.

#![warn(missing_docs)]

mod day;
mod error_code;
mod interface;
mod range;
mod row;

pub use day::{Day, DayError, Granularity};
pub use error_code::{ERROR_CODES, ErrorCode};
pub use interface::{DateProfile, Figures, INTERFACES, Interface};
pub use range::{RangeError, check_range, windows};
pub use row::{List, Row};
