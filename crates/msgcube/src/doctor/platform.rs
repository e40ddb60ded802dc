//! Third-party platforms: their state in the running server, and whether pushes get through on both sides.

mod receiving;
mod serving;

use i18n::{Text, format, text};
use jiff::Timestamp;
use serde_json::Value;
use server::config::{PlatformConfig, Role};

use super::{callback::path_part, finding::Finding, installation::Installation, relay, serving::ServerState};

/// WeChat pushes a ticket every ten minutes. A newest ticket older than this is late.
const TICKET_LATE_S: i64 = 15 * 60;
/// An event that waits longer than this is late.
const EVENT_LATE_S: i64 = 60;

/// Checks one platform.
pub async fn check(
    installation: &Installation,
    platform: &PlatformConfig,
    served: &ServerState,
) -> Vec<Finding> {
    let Some(endpoint) = installation.callbacks().filter(|_| installation.url.is_some() || served.is_alive)
    else {
        let found = text!("the server does not answer");
        let skipped = Finding::skipped("platform_state", found);
        return std::iter::once(skipped).chain(push_url(installation, platform).await).collect();
    };
    let (state, differs) = match state(installation, platform).await {
        Ok(state) => (state, None),
        Err(differs) => (None, Some(differs)),
    };
    let played = async {
        match platform.role {
            Role::Serve => serving::check(installation, platform, endpoint).await,
            Role::Receive => {
                receiving::check(installation, platform, served, endpoint, differs.is_some()).await
            }
        }
    };
    let (played, pushed) = tokio::join!(played, push_url(installation, platform));
    let ticket = state.as_ref().and_then(|state| match platform.role {
        Role::Serve => platform.push_url.as_ref().map(|_| serving::ticket(installation, &state["ticket"])),
        Role::Receive => Some(receiving::ticket(installation, platform, &state["ticket"])),
    });
    let mut findings: Vec<Finding> = differs.clone().into_iter().chain(played).chain(pushed).collect();
    findings.extend(ticket);
    match &state {
        Some(state) => {
            findings.extend(waiting_events(installation, state));
            findings.push(accounts(state));
        }
        None if differs.is_none() => findings.push(unknown_state()),
        None => {}
    }
    findings
}

fn unknown_state() -> Finding {
    let found = text!(
        "the server does not report the platform's state (no admin_key, or another one): tickets and events are not known"
    );
    Finding::skipped("platform_state", found)
}

/// The platform's state in the running server. None: the server does not say. The error: the server has other settings
/// than the configuration.
async fn state(installation: &Installation, platform: &PlatformConfig) -> Result<Option<Value>, Finding> {
    let path = format!("/v1/components/{}", path_part(&platform.appid));
    let Some(Ok(answer)) = installation.get_admin(&path).await else { return Ok(None) };
    let differs = |found: Text| {
        let remedy =
            text!("run msgcube reload, which applies the configuration or says what needs a restart");
        Err(Finding::problem("settings_in_use", found, remedy))
    };
    if answer.answer.status == 404 {
        let found = text!("the running server does not know this platform");
        return differs(found);
    }
    let Some(state) =
        serde_json::from_slice::<Value>(&answer.answer.body).ok().filter(|_| answer.answer.status == 200)
    else {
        return Ok(None);
    };
    let role = match platform.role {
        Role::Serve => "serve",
        Role::Receive => "receive",
    };
    let push_url = platform.push_url.as_ref().map(ToString::to_string);
    let pairs =
        [("role", state["role"] == role), ("push_url", state["push_url"].as_str() == push_url.as_deref())];
    let names: Vec<&str> = pairs.iter().filter(|(_, is_same)| !is_same).map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(Some(state));
    }
    let names = names.join(", ");
    differs(text!("the running server has other settings than the configuration: {names}", names))
}

/// Checks `push_url`. The request has no valid signature, so the platform does nothing.
async fn push_url(installation: &Installation, platform: &PlatformConfig) -> Vec<Finding> {
    if let Some(url) = &platform.push_url {
        return relay::push_url(installation, url).await;
    }
    let found = match platform.role {
        Role::Serve => text!(
            "no push_url: neither tickets nor events are pushed; GET /v1/components/{{c}}/ticket gives the ticket"
        ),
        Role::Receive => text!("no push_url: tickets and events end here and reach no platform"),
    };
    vec![Finding::note("push_url", found)]
}

/// The age in seconds of a time that the server wrote.
fn age_s(installation: &Installation, moment: &Value) -> Option<i64> {
    let moment: Timestamp = moment.as_str()?.parse().ok()?;
    Some(installation.clock.now_s() - moment.as_second())
}

/// Checks the events that wait for `push_url`.
fn waiting_events(installation: &Installation, state: &Value) -> Option<Finding> {
    const ID: &str = "events_waiting";
    let number = state["events"]["waiting"].as_u64().filter(|_| !state["push_url"].is_null())?;
    if number == 0 {
        return Some(Finding::ok(ID, text!("no event waits for push_url")));
    }
    let age_s = age_s(installation, &state["events"]["oldest"]).unwrap_or_default();
    let age = format::span(age_s);
    let found = text!("events that wait for push_url: {number}, the oldest for {age}", number, age);
    if age_s <= EVENT_LATE_S {
        return Some(Finding::ok(ID, found));
    }
    let remedy = if state["role"] == "serve" {
        text!("the platform has to answer 200 and success: see its log; events are dropped after a day")
    } else {
        text!(
            "the platform has to answer with a status below 500: see its log; events are dropped after a day"
        )
    };
    Some(Finding::warning(ID, found, remedy))
}

fn accounts(state: &Value) -> Finding {
    let number = |status: &str| state["accounts"][status].as_u64().unwrap_or_default();
    let [authorized, pending, unauthorized] = ["authorized", "pending", "unauthorized"].map(number);
    let found = if state["role"] == "serve" {
        text!("accounts that authorised it: {authorized}", authorized)
    } else {
        text!(
            "accounts: {authorized} authorised, {pending} pending, {unauthorized} withdrew",
            authorized,
            pending,
            unauthorized
        )
    };
    Finding::ok("platform_accounts", found)
}
