//! What the program tells about accounts, without HTTP: the admin API writes it as JSON or CSV, and pages show it.

pub mod health;
pub mod hours;
pub mod live;
pub mod live_streams;
pub mod statistics;
pub mod summary;
