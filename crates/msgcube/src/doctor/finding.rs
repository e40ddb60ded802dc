//! What a check found, and what is to be done about it.

use i18n::Text;
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, and should be otherwise.
    Warning,
    /// It does not work.
    Problem,
    /// It could not be checked.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Stable, for machines.
    pub id: &'static str,
    pub state: Severity,
    /// With numbers and units, never a secret.
    pub found: Text,
    pub remedy: Option<Text>,
}

impl Finding {
    pub fn ok(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { id, state: Severity::Ok, found: found.into(), remedy: None }
    }

    pub fn note(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { state: Severity::Note, ..Finding::ok(id, found) }
    }

    pub fn warning(id: &'static str, found: impl Into<Text>, remedy: impl Into<Text>) -> Finding {
        Finding { state: Severity::Warning, ..Finding::ok(id, found) }.remedied(remedy)
    }

    pub fn problem(id: &'static str, found: impl Into<Text>, remedy: impl Into<Text>) -> Finding {
        Finding { state: Severity::Problem, ..Finding::ok(id, found) }.remedied(remedy)
    }

    pub fn skipped(id: &'static str, found: impl Into<Text>) -> Finding {
        Finding { state: Severity::Skipped, ..Finding::ok(id, found) }
    }

    pub fn remedied(self, remedy: impl Into<Text>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// What was looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    Configuration,
    Clock,
    Disk,
    Https,
    Server,
    /// The account of this appid.
    Account(String),
    /// The third-party platform of this appid.
    Platform(String),
}

/// A group and what was found in it.
#[derive(Clone, Debug)]
pub struct Section {
    pub group: Group,
    pub findings: Vec<Finding>,
}
