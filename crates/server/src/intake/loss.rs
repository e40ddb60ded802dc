//! Callbacks that are refused or closed: counted, logged at most once a minute, and the time they were about taken out
//! of the coverage if one that WeChat really sent is lost.

use counting::Reason;
use wechat::callback::Refusal;

use super::{Intake, Outcome, RELAY_DEADLINE, Recipient, Rejection};
use crate::accounts::registry::Account;

impl Intake {
    pub(super) fn reject(&self, recipient: &Recipient, rejection: Rejection) -> Outcome<'static> {
        match rejection {
            Rejection::Refused { refusal, is_loss } => {
                if let Some(account) = recipient.account().filter(|_| is_loss && refusal.authentic()) {
                    self.lose_refused(account, &refusal);
                }
                self.note_refusal(&refusal, logged_as(recipient));
                Outcome::Refused(refusal)
            }
            Rejection::TooManyAccounts => {
                if self.refusals.may_log("", "too_many_accounts", self.clock.now_s()) {
                    let appid = recipient.appid();
                    tracing::error!(
                        appid,
                        "a platform brings more accounts than are taken; see the limits in docs/reference.md"
                    );
                }
                self.close("too_many_accounts")
            }
        }
    }

    /// Leaves a callback unanswered.
    pub(super) fn close(&self, reason: &'static str) -> Outcome<'static> {
        self.metrics.callback("closed", reason);
        Outcome::Unanswered
    }

    /// An authentic callback was refused: both the time it arrived and the time it is about are not covered.
    fn lose_refused(&self, account: &Account, refusal: &Refusal) {
        let now_s = self.clock.now_s();
        self.ingest.lose(account.number, now_s, now_s + 1, Reason::refused(refusal.reason(), 1));
        // A plain signature proves no content, so a plain body may not say which time is lost.
        if let Some(time) = refusal.create_time().filter(|_| refusal.content_is_proven()) {
            // The time ahead cannot be lost yet.
            let to_s = time.saturating_add(1).min(now_s + 1);
            self.ingest.lose(account.number, time, to_s, Reason::refused(refusal.reason(), 0));
        }
    }

    /// A callback is not durable: the time in which it may have arrived is not covered.
    pub(super) fn lose_lately(&self, account: &Account, reason: Reason) {
        let now_s = self.clock.now_s();
        let arrived_s = now_s - i64::try_from(RELAY_DEADLINE.as_secs()).unwrap_or(4) - 1;
        self.ingest.lose(account.number, arrived_s, now_s + 1, reason);
    }

    /// Counts and logs a refusal.
    pub(super) fn note_refusal(&self, refusal: &Refusal, appid: &str) {
        self.metrics.callback("refused", refusal.reason());
        if self.refusals.may_log_fault(appid, refusal.reason(), refusal.fault(), self.clock.now_s()) {
            tracing::warn!(appid, reason = refusal.reason(), "callback refused: {refusal}");
        }
    }
}

/// The appid under which refusals are logged: never one from outside, as there is no end of those.
fn logged_as(recipient: &Recipient) -> &str {
    match recipient {
        Recipient::ThroughPlatform { platform, account: None, .. } => &platform.config.appid,
        _ => recipient.appid(),
    }
}
