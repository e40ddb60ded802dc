//! The relay: callbacks go on to the bot behind msgcube, and its reply goes back to WeChat, all within one deadline.
//! What the bot hears and what WeChat hears when something is missing is the contract's (section 6).

mod pass_on;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, http::Response};
use msgcube_client::http::{Address, HttpClient};
use msgcube_cube::Reason;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    answer,
    callback::{self, Keeping},
};
use crate::{
    accounts::Account,
    app::App,
    config::{OnLate, RelayConfig, WhenNotDurable},
    copies::Listening,
    incoming::Incoming,
    store::{NotDurable, Outcome},
};
use pass_on::{Passed, pass_on};

/// How long a whole callback takes at most, from its first byte. WeChat waits 5 s.
pub const DEADLINE: Duration = Duration::from_millis(4900);
/// How long a bot waits for the disk if it is to answer in any case.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// Callbacks that are being passed on, of one account and of all; further ones are counted, and closed at once. One bot
/// that hangs leaves room for the others.
pub const PLACES_OF_ACCOUNT: usize = 1024;
const PLACES: usize = 8192;
/// The same of all accounts of one third-party platform, which one server answers.
pub const PLACES_OF_PLATFORM: usize = 4096;
/// A connection to a bot that takes longer is tried anew.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// What passing on needs.
#[derive(Debug)]
pub struct Relay {
    client: HttpClient<Body>,
    waiting: AtomicUsize,
}

/// Who is told of callbacks, and answers them.
#[derive(Clone, Copy, Debug)]
pub struct Behind<'a> {
    pub config: &'a RelayConfig,
    /// Its callbacks that are being passed on, and how many may be.
    pub waiting: &'a AtomicUsize,
    pub places: usize,
    /// Whose copies those who only listen get.
    pub listening: Listening<'a>,
}

/// What became of making a callback durable.
enum Kept {
    Durable,
    Failed,
    /// The commit goes on; true if the callback is durable in the end.
    Pending(JoinHandle<bool>),
}

impl Default for Relay {
    fn default() -> Relay {
        Relay { client: HttpClient::new(CONNECT_TIME_MAX), waiting: AtomicUsize::new(0) }
    }
}

impl Relay {
    /// The way to other servers.
    pub fn client(&self) -> &HttpClient<Body> {
        &self.client
    }

    /// Callbacks that are being passed on.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A place among the callbacks that are being passed on; given back when dropped.
struct Place<'a>([&'a AtomicUsize; 2]);

impl Relay {
    fn place<'a>(&'a self, waiting: &'a AtomicUsize, places: usize) -> Option<Place<'a>> {
        let place = Place([waiting, &self.waiting]);
        let before = place.0.map(|waiting| waiting.fetch_add(1, Ordering::Relaxed));
        (before[0] < places && before[1] < PLACES).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        for waiting in self.0 {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A callback that counts, or is kept aside: made durable, then passed on.
pub async fn keep(
    app: &Arc<App>,
    behind: &Behind<'_>,
    keeping: Keeping,
    incoming: &Incoming,
    deadline: Instant,
) -> Response<Body> {
    let account = keeping.account.clone();
    let relay = behind.config;
    let Some(_place) = app.relay.place(behind.waiting, behind.places) else {
        // In the queue it is counted all the same; WeChat sends it again, to be passed on then.
        if keeping.enqueue(app).is_err() {
            callback::lose_lately(app, &account, Reason::TooMany);
        }
        return close(app, "relay_full");
    };
    let answers_anyway = relay.when_not_durable == WhenNotDurable::Answer;
    let until = disk_until(relay.when_not_durable, Instant::now(), deadline);
    let kept = keep_until(app, keeping, until).await;
    match &kept {
        Kept::Durable => {}
        _ if answers_anyway => {}
        Kept::Failed => return close(app, "not_durable"),
        Kept::Pending(_) => return callback::close(app, &account, "late"),
    }
    let (passed, ()) =
        tokio::join!(pass_on(app, &relay.url, incoming, deadline), copy(app, behind, incoming, deadline));
    let is_durable = match kept {
        Kept::Durable => true,
        Kept::Failed => false,
        Kept::Pending(commit) => commit.is_finished() && commit.await.unwrap_or(false),
    };
    reply(app, relay.on_late, passed, is_durable)
}

/// A callback that proved itself and does not count: passed on, never answered by ourselves.
pub async fn pass_on_only(
    app: &Arc<App>,
    behind: &Behind<'_>,
    incoming: &Incoming,
    deadline: Instant,
) -> Response<Body> {
    let Some(_place) = app.relay.place(behind.waiting, behind.places) else {
        return close(app, "relay_full");
    };
    let (passed, ()) = tokio::join!(
        pass_on(app, &behind.config.url, incoming, deadline),
        copy(app, behind, incoming, deadline)
    );
    reply(app, behind.config.on_late, passed, false)
}

/// An event of a third-party platform that could not be kept for it: passed on at once, and its answer is the answer.
pub async fn pass_event(
    app: &Arc<App>,
    waiting: &AtomicUsize,
    url: &Address,
    incoming: &Incoming,
    deadline: Instant,
) -> Response<Body> {
    let Some(_place) = app.relay.place(waiting, PLACES_OF_PLATFORM) else { return close(app, "relay_full") };
    let passed = pass_on(app, url, incoming, deadline).await;
    reply(app, OnLate::Close, passed, false)
}

/// Keeps copies for those who only listen, beside the bot and within its time.
async fn copy(app: &App, behind: &Behind<'_>, incoming: &Incoming, deadline: Instant) {
    // The copies are kept in any case, if there is room.
    let _ = timeout_at(deadline, app.copies.keep(behind.listening, behind.config, incoming)).await;
}

/// How long a bot waits for the disk.
fn disk_until(when_not_durable: WhenNotDurable, now: Instant, deadline: Instant) -> Instant {
    match when_not_durable {
        WhenNotDurable::Answer => deadline.min(now + DURABLE_WITHIN),
        WhenNotDurable::Refuse => deadline,
    }
}

/// Waits for the disk for a while; longer than that the wait goes on beside the callback.
async fn keep_until(app: &Arc<App>, keeping: Keeping, until: Instant) -> Kept {
    let (account, aside) = (keeping.account.clone(), keeping.aside);
    let mut waiting = match keeping.enqueue(app) {
        Ok(waiting) => waiting,
        Err(error) => return settle(app, &account, Err(error), aside),
    };
    if let Ok(outcome) = timeout_at(until, &mut waiting).await {
        return settle(app, &account, outcome, aside);
    }
    let app = app.clone();
    Kept::Pending(tokio::spawn(async move {
        matches!(settle(&app, &account, waiting.await, aside), Kept::Durable)
    }))
}

/// Counts what became of it; what was lost is a gap.
fn settle(
    app: &App,
    account: &Account,
    outcome: Result<Outcome, NotDurable>,
    aside: Option<&'static str>,
) -> Kept {
    match outcome {
        Err(_) => {
            callback::lose_lately(app, account, Reason::NotDurable);
            Kept::Failed
        }
        Ok(Outcome::Failed(error)) => {
            tracing::error!(%error, appid = account.config.appid, "a message could not be counted");
            callback::lose_lately(app, account, Reason::NotDurable);
            Kept::Failed
        }
        Ok(outcome) => {
            callback::count(app, &outcome, aside);
            Kept::Durable
        }
    }
}

/// What WeChat hears.
enum Said {
    Reply(Response<Body>),
    Success,
    /// The connection is closed, for this reason.
    Nothing(&'static str),
}

/// `success` of our own only for what is durable.
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

    #[test]
    fn success_of_our_own_is_never_said_for_what_is_not_durable() {
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
