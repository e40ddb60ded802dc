//! The result of a check, and what to do about it.

use i18n::Text;
use serde::Serialize;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, but should be changed.
    Warning,
    /// It does not work.
    Problem,
    /// It could not be checked.
    Skipped,
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct Finding {
    /// A stable name for programs.
    pub id: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// What was found, with units. Never a secret.
    pub found: Text,
    /// What to do about it.
    pub remedy: Option<Text>,
}

impl Finding {
    pub fn ok(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { id, severity: Severity::Ok, found: found.into(), remedy: None }
    }

    pub fn note(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::ok(id, found) }
    }

    pub fn warning(id: &'static str, found: impl Into<Text>, remedy: impl Into<Text>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::ok(id, found) }.with_remedy(remedy)
    }

    pub fn problem(id: &'static str, found: impl Into<Text>, remedy: impl Into<Text>) -> Finding {
        Finding { severity: Severity::Problem, ..Finding::ok(id, found) }.with_remedy(remedy)
    }

    pub fn skipped(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { severity: Severity::Skipped, ..Finding::ok(id, found) }
    }

    pub fn with_remedy(self, remedy: impl Into<Text>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// A group of checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    Configuration,
    Clock,
    Disk,
    ClickHouse,
    PostgreSql,
    Https,
    Server,
    /// The account of this appid.
    Account(String),
    /// The third-party platform of this appid.
    Platform(String),
}

/// A group of checks with its findings.
#[derive(Clone, Debug)]
pub struct Section {
    pub group: Group,
    pub findings: Vec<Finding>,
}
