//! What is stored of a message, and what makes two messages the same.

use std::sync::Arc;

use counting::{EventDigest, Kind, event_digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One message or event, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// The account that received it.
    pub appid: Arc<str>,
    /// `FromUserName`, the sender's openid.
    pub user: Box<str>,
    /// `CreateTime`, Unix seconds.
    pub create_time: u32,
    /// Its identity within account, user and second.
    pub id: MessageId,
    /// Its kind.
    pub kind: Kind,
    /// `Event`; empty for messages.
    pub event: Box<str>,
    /// When it was received, in microseconds since 1970. Of several rows with one identity the one that was received first
    /// counts.
    pub received_us: u64,
}

/// Distinguishes the messages of one user in one second: the MsgId, or a digest of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId([u8; MessageId::BYTES]);

impl MessageId {
    const BYTES: usize = 17;
    /// The first byte, so that no digest equals a MsgId.
    const OF_MESSAGE: u8 = 0;
    const OF_EVENT: u8 = 1;

    /// The identity of a message: its MsgId, big-endian.
    pub fn of_message(msg_id: u64) -> MessageId {
        let mut bytes = [0; MessageId::BYTES];
        bytes[0] = MessageId::OF_MESSAGE;
        bytes[1..9].copy_from_slice(&msg_id.to_be_bytes());
        MessageId(bytes)
    }

    /// The identity of an event: Event, EventKey and, if the event has one, MsgID.
    pub fn of_event(name: &str, key: &str, msg_id: Option<u64>) -> MessageId {
        MessageId::of_event_digest(event_digest(name, key, msg_id))
    }

    /// The identity of an event of which only the digest is stored.
    pub fn of_event_digest(digest: EventDigest) -> MessageId {
        let mut bytes = [0; MessageId::BYTES];
        bytes[0] = MessageId::OF_EVENT;
        bytes[1..].copy_from_slice(&digest);
        MessageId(bytes)
    }

    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message that is stored and not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// The account that received it.
    pub appid: Arc<str>,
    /// `FromUserName`
    pub user: Box<str>,
    /// `CreateTime` as it was sent, Unix seconds. It may be any number.
    pub create_time: i64,
    /// `MsgType`
    pub msg_type: Box<str>,
    /// Why it is not counted.
    pub reason: Box<str>,
    /// `MsgId`. For events: `MsgID`, if the event has one.
    pub msg_id: Option<u64>,
    /// `Event`; none for messages.
    pub event: Option<Box<str>>,
    /// A digest of the event, as text.
    pub event_digest: Option<Box<str>>,
    /// When it was received, in microseconds since 1970. Of several rows with one identity the first one stays.
    pub received_us: u64,
}

impl QuarantinedRow {
    /// The identity within account, user and time: a digest of MsgId, event and its digest. Reason and type do not belong
    /// to it.
    pub(super) fn identity(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        let msg_id = self.msg_id.map(u64::to_le_bytes);
        let texts = [&self.event, &self.event_digest].map(|text| text.as_deref().map(str::as_bytes));
        for part in [msg_id.as_ref().map(<[u8; 8]>::as_slice)].into_iter().chain(texts) {
            hash.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&hash.finalize()[..16]);
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_messages_are_in_the_order_of_their_numbers_and_never_those_of_events() {
        let ids = [0, 1, 255, 256, u64::MAX].map(MessageId::of_message);
        assert!(ids.is_sorted() && ids[0] != ids[1]);
        assert_eq!(MessageId::of_message(0x0102).as_bytes()[..10], [0, 0, 0, 0, 0, 0, 0, 1, 2, 0]);
        let zero = MessageId::of_event_digest([0; 16]);
        assert_ne!(zero, MessageId::of_message(0));
        assert_eq!(zero.as_bytes(), [&[1_u8][..], &[0; 16]].concat());
    }

    #[test]
    fn events_differ_by_name_key_and_msg_id() {
        let events = [
            MessageId::of_event("CLICK", "a", None),
            MessageId::of_event("CLICKa", "", None),
            MessageId::of_event("CLICK", "a", Some(0)),
            MessageId::of_event("CLICK", "a", Some(1)),
            MessageId::of_event("CLICK", "", None),
        ];
        let distinct: std::collections::BTreeSet<_> = events.into_iter().collect();
        assert_eq!(distinct.len(), events.len());
        assert_eq!(events[2], MessageId::of_event_digest(event_digest("CLICK", "a", Some(0))));
    }

    #[test]
    fn reason_and_type_do_not_distinguish_quarantined_messages() {
        let row = QuarantinedRow {
            appid: "wx1".into(),
            user: "u".into(),
            create_time: -5,
            msg_type: "text".into(),
            reason: "too_old".into(),
            msg_id: Some(7),
            event: None,
            event_digest: None,
            received_us: 1,
        };
        let other = QuarantinedRow { reason: "too_new".into(), msg_type: "image".into(), ..row.clone() };
        assert_eq!(row.identity(), other.identity());
        let others = [
            QuarantinedRow { msg_id: None, ..row.clone() },
            QuarantinedRow { msg_id: Some(8), ..row.clone() },
            QuarantinedRow { event: Some("".into()), ..row.clone() },
            QuarantinedRow { event_digest: Some("".into()), ..row.clone() },
        ];
        others.iter().for_each(|other| assert_ne!(row.identity(), other.identity()));
    }
}
