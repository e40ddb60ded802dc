//! What a check found, and what is to be done about it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
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
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Stable, for machines.
    pub id: &'static str,
    pub state: State,
    /// With numbers and units, never a secret.
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(id: &'static str, found: impl Into<String>) -> Finding {
        Finding { id, state: State::Ok, found: found.into(), remedy: None }
    }

    pub fn note(id: &'static str, found: impl Into<String>) -> Finding {
        Finding { state: State::Note, ..Finding::ok(id, found) }
    }

    pub fn warning(id: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { state: State::Warning, ..Finding::ok(id, found) }.remedied(remedy)
    }

    pub fn problem(id: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { state: State::Problem, ..Finding::ok(id, found) }.remedied(remedy)
    }

    pub fn skipped(id: &'static str, found: impl Into<String>) -> Finding {
        Finding { state: State::Skipped, ..Finding::ok(id, found) }
    }

    pub fn remedied(self, remedy: impl Into<String>) -> Finding {
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
