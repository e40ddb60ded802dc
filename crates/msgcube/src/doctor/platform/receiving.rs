//! A platform whose pushes come here from WeChat: whether they would get in, and whether they come. The event that is
//! played says nothing and goes no further; a message is played only where no bot would hear of it, to an account that
//! is there already, so that none appears.

use i18n::format;
use i18n::text;
use serde_json::Value;
use server::{config::PlatformConfig, intake::path};
use wechat::callback::{
    PROBE,
    cipher::AesKey,
    seal::{Envelope, Notice, Sealed},
};

use super::{TICKET_LATE_S, age_s};
use crate::doctor::{
    callback::{Entrance, Mode, gets, nonce, path_part, play, random_block, unsigned_query, verdict},
    finding::Finding,
    installation::{Installation, Place},
    relay,
    serving::Served,
};

/// What addresses of platforms begin with.
/// Stands for an account where there is none yet. Asking for it makes none.
const NOBODY: &str = "wxmsgcubedoctor";
/// Accounts that are looked at for one to play a message to.
const TRIED_MAX: usize = 5;

/// What WeChat would meet, and the bot behind.
pub async fn check(
    scene: &Installation,
    platform: &PlatformConfig,
    served: &Served,
    place: Place<'_>,
    is_other: bool,
) -> Vec<Finding> {
    let brought: Vec<(&str, &str)> = brought(platform, served).collect();
    let appid = brought.first().map_or(NOBODY, |(appid, _)| *appid);
    let (is_good, mut findings) = gets(scene, place, &entrance(platform, appid, "")).await;
    if is_good && scene.plays_posts {
        findings.extend(events(scene, platform, place).await);
        if !is_other && !served.is_unready {
            findings.push(message(scene, platform, place, &brought).await);
        }
    }
    if let Some(relay) = &platform.relay {
        findings.extend(relay::check(scene, &relay.for_account(appid)).await);
    }
    findings
}

fn entrance<'a>(platform: &'a PlatformConfig, appid: &str, to_user: &'a str) -> Entrance<'a> {
    Entrance {
        path: path::through_platform(&path_part(&platform.appid), &path_part(appid)),
        below: path::OF_PLATFORMS,
        token: &platform.token,
        key: Some(&platform.encoding_aes_key),
        appid: &platform.appid,
        to_user,
    }
}

/// Accounts that the platform brings, and whose messages are known.
fn brought<'a>(platform: &'a PlatformConfig, served: &'a Served) -> impl Iterator<Item = (&'a str, &'a str)> {
    served.accounts.iter().flatten().filter_map(|listed| {
        let mut standings = listed["platforms"].as_array()?.iter();
        let standing = standings.find(|standing| standing["component"] == platform.appid)?;
        let original_id =
            standing["original_id"].as_str().filter(|_| standing["status"] != "unauthorized")?;
        Some((listed["appid"].as_str()?, original_id))
    })
}

/// An event with a wrong signature, and a right one.
async fn events(scene: &Installation, platform: &PlatformConfig, place: Place<'_>) -> Vec<Finding> {
    const ID: &str = "event_taken";
    let path = path::of_platform_events(&path_part(&platform.appid));
    let sealed = match probe(scene, platform) {
        Ok(sealed) => sealed,
        Err(why) => return vec![Finding::skipped(ID, why)],
    };
    let unsigned =
        format!("{path}?{}&encrypt_type=aes&msg_signature={}", unsigned_query(scene), "0".repeat(40));
    let wrong = scene.post(place, &unsigned, sealed.body.clone()).await;
    let wrong = verdict::wrong_signature(scene.lang, "event_wrong_signature", path::OF_PLATFORMS, wrong);
    let right = scene.post(place, &format!("{path}?{}", sealed.query), sealed.body).await;
    vec![wrong, verdict::event(scene.lang, ID, path::OF_PLATFORMS, right)]
}

fn probe(scene: &Installation, platform: &PlatformConfig) -> Result<Sealed, String> {
    let key = AesKey::parse(platform.encoding_aes_key.reveal()).map_err(|error| error.to_string())?;
    let (now_s, nonce) = (scene.clock.now_s(), nonce());
    let notice = Notice { appid: &platform.appid, create_time: now_s, info_type: PROBE, fields: Vec::new() };
    let envelope = Envelope { token: platform.token.reveal(), timestamp: now_s, nonce: &nonce };
    Ok(envelope.notice(&key, random_block()?, &notice))
}

/// A message of 1970, which is kept aside once, to an account whose `ToUserName` is known: another one would be a loss.
async fn message(
    scene: &Installation,
    platform: &PlatformConfig,
    place: Place<'_>,
    brought: &[(&str, &str)],
) -> Finding {
    const ID: &str = "callback_safe";
    let lang = scene.lang;
    if platform.relay.is_some() {
        let found = text!("no message is played: the server behind would take it for one of its accounts'")
            .in_lang(lang);
        return Finding::skipped(ID, found);
    }
    for (appid, original_id) in brought.iter().take(TRIED_MAX) {
        if is_bound_only(scene, appid, original_id).await {
            return play(scene, place, &entrance(platform, appid, original_id), Mode::Safe, false).await;
        }
    }
    let found = text!("no message is played: no account has sent one yet").in_lang(lang);
    Finding::skipped(ID, found)
}

/// Whether no operator says otherwise than its first message.
async fn is_bound_only(scene: &Installation, appid: &str, original_id: &str) -> bool {
    let Some(Ok(answer)) = scene.get_own(&format!("/v1/accounts/{}", path_part(appid))).await else {
        return false;
    };
    let shown: Value = serde_json::from_slice(&answer.said.body).unwrap_or_default();
    answer.said.status == 200 && (shown["original_id"].is_null() || shown["original_id"] == original_id)
}

/// Whether tickets come.
pub fn ticket(scene: &Installation, platform: &PlatformConfig, ticket: &Value) -> Finding {
    const ID: &str = "ticket_received";
    let lang = scene.lang;
    let base = match &scene.url {
        Some(url) => url.to_string(),
        None => text!("https://YOUR_HOST").in_lang(lang),
    };
    let url = format!("{base}{}", path::of_platform_events(&platform.appid));
    let remedy = text!("in the open platform's console the URL for authorisation events probably does not lead here: enter {url}, \
             then call api_start_push_ticket", url).in_lang(lang);
    let Some(age_s) = age_s(scene, &ticket["time"]) else {
        let found = text!("no ticket has come yet").in_lang(lang);
        return Finding::warning(ID, found, remedy);
    };
    let age = format::span(age_s).in_lang(lang);
    if age_s <= TICKET_LATE_S {
        let found = text!("the newest ticket is {age} old", age).in_lang(lang);
        return Finding::ok(ID, found);
    }
    let found =
        text!("the newest ticket is {age} old, and WeChat pushes one every ten minutes", age).in_lang(lang);
    Finding::warning(ID, found, remedy)
}
