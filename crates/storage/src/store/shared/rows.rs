//! The rows of a batch of messages.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use cluster::messages::{MessageId, MessageRow, QuarantinedRow};
use counting::{Content, Message, day_of};

use super::SharedCore;
use crate::store::{AccountNumber, Change, Outcome, QuarantinedMessage};

/// Of the rows that were not confirmed, so many are tried again to find out whether ClickHouse is back.
const TRIED_AGAIN_MAX: usize = 16;

/// Account, user, CreateTime, MsgId and digest of the event: what makes two quarantined messages the same.
type QuarantinedIdentity = (AccountNumber, Box<str>, i64, Option<u64>, Option<String>);

/// The rows of a batch.
#[derive(Debug, Default)]
pub struct Rows {
    pub messages: Vec<MessageRow>,
    pub quarantined: Vec<QuarantinedRow>,
    /// Messages of this batch, to find repeats in it.
    seen: HashSet<(AccountNumber, Box<str>, i64, MessageId)>,
    seen_quarantined: HashSet<QuarantinedIdentity>,
    /// Accounts and days in Beijing of the messages.
    pub days: BTreeSet<(Arc<str>, i32)>,
}

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.quarantined.is_empty()
    }

    /// A few of them. They were sent by WeChat, so it does no harm if they are counted without being confirmed.
    pub fn some(&self) -> Rows {
        Rows {
            messages: self.messages.iter().take(TRIED_AGAIN_MAX).cloned().collect(),
            quarantined: self.quarantined.iter().take(TRIED_AGAIN_MAX).cloned().collect(),
            days: self.days.clone(),
            ..Rows::default()
        }
    }

    /// Adds the row of a message. None: the change is no message.
    pub fn add_change(&mut self, core: &SharedCore, change: &Change) -> Option<Outcome> {
        match change {
            Change::Message { account, message } => Some(self.add(core, *account, message)),
            Change::Quarantine { account, message } => Some(self.add_quarantined(core, *account, message)),
            _ => None,
        }
    }

    pub fn add(&mut self, core: &SharedCore, number: AccountNumber, message: &Message) -> Outcome {
        let account = match core.accounts.get(number) {
            Ok(account) => account,
            Err(error) => return error.into(),
        };
        let Ok(create_time) = u32::try_from(message.create_time) else {
            return Outcome::Failed("CreateTime lies outside of 1970 to 2106".to_owned());
        };
        let (id, event) = match &message.content {
            Content::Message { msg_id, .. } => (MessageId::of_message(*msg_id), ""),
            Content::Event { name, key, msg_id } => (MessageId::of_event(name, key, *msg_id), &**name),
        };
        if !self.seen.insert((number, message.user.clone(), message.create_time, id)) {
            return Outcome::Repeat;
        }
        let appid = account.appid.clone();
        self.days.insert((appid.clone(), day_of(message.create_time).days_since_1970()));
        self.messages.push(MessageRow {
            appid,
            user: message.user.clone(),
            create_time,
            id,
            kind: message.kind(),
            event: event.into(),
            received_us: core.received_us(),
        });
        Outcome::Counted
    }

    fn add_quarantined(
        &mut self,
        core: &SharedCore,
        number: AccountNumber,
        message: &QuarantinedMessage,
    ) -> Outcome {
        let account = match core.accounts.get(number) {
            Ok(account) => account,
            Err(error) => return error.into(),
        };
        let identity = (
            number,
            message.user.as_str().into(),
            message.create_time,
            message.msg_id,
            message.event_digest.clone(),
        );
        if !self.seen_quarantined.insert(identity) {
            return Outcome::Repeat;
        }
        self.quarantined.push(QuarantinedRow {
            appid: account.appid.clone(),
            user: message.user.as_str().into(),
            create_time: message.create_time,
            msg_type: message.msg_type.as_str().into(),
            reason: message.reason.as_str().into(),
            msg_id: message.msg_id,
            event: message.event.as_deref().map(Into::into),
            event_digest: message.event_digest.as_deref().map(Into::into),
            received_us: core.received_us(),
        });
        Outcome::Noted
    }
}
