//! What comes from the operating system: clock, random numbers, files, locks, secrets and the data key.
//! Uses no other crate of this workspace.

#![warn(missing_docs)]

pub mod byte_budget;
pub mod clock;
pub mod current;
pub mod data_key;
pub mod disposable_db;
pub mod files;
pub mod random;
pub mod secret;
pub mod sync;
