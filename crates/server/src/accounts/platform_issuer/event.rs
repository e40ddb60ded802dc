//! The events that a platform gets: WeChat's pushes to its authorisation-event URL, encrypted as all pushes are.

use std::collections::HashMap;

use axum::{body::Body, http::StatusCode};
use serde::{Deserialize, Serialize};
use storage::{
    store::{Change, NotDurable, Store},
    writer::Ingest,
};
use system::{
    clock::Clock,
    data_key::{DataKey, SealError},
    random,
};
use wechat::callback::{
    cipher::AesKey,
    seal::{CallbackSigner, Notice, Sealed},
};

use super::{AccountAuthorization, Platform, code::CodeKind};
use crate::net::body;

/// Prefix of the keys of these facts.
pub const FACT_PREFIX: &str = "event/";
/// The process that delivers an event that another one left.
mod claim {
    /// Prefix of the keys of these facts.
    pub const FACT_PREFIX: &str = "event_claim/";
}
/// If an event is still stored after so many seconds, the process that made it has died, or could not queue it.
const LEFT_AFTER_S: i64 = 30;
/// Seconds within which the process that claimed an event queues it.
const CLAIM_S: i64 = 60;
/// A platform's answer if it accepted a push. Source: WeChat's pages on its pushes.
const SUCCESS: &[u8] = b"success";
const ANSWER_BYTES_MAX: usize = 4096;

/// One push. No Debug: it holds a ticket or a code.
#[derive(Clone, Serialize, Deserialize)]
pub struct Event {
    /// The platform it is for.
    pub component: String,
    /// What it reports.
    pub info_type: InfoType,
    created_s: i64,
    fields: Vec<(String, String)>,
}

/// What an event reports: `InfoType` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InfoType {
    /// `component_verify_ticket`
    Ticket,
    /// `authorized`
    Authorized,
    /// `updateauthorized`
    UpdateAuthorized,
    /// `unauthorized`
    Unauthorized,
}

impl InfoType {
    /// WeChat's name for it.
    pub fn name(self) -> &'static str {
        match self {
            InfoType::Ticket => "component_verify_ticket",
            InfoType::Authorized => "authorized",
            InfoType::UpdateAuthorized => "updateauthorized",
            InfoType::Unauthorized => "unauthorized",
        }
    }
}

/// Reads the events that became durable but may not have reached the queue before the stop.
pub fn undelivered(store: &Store, key: &DataKey) -> Vec<Event> {
    let read = |(fact, sealed): (String, Vec<u8>)| {
        let event = serde_json::from_slice(&key.open(&fact, &sealed).ok()?).ok();
        if event.is_none() {
            tracing::error!(fact, "a stored event for a platform cannot be read and is not pushed");
        }
        event
    };
    store.facts(FACT_PREFIX).into_iter().filter_map(read).collect()
}

/// Claims events that other processes left, so that one process delivers them. Each may be delivered twice if that one
/// dies too.
///
/// # Errors
/// If nothing was claimed.
pub async fn claim_left(
    store: &Store,
    key: &DataKey,
    ingest: &Ingest,
    clock: &Clock,
) -> Result<Vec<Event>, NotDurable> {
    let is_left = |event: &Event, now_s| event.age_s(now_s) >= LEFT_AFTER_S;
    if !undelivered(store, key).iter().any(|event| is_left(event, clock.now_s())) {
        return Ok(Vec::new());
    }
    let decision = store.decide().await?;
    let now_s = decision.now_s(clock);
    let claims: HashMap<String, Vec<u8>> = store.facts(claim::FACT_PREFIX).into_iter().collect();
    let until_s = |event: &Event| std::str::from_utf8(claims.get(&event.claim_key())?).ok()?.parse().ok();
    let mut left = undelivered(store, key);
    left.retain(|event| is_left(event, now_s) && until_s(event).is_none_or(|until_s: i64| until_s <= now_s));
    if !left.is_empty() {
        let until = (now_s + CLAIM_S).to_string().into_bytes();
        let claimed = |event: &Event| Change::Fact { key: event.claim_key(), value: Some(until.clone()) };
        drop(decision.commit(ingest, left.iter().map(claimed).collect()).await?);
    }
    Ok(left)
}

impl Event {
    /// The change that stores the event, sealed, together with what it reports.
    pub fn pending_fact(&self, key: &DataKey) -> Result<Change, SealError> {
        let fact = self.fact();
        let Ok(text) = serde_json::to_vec(self) else { unreachable!("an event is JSON") };
        let sealed = key.seal(&fact, &zeroize::Zeroizing::new(text))?;
        Ok(Change::Fact { key: fact, value: Some(sealed) })
    }

    /// The change that deletes the stored event, once it is in the queue.
    pub fn delivered_fact(&self) -> Change {
        Change::Fact { key: self.fact(), value: None }
    }

    /// The change that ends a claim, together with `delivered_fact`.
    pub fn claim_end(&self) -> Change {
        Change::Fact { key: self.claim_key(), value: None }
    }

    fn claim_key(&self) -> String {
        self.fact().replacen(FACT_PREFIX, claim::FACT_PREFIX, 1)
    }

    /// Seconds since what it reports happened.
    pub fn age_s(&self, now_s: i64) -> i64 {
        now_s - self.created_s
    }

    fn fact(&self) -> String {
        let account = self.fields.first().map_or("", |(_, account)| account);
        format!("{FACT_PREFIX}{}/{account}/{}/{}", self.component, self.created_s, self.info_type.name())
    }

    /// The event that carries the current ticket.
    pub fn ticket(component: &str, ticket: String, now_s: i64) -> Event {
        Event {
            component: component.to_owned(),
            info_type: InfoType::Ticket,
            created_s: now_s,
            fields: vec![("ComponentVerifyTicket".to_owned(), ticket)],
        }
    }

    /// An account authorised the platform, or changed what it grants. None if nothing changed.
    pub fn of_approval(
        former: Option<&AccountAuthorization>,
        authorization: &AccountAuthorization,
        code: Option<String>,
        pre_auth_code: Option<String>,
        now_s: i64,
    ) -> Option<Event> {
        let info_type = match former {
            None => InfoType::Authorized,
            Some(former) if former.permission_sets == authorization.permission_sets => return None,
            Some(_) => InfoType::UpdateAuthorized,
        };
        let fields = [
            ("AuthorizerAppid", authorization.account.clone()),
            ("AuthorizationCode", code?),
            ("AuthorizationCodeExpiredTime", (now_s + CodeKind::Auth.life_s()).to_string()),
            ("PreAuthCode", pre_auth_code.unwrap_or_default()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
        Some(Event { component: authorization.component.clone(), info_type, created_s: now_s, fields })
    }

    /// An account withdrew its authorization.
    pub fn unauthorized(authorization: &AccountAuthorization, now_s: i64) -> Event {
        Event {
            component: authorization.component.clone(),
            info_type: InfoType::Unauthorized,
            created_s: now_s,
            fields: vec![("AuthorizerAppid".to_owned(), authorization.account.clone())],
        }
    }

    /// The push, encrypted and signed.
    pub fn sealed(&self, platform: &Platform, now_s: i64) -> Result<Sealed, String> {
        let config = &platform.config;
        let key = AesKey::parse(config.encoding_aes_key.reveal()).map_err(|error| error.to_string())?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let nonce = random::alphanumeric(10).map_err(|error| error.to_string())?;
        let notice = Notice {
            appid: &config.appid,
            create_time: self.created_s,
            info_type: self.info_type.name(),
            fields: self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        };
        let signer = CallbackSigner { token: config.token.reveal(), timestamp: now_s, nonce: &nonce };
        Ok(signer.notice(&key, random, &notice))
    }
}

/// Whether a platform's answer says that it accepted a push.
pub async fn is_accepted(status: StatusCode, content: hyper::body::Incoming) -> bool {
    let text = body::read(Body::new(content), ANSWER_BYTES_MAX).await.unwrap_or_default();
    status == StatusCode::OK && text.trim_ascii() == SUCCESS
}
