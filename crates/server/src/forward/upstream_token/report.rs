//! What is known of the real tokens, without the tokens themselves.

use super::UpstreamTokens;
use std::sync::PoisonError;

/// The real tokens of some accounts at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTokenReport {
    /// Accounts with a token that is valid.
    pub valid: usize,
    /// When the oldest of the valid tokens was fetched, Unix seconds.
    pub oldest_s: Option<i64>,
    /// The accounts whose newest fetch failed, each with the reason in English, sorted by appid.
    pub failures: Vec<(String, String)>,
}

impl UpstreamTokens {
    /// A report at this time, in Unix seconds. An account whose token is being fetched has no failure.
    pub fn report(&self, now_s: i64) -> UpstreamTokenReport {
        let mut report = UpstreamTokenReport::default();
        let by_account = self.by_account.read().unwrap_or_else(PoisonError::into_inner);
        for (appid, account_token) in by_account.iter() {
            let record = account_token.read();
            if let Some(token) = record.token.as_ref().filter(|token| now_s < token.expires_s) {
                report.valid += 1;
                report.oldest_s =
                    Some(report.oldest_s.map_or(token.fetched_s, |oldest_s| oldest_s.min(token.fetched_s)));
            }
            let fetching = account_token.fetching.try_lock().ok();
            if let Some(failure) = fetching.and_then(|fetching| fetching.failure.clone()) {
                report.failures.push((appid.clone(), failure.to_string()));
            }
        }
        report.failures.sort_unstable();
        report
    }
}
