//! Checks of the repository: the pages and the example configuration match the code, and every file follows the house
//! rules.
#![allow(clippy::expect_used, reason = "a test that cannot read its files has to stop")]

mod compatibility;
mod dependencies;
mod example_config;
mod tidy;
