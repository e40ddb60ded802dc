//! What holds of the repository itself: its pages and its example configuration say what the code says, and no file breaks
//! a house rule.
#![allow(clippy::expect_used, reason = "a test that cannot read its files has to stop")]

mod compatibility;
mod dependencies;
mod example_config;
mod tidy;
