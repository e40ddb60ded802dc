//! What the statistics say, without HTTP: the admin API writes it as JSON or CSV, and pages show it.

pub mod statistics;
