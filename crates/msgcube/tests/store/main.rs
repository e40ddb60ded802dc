//! One suite for every store, then the embedded store under faults of the disk, power loss and damaged files, its
//! format, and the way of a message through the writer. Everything is compared with the plain rollup.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod backup;
mod changes;
mod corruption;
mod disk;
mod faults;
mod folder;
mod format;
mod ingest;
mod model;
mod reload;
mod suite;
