//! Callbacks that are refused or closed. Each is counted, and logged at most once a minute. If a callback that
//! WeChat really sent is lost, its time becomes a gap.

use std::sync::Arc;

use counting::Reason;
use storage::account_metrics::CallbackEnd;
use wechat::callback::{self, Query, Refusal};

use super::{Intake, IntakeOutcome, RELAY_DEADLINE, Recipient, Rejection};
use crate::accounts::{activity::CallbackOutcome, registry::ServedAccount};

impl Intake {
    pub(super) fn reject(&self, recipient: &Recipient, rejection: Rejection) -> IntakeOutcome<'static> {
        match rejection {
            Rejection::Refused { refusal, is_loss } => {
                let is_lost = is_loss && refusal.is_authentic();
                if let Some(account) = recipient.account().filter(|_| is_lost) {
                    self.lose_refused(account, &refusal);
                }
                recipient.count(if is_lost { CallbackEnd::Refused } else { CallbackEnd::Unproven });
                self.record_refusal(recipient.account().map(Arc::as_ref), &refusal, logged_appid(recipient));
                IntakeOutcome::Refused(refusal)
            }
            Rejection::TooManyAccounts => {
                if self.log_throttle.may_log("", "too_many_accounts", self.clock.now_s()) {
                    let appid = recipient.appid();
                    tracing::error!(
                        appid,
                        "a platform brings more accounts than the limit; see the limits in docs/reference.md"
                    );
                }
                self.close(recipient.account().map(Arc::as_ref), "too_many_accounts")
            }
            Rejection::Undecided { is_authentic } => {
                if let Some(account) = recipient.account().filter(|_| is_authentic) {
                    self.lose_recent(account, Reason::NotDurable);
                }
                self.close(recipient.account().map(Arc::as_ref), "not_durable")
            }
        }
    }

    /// Leaves a callback unanswered.
    pub(super) fn close(
        &self,
        account: Option<&ServedAccount>,
        reason: &'static str,
    ) -> IntakeOutcome<'static> {
        self.count(account, CallbackOutcome::Closed(reason));
        IntakeOutcome::Unanswered
    }

    /// Records an authentic callback that was refused. The time it arrived and its CreateTime both become gaps.
    fn lose_refused(&self, account: &ServedAccount, refusal: &Refusal) {
        let now_s = self.clock.now_s();
        self.ingest.lose(account.number, now_s, now_s + 1, Reason::refused(refusal.reason(), 1));
        // A plain signature does not cover the body, so the body of a plain callback may not say which time
        // is lost.
        if let Some(time) = refusal.create_time().filter(|_| refusal.is_content_authentic()) {
            // Time in the future cannot be lost yet.
            let to_s = time.saturating_add(1).min(now_s + 1);
            self.ingest.lose(account.number, time, to_s, Reason::refused(refusal.reason(), 0));
        }
    }

    /// Records a callback that is not durable. The time in which it may have arrived becomes a gap.
    pub(super) fn lose_recent(&self, account: &ServedAccount, reason: Reason) {
        let now_s = self.clock.now_s();
        let arrived_s = now_s - i64::try_from(RELAY_DEADLINE.as_secs()).unwrap_or(4) - 1;
        self.ingest.lose(account.number, arrived_s, now_s + 1, reason);
    }

    /// Leaves a callback unanswered while this process cannot know whether its account is still the same. If it is
    /// authentic as far as the process knows, its time becomes a gap.
    pub fn leave(&self, recipient: &Recipient, query: &str, body: &[u8]) {
        let query = Query::parse(query);
        let refusal = match (recipient, recipient.keys()) {
            (_, None) => Some(Refusal::without_keys()),
            (Recipient::Own(_), Some(keys)) => {
                callback::open(keys, &query, body, self.clock.now_s(), None).err()
            }
            (Recipient::ThroughPlatform { .. }, Some(keys)) => {
                callback::open_platform_message(keys, &query, body).err()
            }
        };
        let is_authentic = refusal.is_none_or(|refusal| refusal.is_authentic());
        if let Some(account) = recipient.account().filter(|_| is_authentic) {
            self.lose_recent(account, Reason::NotDurable);
        }
        self.close(recipient.account().map(Arc::as_ref), "not_durable");
    }

    /// Counts and logs a refusal. It is logged under `appid`, which may be a platform's.
    pub(super) fn record_refusal(&self, account: Option<&ServedAccount>, refusal: &Refusal, appid: &str) {
        self.count(account, CallbackOutcome::Refused(refusal.reason()));
        if self.log_throttle.may_log_detail(appid, refusal.reason(), refusal.detail(), self.clock.now_s()) {
            tracing::warn!(appid, reason = refusal.reason(), "callback refused: {refusal}");
        }
    }
}

/// The appid to log a refusal under. Never an unknown one from a path: anyone could send any number of them.
fn logged_appid(recipient: &Recipient) -> &str {
    match recipient {
        Recipient::ThroughPlatform { platform, account: None, .. } => &platform.config.appid,
        _ => recipient.appid(),
    }
}
