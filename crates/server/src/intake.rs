//! Takes a raw callback to its outcome: finds the recipient, opens the callback, makes it durable, and records what
//! is lost. Knows no HTTP: the handlers in `http` translate.

mod commit;
mod count;
mod limits;
pub mod log_throttle;
mod loss;
pub mod path;
mod pending_message;
mod platform_event;
mod recipient;

use std::{pin::Pin, sync::Arc, time::Duration};

use counting::Reason;
use storage::{
    metrics::Metrics,
    store::{self, NotDurable},
    writer::Ingest,
};
use system::{clock::Clock, current::Current};
use tokio::time::{Instant, timeout_at};
use wechat::callback::{self, Query, Refusal};

use crate::{
    accounts::{
        platform_issuer::{Platform, Platforms},
        platform_receiver::{Admission, Received},
        registry::{Accounts, ServedAccount},
    },
    config::{Config, RelayConfig, WhenNotDurable},
};

pub use commit::Commit;
pub use limits::{Limits, RelaySlot, Slot};
use log_throttle::LogThrottle;
pub use pending_message::implausible;
use pending_message::{BroughtBy, PendingMessage};
pub use platform_event::EventOutcome;
pub use recipient::Recipient;

/// How long a callback may wait for its body and the disk together. WeChat waits 5 s.
pub const DEADLINE: Duration = Duration::from_millis(4500);
/// The same limit with a relay: from the first byte of the callback to the last byte of the bot's reply.
pub const RELAY_DEADLINE: Duration = Duration::from_millis(4900);
/// How long the disk may delay the bot if `when_not_durable` is `answer`.
const DISK_BEFORE_RELAY_MAX: Duration = Duration::from_secs(1);

/// What handling a callback needs.
#[derive(Debug)]
pub struct Intake {
    /// The active configuration.
    pub config: Arc<Current<Config>>,
    /// Gives the time of arrival.
    pub clock: Clock,
    /// Queue of the writer.
    pub ingest: Ingest,
    /// The accounts being served.
    pub accounts: Arc<Accounts>,
    /// The third-party platforms.
    pub platforms: Arc<Platforms>,
    /// The accounts that platforms bring.
    pub received: Arc<Received>,
    /// Counts what happens to callbacks.
    pub metrics: Arc<Metrics>,
    /// Limits repeated log lines about refusals.
    pub log_throttle: Arc<LogThrottle>,
    /// Limits on concurrent callbacks.
    pub limits: Limits,
}

/// What happened to a callback. The handlers make WeChat's answer of it.
#[derive(Debug)]
pub enum IntakeOutcome<'a> {
    /// It is durable, as a message, a repeat or a quarantined message. The answer is `success`.
    Durable,
    /// It is refused. The answer gives the reason.
    Refused(Refusal),
    /// It may not be durable. The connection is closed without an answer, so that WeChat retries.
    Unanswered,
    /// It goes on to the bot, which gives the answer.
    PassOn(PassOn<'a>),
}

/// A callback that goes on to the bot.
#[derive(Debug)]
pub struct PassOn<'a> {
    /// The relay's settings.
    pub relay: &'a RelayConfig,
    /// Held until the bot has answered.
    pub slot: RelaySlot<'a>,
    /// Whether the callback is durable.
    pub commit: Commit,
    /// The account that it is for. None if it is refused and a platform has not brought the account yet.
    pub account: Option<Arc<ServedAccount>>,
}

/// Waits for the commit. Dropping it does not take the message out of the queue.
type CommitFuture = Pin<Box<dyn Future<Output = Result<store::Outcome, NotDurable>> + Send>>;

/// Why a callback is not stored.
#[derive(Debug)]
enum Rejection {
    /// It is refused. `is_loss`: an authentic callback of this kind may be a loss for the account.
    Refused { refusal: Refusal, is_loss: bool },
    /// The platform has too many accounts.
    TooManyAccounts,
    /// It would be refused, but it cannot be read what other processes decided. `is_authentic`: WeChat sent it, as far as
    /// known.
    Undecided { is_authentic: bool },
}

impl Rejection {
    fn is_authentic(&self) -> bool {
        match self {
            Rejection::Refused { refusal, is_loss } => *is_loss && refusal.is_authentic(),
            Rejection::TooManyAccounts => true,
            Rejection::Undecided { is_authentic } => *is_authentic,
        }
    }
}

impl Intake {
    /// Answers WeChat's check of the URL: returns the bytes to send back.
    ///
    /// # Errors
    /// The signature is wrong, or `echostr` is missing.
    pub async fn verify(&self, recipient: &Recipient, query: &str) -> Result<Vec<u8>, Refusal> {
        let query = Query::parse(query);
        let keys = recipient.keys().ok_or_else(Refusal::without_keys)?;
        let mut verified = callback::verify_get(keys, &query);
        if verified.is_err()
            && self.received.is_shared()
            && let Some(account) = self.account_after_fresh(recipient).await
            && let Some(keys) = &account.keys
        {
            verified = callback::verify_get(keys, &query);
        }
        self.count_check(recipient.account().map(Arc::as_ref), verified.as_ref().err());
        verified
    }

    /// The account of its own path. Another process may have changed its keys.
    async fn account_after_fresh(&self, recipient: &Recipient) -> Option<Arc<ServedAccount>> {
        let Recipient::Own(account) = recipient else { return None };
        self.received.fresh().await.ok()?;
        self.accounts.get(&account.config.appid)
    }

    /// Handles a message or an event. WeChat must have its answer by `deadline`.
    pub async fn receive<'a>(
        self: &'a Arc<Self>,
        recipient: &'a Recipient,
        query: &str,
        body: &[u8],
        deadline: Instant,
    ) -> IntakeOutcome<'a> {
        let query = Query::parse(query);
        let mut opened = self.open(recipient, &query, body);
        if let Err(rejection) = &opened
            && self.received.is_shared()
        {
            let is_authentic = rejection.is_authentic();
            opened = Box::pin(self.open_again(recipient, &query, body, is_authentic)).await;
        }
        match (opened, recipient.relay()) {
            (Ok(message), None) => self.record(message, deadline).await,
            (Err(rejection), None) => self.reject(recipient, rejection),
            (Ok(message), Some(relay)) => {
                // Boxed, so that callbacks without a relay do not need the memory of this future.
                Box::pin(self.record_before_relay(message, recipient, relay, deadline)).await
            }
            (Err(rejection), Some(relay)) => self.reject_before_relay(rejection, recipient, relay),
        }
    }

    /// Opens a callback that is refused once more, with what other processes decided meanwhile: new keys, or which account
    /// a platform brings.
    async fn open_again(
        &self,
        recipient: &Recipient,
        query: &Query<'_>,
        body: &[u8],
        is_authentic: bool,
    ) -> Result<PendingMessage, Rejection> {
        self.received.fresh().await.map_err(|_| Rejection::Undecided { is_authentic })?;
        match recipient {
            Recipient::Own(account) => {
                let now = self.accounts.get(&account.config.appid);
                self.open_own(now.as_ref().unwrap_or(account), query, body)
            }
            Recipient::ThroughPlatform { platform, appid, .. } => {
                self.open_platform_message(platform, appid, query, body)
            }
        }
    }

    /// Checks the signature and opens the callback.
    fn open(
        &self,
        recipient: &Recipient,
        query: &Query<'_>,
        body: &[u8],
    ) -> Result<PendingMessage, Rejection> {
        match recipient {
            Recipient::Own(account) => self.open_own(account, query, body),
            Recipient::ThroughPlatform { platform, appid, .. } => {
                self.open_platform_message(platform, appid, query, body)
            }
        }
    }

    fn open_own(
        &self,
        account: &Arc<ServedAccount>,
        query: &Query<'_>,
        body: &[u8],
    ) -> Result<PendingMessage, Rejection> {
        let now_s = self.clock.now_s();
        let age_s_max = Some(self.config.get().callback_max_age_s);
        let opened = match &account.keys {
            Some(keys) => callback::open(keys, query, body, now_s, age_s_max),
            None => Err(Refusal::without_keys()),
        };
        match opened {
            Ok(message) => Ok(PendingMessage::new(account.clone(), message, None, now_s)),
            Err(refusal) => Err(Rejection::Refused { refusal, is_loss: true }),
        }
    }

    /// The path is not signed, so `ToUserName` decides which account the message belongs to.
    fn open_platform_message(
        &self,
        platform: &Platform,
        appid: &str,
        query: &Query<'_>,
        body: &[u8],
    ) -> Result<PendingMessage, Rejection> {
        let now_s = self.clock.now_s();
        let opened = callback::open_platform_message(&platform.keys, query, body);
        let platform = &platform.config.appid;
        // Anyone who knows the platform's token and key could send it to the path of any account.
        let refused =
            |refusal| Rejection::Refused { refusal, is_loss: self.received.brings(platform, appid) };
        let (message, to_user) = opened.map_err(refused)?;
        let create_time = message.create_time;
        match self.received.admit(platform, appid, &to_user) {
            Admission::Accepted(account) => {
                let brought_by = BroughtBy { platform: platform.clone(), to_user };
                Ok(PendingMessage::new(account, message, Some(brought_by), now_s))
            }
            Admission::WrongToUser => Err(refused(Refusal::of_another_account(create_time))),
            // Not a loss for this account: anyone who has one callback could send it to this path.
            Admission::OfAnother => {
                Err(Rejection::Refused { refusal: Refusal::of_another_account(create_time), is_loss: false })
            }
            Admission::NotOfPlatform => {
                let refusal = Refusal::not_of_platform(platform, create_time);
                Err(Rejection::Refused { refusal, is_loss: false })
            }
            Admission::TooMany => Err(Rejection::TooManyAccounts),
        }
    }

    /// Makes a message durable.
    async fn record(&self, message: PendingMessage, deadline: Instant) -> IntakeOutcome<'static> {
        let awaited = message.awaited.clone();
        let account = &awaited.account;
        let Some(_slot) = self.limits.waiting_slot() else {
            self.lose_recent(account, Reason::TooMany);
            return self.close(Some(account), "too_many_waiting");
        };
        let commit = async { self.enqueue(message)?.await };
        let Ok(committed) = timeout_at(deadline, commit).await else {
            self.lose_recent(account, Reason::NotDurable);
            return self.close(Some(account), "late");
        };
        match self.count_commit(&awaited, committed) {
            Ok(()) => IntakeOutcome::Durable,
            Err(reason) => self.close(Some(account), reason),
        }
    }

    /// Puts a message into the queue.
    fn enqueue(&self, message: PendingMessage) -> Result<CommitFuture, NotDurable> {
        match message.brought_by {
            None => Ok(Box::pin(self.ingest.enqueue(message.change)?)),
            Some(BroughtBy { platform, to_user }) => {
                self.received.enqueue(&platform, &message.awaited.account, &to_user, message.change)
            }
        }
    }

    /// Makes a message durable, then passes it on if the relay's `when_not_durable` allows it.
    async fn record_before_relay<'a>(
        self: &'a Arc<Self>,
        message: PendingMessage,
        recipient: &'a Recipient,
        relay: &'a RelayConfig,
        deadline: Instant,
    ) -> IntakeOutcome<'a> {
        let account = message.awaited.account.clone();
        let Some(slot) = self.limits.relay_slot(recipient) else {
            // The message is counted all the same. WeChat sends it again, and that one may be passed on.
            if self.enqueue(message).is_err() {
                self.lose_recent(&account, Reason::TooMany);
            }
            return self.close(Some(&account), "relay_full");
        };
        let until = disk_until(relay.when_not_durable, Instant::now(), deadline);
        match (self.commit_until(message, until).await, relay.when_not_durable) {
            (commit @ Commit::Durable, _) | (commit, WhenNotDurable::Answer) => {
                IntakeOutcome::PassOn(PassOn { relay, slot, commit, account: Some(account) })
            }
            (Commit::Failed, WhenNotDurable::Refuse) => self.close(Some(&account), "not_durable"),
            (Commit::Pending(_), WhenNotDurable::Refuse) => {
                self.lose_recent(&account, Reason::NotDurable);
                self.close(Some(&account), "late")
            }
        }
    }

    /// Rejects a callback. An authentic one that does not count still goes on to the bot, which received it
    /// before msgcube was installed.
    fn reject_before_relay<'a>(
        &'a self,
        rejection: Rejection,
        recipient: &'a Recipient,
        relay: &'a RelayConfig,
    ) -> IntakeOutcome<'a> {
        let goes_on = match &rejection {
            Rejection::Refused { refusal, .. } => refusal.may_be_relayed(),
            Rejection::TooManyAccounts => relay.when_not_durable == WhenNotDurable::Answer,
            Rejection::Undecided { .. } => false,
        };
        let outcome = self.reject(recipient, rejection);
        if !goes_on {
            return outcome;
        }
        match self.limits.relay_slot(recipient) {
            Some(slot) => {
                let account = recipient.account().cloned();
                IntakeOutcome::PassOn(PassOn { relay, slot, commit: Commit::Failed, account })
            }
            None => self.close(recipient.account().map(Arc::as_ref), "relay_full"),
        }
    }
}

/// The latest moment until which the bot waits for the disk.
fn disk_until(when_not_durable: WhenNotDurable, now: Instant, deadline: Instant) -> Instant {
    match when_not_durable {
        WhenNotDurable::Answer => deadline.min(now + DISK_BEFORE_RELAY_MAX),
        WhenNotDurable::Refuse => deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_delays_a_bot_by_a_second_at_most_unless_it_must_be_durable_first() {
        let now = Instant::now();
        let in_ms = |ms| now + Duration::from_millis(ms);
        assert_eq!(disk_until(WhenNotDurable::Answer, now, in_ms(4900)), in_ms(1000));
        assert_eq!(
            disk_until(WhenNotDurable::Answer, now, in_ms(300)),
            in_ms(300),
            "the deadline comes first"
        );
        assert_eq!(disk_until(WhenNotDurable::Refuse, now, in_ms(4900)), in_ms(4900));
    }
}
