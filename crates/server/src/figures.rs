//! What the program tells about accounts, without HTTP: the admin API writes it as JSON, and pages show it.

pub mod health;
