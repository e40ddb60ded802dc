//! Third-party platforms: how the running server says that each fares, and whether pushes get through on both sides.

mod receiving;
mod serving;

use i18n::text;
use i18n::{Lang, format};
use jiff::Timestamp;
use serde_json::Value;
use server::config::{PlatformConfig, Role};

use super::{callback::path_part, finding::Finding, installation::Installation, relay, serving::Served};

/// WeChat pushes a ticket every ten minutes; one that is older than this is late.
const TICKET_LATE_S: i64 = 15 * 60;
/// An event that waits longer than this is not just on its way.
const EVENT_LATE_S: i64 = 60;

/// One platform.
pub async fn check(scene: &Installation, platform: &PlatformConfig, served: &Served) -> Vec<Finding> {
    let Some(place) = scene.callbacks().filter(|_| scene.url.is_some() || served.is_alive) else {
        let found = text!("the server does not answer").in_lang(scene.lang);
        let skipped = Finding::skipped("platform_state", found);
        return std::iter::once(skipped).chain(push_url(scene, platform).await).collect();
    };
    let (state, differs) = match state(scene, platform).await {
        Ok(state) => (state, None),
        Err(differs) => (None, Some(differs)),
    };
    let played = async {
        match platform.role {
            Role::Serve => serving::check(scene, platform, place).await,
            Role::Receive => receiving::check(scene, platform, served, place, differs.is_some()).await,
        }
    };
    let (played, pushed) = tokio::join!(played, push_url(scene, platform));
    let ticket = state.as_ref().and_then(|state| match platform.role {
        Role::Serve => platform.push_url.as_ref().map(|_| serving::ticket(scene, &state["ticket"])),
        Role::Receive => Some(receiving::ticket(scene, platform, &state["ticket"])),
    });
    let mut findings: Vec<Finding> = differs.clone().into_iter().chain(played).chain(pushed).collect();
    findings.extend(ticket);
    match &state {
        Some(state) => {
            findings.extend(waiting(scene, state));
            findings.push(accounts(scene.lang, state));
        }
        None if differs.is_none() => findings.push(unknown_state(scene.lang)),
        None => {}
    }
    findings
}

fn unknown_state(lang: Lang) -> Finding {
    let found = text!("the server does not say how it fares (no admin_key, or another one): tickets and events are not known").in_lang(lang);
    Finding::skipped("platform_state", found)
}

/// What the running server says of it, if it says anything; or in what it differs from the configuration.
async fn state(scene: &Installation, platform: &PlatformConfig) -> Result<Option<Value>, Finding> {
    let path = format!("/v1/components/{}", path_part(&platform.appid));
    let Some(Ok(answer)) = scene.get_own(&path).await else { return Ok(None) };
    let lang = scene.lang;
    let differs = |found: String| {
        let remedy = text!("restart msgcube: the configuration is read at the start").in_lang(lang);
        Err(Finding::problem("settings_in_use", found, remedy))
    };
    if answer.said.status == 404 {
        let found = text!("the running server does not know this platform").in_lang(lang);
        return differs(found.clone());
    }
    let Some(state) =
        serde_json::from_slice::<Value>(&answer.said.body).ok().filter(|_| answer.said.status == 200)
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
    differs(
        text!("the running server has other settings than the configuration: {names}", names).in_lang(lang),
    )
}

/// Where its events go. It is sent nothing signed, so there is nothing that it could act upon.
async fn push_url(scene: &Installation, platform: &PlatformConfig) -> Vec<Finding> {
    if let Some(url) = &platform.push_url {
        return relay::push_url(scene, url).await;
    }
    let found = match platform.role {
        Role::Serve => text!("no push_url: neither tickets nor events are pushed; GET /v1/components/{{c}}/ticket gives the ticket").in_lang(scene.lang),
        Role::Receive => text!("no push_url: tickets and events end here, and no platform hears of them").in_lang(scene.lang),
    };
    vec![Finding::note("push_url", found)]
}

/// How old a moment is that the server wrote.
fn age_s(scene: &Installation, moment: &Value) -> Option<i64> {
    let moment: Timestamp = moment.as_str()?.parse().ok()?;
    Some(scene.clock.now_s() - moment.as_second())
}

/// What waits for `push_url`.
fn waiting(scene: &Installation, state: &Value) -> Option<Finding> {
    const ID: &str = "events_waiting";
    let lang = scene.lang;
    let number = state["events"]["waiting"].as_u64().filter(|_| !state["push_url"].is_null())?;
    if number == 0 {
        return Some(Finding::ok(ID, text!("no event waits for push_url").in_lang(lang)));
    }
    let age_s = age_s(scene, &state["events"]["oldest"]).unwrap_or_default();
    let age = format::span(age_s).in_lang(lang);
    let found =
        text!("events that wait for push_url: {number}, the oldest for {age}", number, age).in_lang(lang);
    if age_s <= EVENT_LATE_S {
        return Some(Finding::ok(ID, found));
    }
    let remedy = match state["role"].as_str() {
        Some("serve") => text!("the platform has to answer 200 and success: see its log; what is a day old is dropped").in_lang(lang),
        _ => text!("the platform has to answer, and not with a status from 500 on: see its log; what is a day old is dropped").in_lang(lang),
    };
    Some(Finding::warning(ID, found, remedy))
}

fn accounts(lang: Lang, state: &Value) -> Finding {
    let number = |status: &str| state["accounts"][status].as_u64().unwrap_or_default();
    let [authorized, pending, unauthorized] = ["authorized", "pending", "unauthorized"].map(number);
    let found = match state["role"].as_str() {
        Some("serve") => text!("accounts that authorised it: {authorized}", authorized).in_lang(lang),
        _ => text!(
            "accounts: {authorized} authorised, {pending} pending, {unauthorized} withdrew",
            authorized,
            pending,
            unauthorized
        )
        .in_lang(lang),
    };
    Finding::ok("platform_accounts", found)
}
