//! What a store makes durable.

use counting::{Message, Reason};
use serde::{Deserialize, Serialize};

use super::{AccountNumber, NotDurable};

/// A change to make durable. Times are Unix seconds; stretches are `[from_s, to_s)`.
#[derive(Clone, Debug)]
pub enum Change {
    /// Counts a message, unless it is a repeat.
    Message {
        /// The account that received it.
        account: AccountNumber,
        /// What counting needs of it.
        message: Message,
    },
    /// Stores a message without counting it.
    Quarantine {
        /// The account that received it.
        account: AccountNumber,
        /// What is stored of it.
        message: QuarantinedMessage,
    },
    /// Messages were lost. The stretch becomes a gap.
    Lose {
        /// The account whose messages were lost.
        account: AccountNumber,
        /// Start of the stretch.
        from_s: i64,
        /// End of the stretch, not included.
        to_s: i64,
        /// Why they were lost.
        reason: Reason,
    },
    /// All messages of a stretch were received. It becomes covered.
    Claim {
        /// The account that received them.
        account: AccountNumber,
        /// Start of the stretch.
        from_s: i64,
        /// End of the stretch, not included.
        to_s: i64,
    },
    /// Exactly these accounts receive messages.
    Serve {
        /// Since when.
        at_s: i64,
        /// The accounts. All others receive none.
        accounts: Vec<AccountNumber>,
        /// Why they received none since the last mark.
        reason: Reason,
    },
    /// Like `Serve`, after a planned stop that lost no message.
    Resume {
        /// The last mark before the stop.
        end_s: i64,
        /// Since when messages are received again.
        at_s: i64,
        /// The accounts. All others receive none.
        accounts: Vec<AccountNumber>,
        /// No socket was open during the stop. WeChat's retries cover it, and it is listed.
        is_bridged: bool,
    },
    /// One more account receives messages. The other accounts do not change.
    Begin {
        /// Since when.
        at_s: i64,
        /// The account.
        account: AccountNumber,
    },
    /// An account receives no more messages.
    Cease {
        /// The account.
        account: AccountNumber,
    },
    /// All messages of the served accounts were received.
    Mark {
        /// Until when.
        at_s: i64,
    },
    /// Sets or removes a fact.
    Fact {
        /// Its name. Facts are found by the start of their key.
        key: String,
        /// The new value. None removes the fact.
        value: Option<Vec<u8>>,
    },
}

impl Change {
    /// Sets a fact to a value in JSON.
    ///
    /// # Panics
    /// If JSON cannot express the value. Without the panic the fact would be removed.
    pub fn fact(key: String, value: &impl Serialize) -> Change {
        match serde_json::to_vec(value) {
            Ok(value) => Change::Fact { key, value: Some(value) },
            Err(error) => unreachable!("{key}: {error}"),
        }
    }
}

/// The result of a [`Change`]. It is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message was counted.
    Counted,
    /// The message was already stored.
    Repeat,
    /// The change was stored. It counts no message.
    Noted,
    /// Only this change was rejected. The text says why.
    Failed(String),
}

impl Outcome {
    /// An error if the change was rejected.
    pub fn taken(&self) -> Result<(), NotDurable> {
        match self {
            Outcome::Counted | Outcome::Repeat | Outcome::Noted => Ok(()),
            Outcome::Failed(error) => Err(NotDurable(error.clone())),
        }
    }
}

/// A message that is stored and not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedMessage {
    /// Why it is not counted; the label value of the metrics.
    pub reason: String,
    /// `FromUserName`
    pub user: String,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `MsgType`, as the statistics API names it.
    pub msg_type: String,
    /// `MsgId`. For events: `MsgID`, if the event has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg_id: Option<u64>,
    /// `Event`; none for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// A digest of the event. It distinguishes events of the same user and second without storing the EventKey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_digest: Option<String>,
}

impl QuarantinedMessage {
    /// The event as former versions stored it: without its MsgID, which they did not read. None for other messages.
    pub fn without_event_msg_id(&self) -> Option<QuarantinedMessage> {
        let has_one = self.event.is_some() && self.msg_id.is_some();
        has_one.then(|| QuarantinedMessage { msg_id: None, ..self.clone() })
    }
}

/// A fact that was set, or removed if there is no value.
pub type FactChange = (String, Option<Vec<u8>>);

/// Is told of facts that other processes changed, in their order. It must be quick and must not wait for the store.
pub type FactSink = Box<dyn Fn(&[FactChange]) + Send + Sync>;
