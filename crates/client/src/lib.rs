//! A typed client for WeChat's seven message analysis interfaces. It works against WeChat and against any server of the
//! same interface. The types of the wire contract are those of the crate `datacube`, which this crate passes on.

#![warn(missing_docs)]

mod client;
pub mod http;

pub use datacube::{
    DateProfile, Day, DayError, ERROR_CODES, ErrorCode, Figures, Granularity, INTERFACES, Interface, List,
    RangeError, Row, check_range, windows,
};

pub use client::{Answer, Client, ClientBuilder, ClientError, Hint, Refusal, Secret, WECHAT_BASE, Window};
