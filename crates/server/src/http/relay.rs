//! The relay: passes callbacks on to the bot and returns its reply to WeChat, within one deadline. What WeChat gets if
//! the bot fails is in the contract, section 6.

mod pass_on;

use axum::{body::Body, http::Response};
use msgcube_client::http::Address;
use storage::account_metrics::CallbackEnd;
use tokio::time::{Instant, timeout_at};

use super::answer;
use crate::{
    accounts::platform_issuer::Platform,
    config::{OnLate, RelayConfig},
    forward::{outbox::CallbackSource, raw_callback::RawCallback},
    http::state::App,
    intake::{PassOn, Recipient},
};
use pass_on::{RelayResult, pass_on};

/// Answers a callback with the bot's reply.
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
        queue_copies(app, recipient, relay, callback, deadline)
    );
    if let Some(account) = recipient.account() {
        account.meter.relayed(passed.end());
    }
    let is_durable = commit.is_durable().await;
    reply(relay.on_late, passed, is_durable, |reason| {
        recipient.count(CallbackEnd::Closed);
        close(app, reason)
    })
}

/// Answers an event with the reply of the platform's own server, because the event could not be queued.
pub async fn answer_event(
    app: &App,
    platform: &Platform,
    url: &Address,
    event: &RawCallback,
    deadline: Instant,
) -> Response<Body> {
    let Some(_slot) = app.intake.limits.platform_relay_slot(platform) else {
        return close(app, "relay_full");
    };
    let passed = pass_on(app, url, event, deadline).await;
    reply(OnLate::Close, passed, false, |reason| close(app, reason))
}

/// Queues copies for the listeners while the bot is working.
async fn queue_copies(
    app: &App,
    recipient: &Recipient,
    relay: &RelayConfig,
    callback: &RawCallback,
    deadline: Instant,
) {
    let listening = match recipient {
        Recipient::Own(account) => CallbackSource::Account(account),
        Recipient::ThroughPlatform { platform, appid, .. } => CallbackSource::Platform(platform, appid),
    };
    // After the deadline the outbox still queues them if it has room.
    let _ = timeout_at(deadline, app.outbox.store_copies(listening, relay, callback)).await;
}

/// What WeChat gets.
enum WechatReply {
    Reply(Response<Body>),
    Success,
    /// Close the connection. The reason is for the metrics.
    Nothing(&'static str),
}

/// Decides the answer. It is `success` only if the callback is durable.
fn reply_to_wechat(on_late: OnLate, passed: RelayResult, is_durable: bool) -> WechatReply {
    match passed {
        RelayResult::Answered(response) => WechatReply::Reply(response),
        RelayResult::Late if is_durable && on_late == OnLate::Success => WechatReply::Success,
        RelayResult::Late => WechatReply::Nothing("relay_late"),
        RelayResult::Unreachable if is_durable => WechatReply::Success,
        RelayResult::Unreachable => WechatReply::Nothing("relay_unreachable"),
        RelayResult::TooLarge => WechatReply::Nothing("relay_reply_too_large"),
    }
}

fn reply(
    on_late: OnLate,
    passed: RelayResult,
    is_durable: bool,
    close: impl FnOnce(&'static str) -> Response<Body>,
) -> Response<Body> {
    match reply_to_wechat(on_late, passed, is_durable) {
        WechatReply::Reply(response) => response,
        WechatReply::Success => answer::success(),
        WechatReply::Nothing(reason) => close(reason),
    }
}

/// Closes the connection. This loses nothing: the message is durable, or already recorded as lost.
fn close(app: &App, reason: &'static str) -> Response<Body> {
    app.metrics.callback("closed", reason);
    answer::no_answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_never_said_for_what_is_not_durable() {
        type ReplyCase = (fn() -> RelayResult, [&'static str; 4]);
        let heard = |on_late, passed, is_durable| match reply_to_wechat(on_late, passed, is_durable) {
            WechatReply::Reply(_) => "the bot's",
            WechatReply::Success => "success",
            WechatReply::Nothing(reason) => reason,
        };
        // Durable, not durable with on_late = "close"; then both with on_late = "success".
        let cases: [ReplyCase; 4] = [
            (|| RelayResult::Answered(Response::default()), ["the bot's"; 4]),
            (|| RelayResult::Late, ["relay_late", "relay_late", "success", "relay_late"]),
            (|| RelayResult::Unreachable, ["success", "relay_unreachable", "success", "relay_unreachable"]),
            (|| RelayResult::TooLarge, ["relay_reply_too_large"; 4]),
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
