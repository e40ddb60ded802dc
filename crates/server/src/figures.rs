//! What the program tells about accounts, without HTTP: the admin API writes it as JSON or CSV, and pages show it.

pub mod health;
pub mod statistics;
