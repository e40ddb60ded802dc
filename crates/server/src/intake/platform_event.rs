//! Events that WeChat sends to a third-party platform (role "receive"): its ticket, and which accounts authorise
//! it. They are opened and applied durably.

use tokio::time::{Instant, timeout_at};
use wechat::callback::{self, Info, PlatformEvent, Query, Refusal};

use super::{Intake, implausible};
use crate::accounts::{
    platform_issuer::Platform,
    platform_receiver::{EventEffect, EventError},
};

/// What happened to an event.
#[derive(Debug)]
pub enum EventOutcome {
    /// It only checks that the server is there. Only a holder of the platform's key can make one.
    Probe,
    /// Its effect is durable, or it has none here.
    Applied,
    /// It is refused. The answer gives the reason.
    Refused(Refusal),
    /// Its effect did not become durable in time.
    NotDurable,
}

impl Intake {
    /// Handles an event. WeChat must have its answer by `deadline`.
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
                self.record_refusal(None, &refusal, &platform.config.appid);
                return EventOutcome::Refused(refusal);
            }
        };
        if let info @ Info::Probe = &event.info {
            self.metrics.callback("event", info.name());
            return EventOutcome::Probe;
        }
        match timeout_at(deadline, self.apply_event(platform, event)).await {
            Ok(true) => EventOutcome::Applied,
            Ok(false) | Err(_) => EventOutcome::NotDurable,
        }
    }

    /// Applies an event. False if its effect could not be made durable.
    async fn apply_event(&self, platform: &Platform, event: PlatformEvent) -> bool {
        let (component, name, now_s) = (&platform.config.appid, event.info.name(), self.clock.now_s());
        if let Some(reason) = implausible(event.create_time, now_s).filter(|_| name != "other") {
            self.metrics.callback("event", reason);
            return true;
        }
        let result = match self.received.apply_event(component, event).await {
            Ok(EventEffect::Changed) => name,
            Ok(EventEffect::Unchanged) => "replayed",
            Err(EventError::Removed) => "before_removal",
            Err(EventError::Implausible) => "implausible",
            Err(error @ (EventError::TooMany | EventError::NotDurable(_))) => {
                if self.log_throttle.may_log(component, "event_not_kept", self.clock.now_s()) {
                    tracing::error!(%error, component, name, "an event could not be stored");
                }
                return false;
            }
        };
        self.metrics.callback("event", result);
        true
    }
}
