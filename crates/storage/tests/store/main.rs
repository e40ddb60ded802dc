//! One suite that every store must pass. Then the embedded store with disk faults, power losses, damaged files and old
//! formats, and the writer. Expected figures come from the plain `rollup`.
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
mod inserts;
mod model;
#[cfg(feature = "clickhouse")]
mod shared;
mod suite;
mod summaries;
