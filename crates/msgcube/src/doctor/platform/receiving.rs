//! A platform whose pushes we receive from WeChat: whether pushes are accepted, and whether they arrive. The played event
//! has no effect and is not relayed. A message is played only without a relay, and only to an account that exists.

use i18n::{Text, format, text};
use serde_json::Value;
use server::{config::PlatformConfig, intake::path};
use wechat::callback::{
    PROBE,
    cipher::AesKey,
    seal::{CallbackSigner, Notice, Sealed},
};

use super::{TICKET_LATE_S, age_s};
use crate::doctor::{
    callback::{
        Entrance, PlayMode, check_gets, nonce, path_part, play, random_block, unsigned_query, verdict,
    },
    finding::Finding,
    installation::{CallbackEndpoint, Installation},
    relay,
    serving::ServerState,
};

/// An appid for checks when the platform has no account yet. Asking for it creates no account.
const NO_ACCOUNT_APPID: &str = "wxmsgcubedoctor";
/// Accounts that are tried to find one for a message.
const TRIED_ACCOUNTS_MAX: usize = 5;

/// Checks the callback addresses of the platform, and its relay.
pub async fn check(
    installation: &Installation,
    platform: &PlatformConfig,
    served: &ServerState,
    endpoint: CallbackEndpoint<'_>,
    is_other: bool,
) -> Vec<Finding> {
    let brought: Vec<(&str, &str)> = brought(platform, served).collect();
    let appid = brought.first().map_or(NO_ACCOUNT_APPID, |(appid, _)| *appid);
    let (is_good, mut findings) = check_gets(installation, endpoint, &entrance(platform, appid, "")).await;
    if is_good && installation.plays_posts {
        findings.extend(events(installation, platform, endpoint).await);
        if !is_other && !served.is_unready {
            findings.push(message(installation, platform, endpoint, &brought).await);
        }
    }
    if let Some(relay) = &platform.relay {
        findings.extend(relay::check(installation, &relay.for_account(appid)).await);
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

/// Appid and original id of the accounts that the platform brings, if they have sent a message.
fn brought<'a>(
    platform: &'a PlatformConfig,
    served: &'a ServerState,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    served.accounts.iter().flatten().filter_map(|listed| {
        let mut authorizations = listed["platforms"].as_array()?.iter();
        let authorization =
            authorizations.find(|authorization| authorization["component"] == platform.appid)?;
        let original_id =
            authorization["original_id"].as_str().filter(|_| authorization["status"] != "unauthorized")?;
        Some((listed["appid"].as_str()?, original_id))
    })
}

/// Plays an event with a wrong signature, then with a right one.
async fn events(
    installation: &Installation,
    platform: &PlatformConfig,
    endpoint: CallbackEndpoint<'_>,
) -> Vec<Finding> {
    const ID: &str = "event_taken";
    let path = path::of_platform_events(&path_part(&platform.appid));
    let sealed = match probe(installation, platform) {
        Ok(sealed) => sealed,
        Err(why) => return vec![Finding::skipped(ID, why)],
    };
    let unsigned =
        format!("{path}?{}&encrypt_type=aes&msg_signature={}", unsigned_query(installation), "0".repeat(40));
    let wrong = installation.post(endpoint, &unsigned, sealed.body.clone()).await;
    let wrong = verdict::wrong_signature("event_wrong_signature", path::OF_PLATFORMS, wrong);
    let right = installation.post(endpoint, &format!("{path}?{}", sealed.query), sealed.body).await;
    vec![wrong, verdict::event(ID, path::OF_PLATFORMS, right)]
}

fn probe(installation: &Installation, platform: &PlatformConfig) -> Result<Sealed, String> {
    let key = AesKey::parse(platform.encoding_aes_key.reveal()).map_err(|error| error.to_string())?;
    let (now_s, nonce) = (installation.clock.now_s(), nonce());
    let notice = Notice { appid: &platform.appid, create_time: now_s, info_type: PROBE, fields: Vec::new() };
    let signer = CallbackSigner { token: platform.token.reveal(), timestamp: now_s, nonce: &nonce };
    Ok(signer.notice(&key, random_block()?, &notice))
}

/// Plays a message of 1970, which is quarantined once. Only to an account with a known `ToUserName`: a message with
/// another one would be recorded as lost.
async fn message(
    installation: &Installation,
    platform: &PlatformConfig,
    endpoint: CallbackEndpoint<'_>,
    brought: &[(&str, &str)],
) -> Finding {
    const ID: &str = "callback_safe";
    if platform.relay.is_some() {
        let found =
            text!("no message is played: the server behind the relay would take it for a real message");
        return Finding::skipped(ID, found);
    }
    for (appid, original_id) in brought.iter().take(TRIED_ACCOUNTS_MAX) {
        if is_bound_only(installation, appid, original_id).await {
            return play(
                installation,
                endpoint,
                &entrance(platform, appid, original_id),
                PlayMode::Safe,
                false,
            )
            .await;
        }
    }
    let found = text!("no message is played: no account has sent one yet");
    Finding::skipped(ID, found)
}

/// Whether the account has no other original id set by an operator.
async fn is_bound_only(installation: &Installation, appid: &str, original_id: &str) -> bool {
    let Some(Ok(answer)) = installation.get_admin(&format!("/v1/accounts/{}", path_part(appid))).await else {
        return false;
    };
    let shown: Value = serde_json::from_slice(&answer.answer.body).unwrap_or_default();
    answer.answer.status == 200 && (shown["original_id"].is_null() || shown["original_id"] == original_id)
}

/// Checks whether tickets arrive.
pub fn ticket(installation: &Installation, platform: &PlatformConfig, ticket: &Value) -> Finding {
    const ID: &str = "ticket_received";
    let url = installation.url.as_ref().map(|url| Text::plain(url.to_string()));
    let base = url.unwrap_or_else(|| text!("https://YOUR_HOST"));
    let url = text!("{base}{path}", base, path = path::of_platform_events(&platform.appid));
    let remedy = text!(
        "in the open platform's console the URL for authorisation events probably does not lead here: enter {url}, \
             then call api_start_push_ticket",
        url
    );
    let Some(age_s) = age_s(installation, &ticket["time"]) else {
        let found = text!("no ticket has come yet");
        return Finding::warning(ID, found, remedy);
    };
    let age = format::span(age_s);
    if age_s <= TICKET_LATE_S {
        let found = text!("the newest ticket is {age} old", age);
        return Finding::ok(ID, found);
    }
    let found = text!("the newest ticket is {age} old, and WeChat pushes one every ten minutes", age);
    Finding::warning(ID, found, remedy)
}
