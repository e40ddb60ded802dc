//! What WeChat tells a third-party platform (role "receive"): its ticket, and which accounts authorise it. Opened, and
//! applied durably.

use tokio::time::{Instant, timeout_at};
use wechat::callback::{self, Info, PlatformEvent, Query, Refusal};

use super::{Intake, implausible};
use crate::accounts::{
    platform_issuer::Platform,
    platform_receiver::{EventError, Learnt},
};

/// What became of an event.
#[derive(Debug)]
pub enum EventOutcome {
    /// It only asks whether somebody is here. Only who has the platform's key can make one.
    Probe,
    /// What it says is durable, or does not matter to us.
    Applied,
    /// It is refused, and WeChat hears why.
    Refused(Refusal),
    /// What it says did not become durable in time.
    NotDurable,
}

impl Intake {
    /// Takes an event to its outcome.
    pub async fn receive_event(
        &self,
        platform: &Platform,
        query: &str,
        body: &[u8],
        deadline: Instant,
    ) -> EventOutcome {
        let event = match callback::open_event(&platform.keys, &Query::parse(query), body) {
            Ok(event) => event,
            Err(refusal) => {
                self.note_refusal(&refusal, &platform.config.appid);
                return EventOutcome::Refused(refusal);
            }
        };
        if let info @ Info::Probe = &event.info {
            self.metrics.callback("event", info.name());
            return EventOutcome::Probe;
        }
        match timeout_at(deadline, self.apply(platform, event)).await {
            Ok(true) => EventOutcome::Applied,
            Ok(false) | Err(_) => EventOutcome::NotDurable,
        }
    }

    /// False if something was to become durable and could not.
    async fn apply(&self, platform: &Platform, event: PlatformEvent) -> bool {
        let (component, name, now_s) = (&platform.config.appid, event.info.name(), self.clock.now_s());
        if let Some(reason) = implausible(event.create_time, now_s).filter(|_| name != "other") {
            self.metrics.callback("event", reason);
            return true;
        }
        let result = match self.received.learn(component, event).await {
            Ok(Learnt::News) => name,
            Ok(Learnt::Replayed) => "replayed",
            Err(EventError::Removed) => "before_removal",
            Err(EventError::Implausible) => "implausible",
            Err(error @ (EventError::TooMany | EventError::NotDurable(_))) => {
                if self.refusals.may_log(component, "event_not_kept", self.clock.now_s()) {
                    tracing::error!(%error, component, name, "an event could not be kept");
                }
                return false;
            }
        };
        self.metrics.callback("event", result);
        true
    }
}
