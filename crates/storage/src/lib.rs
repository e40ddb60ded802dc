//! Makes messages durable and counts them. It knows no HTTP and no signatures, and times are passed in as values.

#![warn(missing_docs)]

pub mod account_metrics;
pub mod backup;
pub mod decision;
pub mod metrics;
pub mod planned_stop;
pub mod store;
pub mod writer;
