//! A typed client for WeChat's seven message analysis interfaces. It works with WeChat and with any server of the same
//! interfaces. The types of the wire contract come from the crate `datacube` and are re-exported here.

#![warn(missing_docs)]

mod client;
pub mod http;

pub use datacube::{
    DateProfile, Day, DayError, ERROR_CODES, ErrorCode, Figures, Granularity, INTERFACES, Interface, List,
    RangeError, Row, check_range, windows,
};

pub use client::{Answer, Client, ClientBuilder, ClientError, Hint, WECHAT_BASE, WechatError, Window};
pub use secrecy::{ExposeSecret, SecretString};
