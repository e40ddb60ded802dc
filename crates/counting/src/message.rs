//! A message from a callback: only what counting needs, never its content.

use crate::Kind;

/// One message or event. Two of an account are repeats if user, CreateTime and MsgId are equal. For events: Event,
/// EventKey and, if present, MsgID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// `FromUserName`, the sender's openid: 1 to 128 bytes.
    pub user: Box<str>,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// The message or event itself.
    pub content: Content,
}

/// The part that differs between messages and events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A message of any kind but `event`.
    Message {
        /// Never [`Kind::Event`].
        kind: Kind,
        /// `MsgId`, any unsigned 64-bit number.
        msg_id: u64,
    },
    /// `MsgType` event.
    Event {
        /// `Event`, such as `subscribe` or `CLICK`, as WeChat wrote it.
        name: Box<str>,
        /// `EventKey`; empty if absent. It distinguishes events and is not stored in clear.
        key: Box<str>,
        /// `MsgID`, which some events have, such as `TEMPLATESENDJOBFINISH`.
        msg_id: Option<u64>,
    },
}

impl Message {
    /// The kind from `MsgType`.
    pub fn kind(&self) -> Kind {
        match &self.content {
            Content::Message { kind, .. } => *kind,
            Content::Event { .. } => Kind::Event,
        }
    }
}
