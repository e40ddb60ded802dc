//! How serious something is that an examination found.

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// It works, but something can be lost or is about to fail.
    Warning,
    /// Something does not work.
    Bad,
}
