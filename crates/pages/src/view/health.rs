//! What is well and what is not.

use i18n::Text;

use super::{
    figures::{AccountName, AlertLevel, ShownState},
    time::BeijingTime,
};

/// The page `/ui/health`.
#[derive(Clone, Debug)]
pub struct HealthPage {
    /// Since when the process has recorded what it shows here.
    pub since: BeijingTime,
    /// Checks in any order: the page sorts them, worst first.
    pub checks: Vec<HealthCheck>,
    /// Accounts that need attention, worst first. At most 50.
    pub accounts: Vec<HealthRow>,
    /// Accounts that need attention and are not in the list.
    pub more_accounts: usize,
}

/// One check, in words.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// How serious it is.
    pub level: AlertLevel,
    /// What was checked, in one or two words.
    pub title: Text,
    /// What was found, in one sentence.
    pub finding: Text,
    /// What to do about it.
    pub remedy: Option<Text>,
}

/// An account that needs attention.
#[derive(Clone, Debug)]
pub struct HealthRow {
    /// The account.
    pub account: AccountName,
    /// Its state.
    pub state: ShownState,
    /// Why, and what to do.
    pub finding: Text,
}
