//! A message as a callback brings it: only what counting needs, never what the user wrote.

use crate::Kind;

/// One callback's message or event. A repeat is one with the same account, user, CreateTime and MsgId
/// (for events: and Event, EventKey and, where it carries one, MsgID).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// `FromUserName`, the sender's openid: 1 to 128 bytes.
    pub user: Box<str>,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// What was sent.
    pub content: Content,
}

/// What a callback carries.
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
        /// `EventKey`; empty if absent. Used to tell events apart, not stored in clear.
        key: Box<str>,
        /// `MsgID`, which events about what was sent carry, such as `TEMPLATESENDJOBFINISH`.
        msg_id: Option<u64>,
    },
}

impl Message {
    /// What `MsgType` said.
    pub fn kind(&self) -> Kind {
        match &self.content {
            Content::Message { kind, .. } => *kind,
            Content::Event { .. } => Kind::Event,
        }
    }
}
