//! The relay: callbacks are passed on to the bot behind msgcube, and its reply goes back to WeChat, all within one
//! deadline. What WeChat hears when something is missing is the contract's (section 6).

mod pass_on;

use axum::{body::Body, http::Response};
use msgcube_client::http::Address;
use tokio::time::{Instant, timeout_at};

use super::answer;
use crate::{
    accounts::platform_issuer::Platform,
    config::{OnLate, RelayConfig},
    forward::{outbox::Listening, raw_callback::RawCallback},
    http::state::App,
    intake::{PassOn, Recipient},
};
use pass_on::{Passed, pass_on};

/// The bot's answer to a callback.
pub async fn answer(
    app: &App,
    recipient: &Recipient,
    to: PassOn<'_>,
    callback: &RawCallback,
    deadline: Instant,
) -> Response<Body> {
    let PassOn { relay, slot: _slot, commit } = to;
    let (passed, ()) = tokio::join!(
        pass_on(app, &relay.url, callback, deadline),
        copy(app, recipient, relay, callback, deadline)
    );
    reply(app, relay.on_late, passed, commit.is_durable().await)
}

/// The answer of the server behind a third-party platform to an event that could not be queued for it.
pub async fn answer_event(
    app: &App,
    platform: &Platform,
    url: &Address,
    event: &RawCallback,
    deadline: Instant,
) -> Response<Body> {
    let Some(_slot) = app.intake.limits.relay_of_platform(platform) else { return close(app, "relay_full") };
    let passed = pass_on(app, url, event, deadline).await;
    reply(app, OnLate::Close, passed, false)
}

/// Queues copies for those who only listen, while the bot is being asked.
async fn copy(
    app: &App,
    recipient: &Recipient,
    relay: &RelayConfig,
    callback: &RawCallback,
    deadline: Instant,
) {
    let listening = match recipient {
        Recipient::Own(account) => Listening::Account(account),
        Recipient::ThroughPlatform { platform, appid, .. } => Listening::Platform(platform, appid),
    };
    // After the deadline they are still queued, if there is room.
    let _ = timeout_at(deadline, app.copies.keep(listening, relay, callback)).await;
}

/// What WeChat hears.
enum Said {
    Reply(Response<Body>),
    Success,
    /// The connection is closed, for this reason.
    Nothing(&'static str),
}

/// We answer `success` only if the callback is durable.
fn said(on_late: OnLate, passed: Passed, is_durable: bool) -> Said {
    match passed {
        Passed::Answered(response) => Said::Reply(response),
        Passed::Late if is_durable && on_late == OnLate::Success => Said::Success,
        Passed::Late => Said::Nothing("relay_late"),
        Passed::Unreachable if is_durable => Said::Success,
        Passed::Unreachable => Said::Nothing("relay_unreachable"),
        Passed::TooLarge => Said::Nothing("relay_reply_too_large"),
    }
}

fn reply(app: &App, on_late: OnLate, passed: Passed, is_durable: bool) -> Response<Body> {
    match said(on_late, passed, is_durable) {
        Said::Reply(response) => response,
        Said::Success => answer::success(),
        Said::Nothing(reason) => close(app, reason),
    }
}

/// Closes the connection. Nothing is lost by that: what counts is durable, or noted as lost already.
fn close(app: &App, reason: &'static str) -> Response<Body> {
    app.metrics.callback("closed", reason);
    answer::no_answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_never_said_for_what_is_not_durable() {
        type Case = (fn() -> Passed, [&'static str; 4]);
        let heard = |on_late, passed, is_durable| match said(on_late, passed, is_durable) {
            Said::Reply(_) => "the bot's",
            Said::Success => "success",
            Said::Nothing(reason) => reason,
        };
        // Durable or not, with on_late = "close"; then the same with "success".
        let cases: [Case; 4] = [
            (|| Passed::Answered(Response::default()), ["the bot's"; 4]),
            (|| Passed::Late, ["relay_late", "relay_late", "success", "relay_late"]),
            (|| Passed::Unreachable, ["success", "relay_unreachable", "success", "relay_unreachable"]),
            (|| Passed::TooLarge, ["relay_reply_too_large"; 4]),
        ];
        for (passed, wanted) in cases {
            let found = [
                (OnLate::Close, true),
                (OnLate::Close, false),
                (OnLate::Success, true),
                (OnLate::Success, false),
            ]
            .map(|(on_late, is_durable)| heard(on_late, passed(), is_durable));
            assert_eq!(found, wanted);
        }
    }
}
