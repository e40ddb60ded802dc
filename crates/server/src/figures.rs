//! What the figures of accounts say, without HTTP. The admin API shows them as JSON.

pub mod live;
pub mod live_streams;
pub mod summary;
