//! Third-party platforms: how the running server says that each fares, and whether pushes get through on both sides.

mod receiving;
mod serving;

use i18n::{Lang, words};
use jiff::Timestamp;
use serde_json::Value;
use server::config::{ComponentConfig, Role};

use super::{callback::path_part, finding::Finding, installation::Installation, relay, serving::Served};

/// WeChat pushes a ticket every ten minutes; one that is older than this is late.
const TICKET_LATE_S: i64 = 15 * 60;
/// An event that waits longer than this is not just on its way.
const EVENT_LATE_S: i64 = 60;

/// One platform.
pub async fn check(scene: &Installation, platform: &ComponentConfig, served: &Served) -> Vec<Finding> {
    let Some(place) = scene.callbacks().filter(|_| scene.url.is_some() || served.is_alive) else {
        let found = scene.lang.pick("the server does not answer", "服务没有应答");
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
    let found = lang.pick(
        "the server does not say how it fares (no admin_key, or another one): tickets and events are not known",
        "服务未提供其状态（没有 admin_key 或不一致），无法得知 ticket 和事件的情况",
    );
    Finding::skipped("platform_state", found)
}

/// What the running server says of it, if it says anything; or in what it differs from the configuration.
async fn state(scene: &Installation, platform: &ComponentConfig) -> Result<Option<Value>, Finding> {
    let path = format!("/v1/components/{}", path_part(&platform.appid));
    let Some(Ok(answer)) = scene.get_own(&path).await else { return Ok(None) };
    let lang = scene.lang;
    let differs = |found: String| {
        let remedy = lang.pick(
            "restart msgcube: the configuration is read at the start",
            "请重启 msgcube：配置只在启动时读取",
        );
        Err(Finding::problem("settings_in_use", found, remedy))
    };
    if answer.said.status == 404 {
        let found = lang.pick("the running server does not know this platform", "运行中的服务没有此平台");
        return differs(found.to_owned());
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
    differs(lang.pick(
        format!("the running server has other settings than the configuration: {names}"),
        format!("运行中的服务与配置不一致：{names}"),
    ))
}

/// Where its events go. It is sent nothing signed, so there is nothing that it could act upon.
async fn push_url(scene: &Installation, platform: &ComponentConfig) -> Vec<Finding> {
    if let Some(url) = &platform.push_url {
        return relay::push_url(scene, url).await;
    }
    let found = match platform.role {
        Role::Serve => scene.lang.pick(
            "no push_url: neither tickets nor events are pushed; GET /v1/components/{c}/ticket gives the ticket",
            "未设置 push_url：不推送 ticket 和事件；ticket 可用 GET /v1/components/{c}/ticket 获取",
        ),
        Role::Receive => scene.lang.pick(
            "no push_url: tickets and events end here, and no platform hears of them",
            "未设置 push_url：ticket 和事件到此为止，不会转给平台",
        ),
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
        return Some(Finding::ok(ID, lang.pick("no event waits for push_url", "没有等待推送的事件")));
    }
    let age_s = age_s(scene, &state["events"]["oldest"]).unwrap_or_default();
    let age = words::span(lang, age_s);
    let found = lang.pick(
        format!("events that wait for push_url: {number}, the oldest for {age}"),
        format!("等待推送的事件 {number} 个，最早的已等待 {age}"),
    );
    if age_s <= EVENT_LATE_S {
        return Some(Finding::ok(ID, found));
    }
    let remedy = match state["role"].as_str() {
        Some("serve") => lang.pick(
            "the platform has to answer 200 and success: see its log; what is a day old is dropped",
            "平台须应答 200 和 success，请查看平台日志；超过一天的事件会被丢弃",
        ),
        _ => lang.pick(
            "the platform has to answer, and not with a status from 500 on: see its log; what is a day old is dropped",
            "平台须作出应答，且状态不得为 5xx，请查看平台日志；超过一天的事件会被丢弃",
        ),
    };
    Some(Finding::warning(ID, found, remedy))
}

fn accounts(lang: Lang, state: &Value) -> Finding {
    let number = |status: &str| state["accounts"][status].as_u64().unwrap_or_default();
    let [authorized, pending, unauthorized] = ["authorized", "pending", "unauthorized"].map(number);
    let found = match state["role"].as_str() {
        Some("serve") => lang.pick(
            format!("accounts that authorised it: {authorized}"),
            format!("已授权的公众号 {authorized} 个"),
        ),
        _ => lang.pick(
            format!("accounts: {authorized} authorised, {pending} pending, {unauthorized} withdrew"),
            format!("公众号：已授权 {authorized} 个，待确认 {pending} 个，已取消授权 {unauthorized} 个"),
        ),
    };
    Finding::ok("platform_accounts", found)
}
