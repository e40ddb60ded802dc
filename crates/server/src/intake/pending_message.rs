//! A message that is opened but not yet durable. It will be counted, or quarantined if its CreateTime cannot be
//! right.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use counting::{Content, Message};
use sha2::{Digest as _, Sha256};
use storage::store::{Change, QuarantinedMessage};

use crate::accounts::registry::ServedAccount;

/// Earliest plausible CreateTime, Unix seconds: 2011-01-01 in Beijing. Source: the contract.
const EARLIEST_S: i64 = 1_293_811_200;
/// How far in the future a CreateTime may be, in seconds.
const AHEAD_S_MAX: i64 = 24 * 3600;

/// A message that is to become durable.
#[derive(Debug)]
pub(super) struct PendingMessage {
    /// What is needed of it once it is stored.
    pub awaited: AwaitedMessage,
    /// The change to store.
    pub change: Change,
    /// The platform that brought it.
    pub brought_by: Option<BroughtBy>,
}

/// A message that waits for the disk.
#[derive(Clone, Debug)]
pub(super) struct AwaitedMessage {
    pub account: Arc<ServedAccount>,
    /// Why it is quarantined: stored but not counted.
    pub quarantined_for: Option<&'static str>,
    /// Its CreateTime, Unix seconds. It may have any value if it is quarantined.
    pub create_time: i64,
}

/// The platform that brought a message, and the message's `ToUserName`.
#[derive(Debug)]
pub(super) struct BroughtBy {
    pub platform: String,
    pub to_user: Box<str>,
}

impl PendingMessage {
    pub fn new(
        account: Arc<ServedAccount>,
        message: Message,
        brought_by: Option<BroughtBy>,
        now_s: i64,
    ) -> PendingMessage {
        let create_time = message.create_time;
        let quarantined_for = implausible(create_time, now_s);
        let change = match quarantined_for {
            None => Change::Message { account: account.number, message },
            Some(reason) => {
                Change::Quarantine { account: account.number, message: quarantined(&message, reason) }
            }
        };
        let awaited = AwaitedMessage { account, quarantined_for, create_time };
        PendingMessage { awaited, change, brought_by }
    }
}

/// The reason why a CreateTime cannot be right. None if it can be.
pub fn implausible(create_time: i64, now_s: i64) -> Option<&'static str> {
    if create_time < EARLIEST_S {
        Some("create_time_before_2011")
    } else if create_time > now_s.saturating_add(AHEAD_S_MAX) {
        Some("create_time_ahead")
    } else {
        None
    }
}

fn quarantined(message: &Message, reason: &str) -> QuarantinedMessage {
    let (msg_id, event, event_digest) = match &message.content {
        Content::Message { msg_id, .. } => (Some(*msg_id), None, None),
        Content::Event { name, key, msg_id } => {
            let digest = Sha256::digest(key.as_bytes());
            (*msg_id, Some(name.to_string()), Some(URL_SAFE_NO_PAD.encode(&digest[..16])))
        }
    };
    QuarantinedMessage {
        reason: reason.to_owned(),
        user: message.user.to_string(),
        create_time: message.create_time,
        msg_type: message.kind().name().to_owned(),
        msg_id,
        event,
        event_digest,
    }
}
