//! Messages on real servers of ClickHouse: one alone, and a cluster of shards with replicas. `tests/cluster/run.sh` starts
//! them and names them in the environment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "the servers are named in the environment")]

mod connecting;
mod figures;
mod inserting;
mod overview;
mod servers;
