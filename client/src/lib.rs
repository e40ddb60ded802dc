//! The wire contract of WeChat's seven message analysis interfaces: which there are, which dates they take,
//! what their rows and errors look like. With the feature `client` also a typed client for them, which works
//! against WeChat and against any server of the same interface.

#![warn(missing_docs)]

mod day;
mod error_code;
mod interface;
mod range;
mod row;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
pub mod http;

pub use day::{Day, DayError, Granularity};
pub use error_code::{ERROR_CODES, ErrorCode};
pub use interface::{DateProfile, Figures, INTERFACES, Interface};
pub use range::{RangeError, check_range, windows};
pub use row::{List, Row};

#[cfg(feature = "client")]
pub use client::{Answer, Client, ClientBuilder, ClientError, Hint, Refusal, Secret, WECHAT_BASE, Window};
