//! Counts what happens to callbacks: in the metrics of the process, and in the activity of their account.

use std::sync::Arc;

use counting::Reason;
use storage::{
    account_metrics::{CallbackEnd, RelayEnd},
    store::{self, NotDurable},
};
use wechat::callback::Refusal;

use super::{Intake, pending_message::AwaitedMessage};
use crate::accounts::{
    activity::{AccountActivity, BotReply, CallbackOutcome},
    registry::ServedAccount,
};

impl Intake {
    /// Counts a callback. `account`: the account that it is for, None if there is none.
    pub fn count(&self, account: Option<&ServedAccount>, outcome: CallbackOutcome) {
        self.count_message(account, outcome, None);
    }

    /// Counts a check of the address. `failure`: why it failed, None if it passed.
    pub(super) fn count_check(&self, account: Option<&ServedAccount>, failure: Option<&Refusal>) {
        let failure = failure.map(Refusal::reason);
        match failure {
            None => self.metrics.callback("verified", ""),
            Some(reason) => self.metrics.callback("refused", reason),
        }
        if let Some(account) = account {
            let end = if failure.is_none() { CallbackEnd::Verified } else { CallbackEnd::Unproven };
            account.meter.callback(end);
        }
        if let Some(activity) = self.activity(account) {
            activity.check(self.clock.now_s(), failure);
        }
    }

    /// Counts what became of a callback that was passed on to the bot.
    pub fn count_relayed(&self, account: Option<&ServedAccount>, end: RelayEnd, reply: BotReply) {
        if let Some(account) = account {
            account.meter.relayed(end);
        }
        if let Some(activity) = self.activity(account) {
            activity.relayed(self.clock.now_s(), reply);
        }
    }

    /// Counts the result of a commit. A failed one becomes a gap; the error is the reason of the metric.
    pub(super) fn count_commit(
        &self,
        message: &AwaitedMessage,
        committed: Result<store::Outcome, NotDurable>,
    ) -> Result<(), &'static str> {
        let AwaitedMessage { account, quarantined_for, create_time } = message;
        let reason = quarantined_for.unwrap_or("");
        let failed = match committed {
            Ok(store::Outcome::Counted) => {
                self.count_message(Some(account), CallbackOutcome::Counted, Some(*create_time));
                self.metrics.counted(1);
                return Ok(());
            }
            Ok(store::Outcome::Repeat) => {
                let counted_s = quarantined_for.is_none().then_some(*create_time);
                self.count_message(Some(account), CallbackOutcome::Repeat(reason), counted_s);
                self.metrics.repeated(1);
                return Ok(());
            }
            Ok(store::Outcome::Noted) => {
                self.count(Some(account), CallbackOutcome::Quarantined(reason));
                self.metrics.quarantined(reason);
                return Ok(());
            }
            Ok(store::Outcome::Failed(error)) => {
                tracing::error!(%error, appid = account.config.appid, "a message could not be counted");
                "store"
            }
            Err(_) => "not_durable",
        };
        self.lose_recent(account, Reason::NotDurable);
        Err(failed)
    }

    /// `message_s`: the CreateTime of the message if it is counted, Unix seconds.
    fn count_message(
        &self,
        account: Option<&ServedAccount>,
        outcome: CallbackOutcome,
        message_s: Option<i64>,
    ) {
        let (result, reason) = outcome.labels();
        self.metrics.callback(result, reason);
        if let Some(account) = account {
            match outcome {
                CallbackOutcome::Counted => account.meter.message(self.clock.now_s()),
                CallbackOutcome::Repeat(_) => account.meter.repeat(),
                CallbackOutcome::Quarantined(_) => account.meter.callback(CallbackEnd::Aside),
                CallbackOutcome::Closed(_) => account.meter.callback(CallbackEnd::Closed),
                // Counted where it is known whether WeChat sent the callback.
                CallbackOutcome::Refused(_) => {}
            }
        }
        if let Some(activity) = self.activity(account) {
            activity.callback(self.clock.now_s(), outcome, message_s);
        }
    }

    /// Where to record what happens to an account. A callback whose account a platform brings may hold another copy of
    /// the account than the one that is served after its first message.
    fn activity(&self, account: Option<&ServedAccount>) -> Option<Arc<AccountActivity>> {
        let account = account?;
        if account.is_own() {
            return Some(account.activity.clone());
        }
        self.accounts.get(&account.config.appid).map(|served| served.activity.clone())
    }
}
