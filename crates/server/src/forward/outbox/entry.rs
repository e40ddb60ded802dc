//! An entry of the outbox: a callback or an event that waits for delivery, and its format on disk.

use axum::http::HeaderValue;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::forward::raw_callback::RawCallback;

/// A callback or an event that waits for delivery.
#[derive(Clone, Debug)]
pub struct OutboxEntry {
    pub queued_s: i64,
    /// The account, if the target's address serves all accounts of a platform.
    pub account: Option<String>,
    /// An event for a third-party platform. It is repeated until the platform answers that it accepted it.
    pub is_event: bool,
    pub callback: RawCallback,
}

#[derive(Serialize, Deserialize)]
struct Head {
    queued_s: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default)]
    is_event: bool,
    query: Option<String>,
    content_type: Option<String>,
    user_agent: Option<String>,
}

impl OutboxEntry {
    /// The bytes to seal: length of the head, the head as JSON, the body.
    pub fn bytes(&self) -> Vec<u8> {
        let text = |value: &Option<HeaderValue>| Some(value.as_ref()?.to_str().ok()?.to_owned());
        let head = Head {
            queued_s: self.queued_s,
            account: self.account.clone(),
            is_event: self.is_event,
            query: self.callback.query.clone(),
            content_type: text(&self.callback.content_type),
            user_agent: text(&self.callback.user_agent),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or(0).to_le_bytes();
        [&length, head.as_slice(), &self.callback.body].concat()
    }

    /// Reads what [`OutboxEntry::bytes`] wrote.
    pub fn read(bytes: &[u8]) -> Option<OutboxEntry> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (head, body) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        let value = |text: Option<String>| HeaderValue::try_from(text?).ok();
        let callback = RawCallback {
            query: head.query,
            content_type: value(head.content_type),
            user_agent: value(head.user_agent),
            body: Bytes::copy_from_slice(body),
        };
        Some(OutboxEntry {
            queued_s: head.queued_s,
            account: head.account,
            is_event: head.is_event,
            callback,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        let callback = RawCallback {
            query: Some("a=%2B&b".to_owned()),
            content_type: Some(HeaderValue::from_static("text/xml")),
            user_agent: None,
            body: Bytes::from_static(b"\x00<xml>\xff"),
        };
        let account = Some("wx1".to_owned());
        let entry = OutboxEntry { queued_s: -3, account, is_event: true, callback };
        let read = OutboxEntry::read(&entry.bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{entry:?}"));
        for length in 0..4 {
            assert!(OutboxEntry::read(&entry.bytes()[..length]).is_none());
        }
    }
}
