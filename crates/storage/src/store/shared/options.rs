//! What the shared store connects to.

use std::path::PathBuf;

use cluster::{messages::ClickHouseOptions, state::StateOptions};

/// What the shared store connects to.
#[derive(Clone, Debug)]
pub struct SharedOptions {
    /// ClickHouse, for messages.
    pub messages: ClickHouseOptions,
    /// PostgreSQL, for everything that is decided.
    pub state: StateOptions,
    /// The data folder of this process alone.
    pub folder: PathBuf,
}
