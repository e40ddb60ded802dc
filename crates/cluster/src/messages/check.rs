//! Examines the servers, for operators.

use super::options::ClickHouseOptions;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// It works, but the operator should know.
    Warning,
    /// Something does not work.
    Error,
}

/// What an examination of a server found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseFinding {
    /// The server.
    pub url: String,
    /// How serious it is.
    pub level: FindingLevel,
    /// What was found.
    pub what: String,
}

pub async fn check(_options: &ClickHouseOptions) -> Vec<ClickHouseFinding> {
    Vec::new()
}
