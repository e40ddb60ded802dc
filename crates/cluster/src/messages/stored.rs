//! Rows as the tables have them.

use clickhouse::{Row, error::Error, insert::Insert};
use serde::Serialize;

use super::{
    replica::Stored,
    row::{MessageId, MessageRow, QuarantinedRow},
    schema::MessageTable,
};

/// A row of `raw`.
#[derive(Row, Serialize)]
pub struct RawColumns<'a> {
    appid: &'a str,
    user: &'a str,
    create_time: u32,
    id: MessageId,
    kind: u8,
    event: &'a str,
    first: u64,
}

/// A row of `aside`.
#[derive(Row, Serialize)]
pub struct AsideColumns<'a> {
    appid: &'a str,
    create_time: i64,
    user: &'a str,
    id: [u8; 16],
    msg_type: &'a str,
    reason: &'a str,
    msg_id: Option<u64>,
    event: Option<&'a str>,
    event_digest: Option<&'a str>,
    first: u64,
}

impl Stored for MessageRow {
    type Columns = RawColumns<'static>;
    const TABLE: MessageTable = MessageTable::Raw;

    fn owner(&self) -> (&str, &str) {
        (&self.appid, &self.user)
    }

    fn arrange(rows: &mut Vec<MessageRow>) {
        fn key(row: &MessageRow) -> (&str, &str, u32, MessageId) {
            (&row.appid, &row.user, row.create_time, row.id)
        }
        // Of equal rows the last one would stay, so the server gets the first one alone. The sort is stable.
        rows.sort_by(|a, b| key(a).cmp(&key(b)).then(a.received_us.cmp(&b.received_us)));
        rows.dedup_by(|later, earlier| key(later) == key(earlier));
    }

    async fn write(&self, insert: &mut Insert<RawColumns<'static>>) -> Result<(), Error> {
        let columns = RawColumns {
            appid: &self.appid,
            user: &self.user,
            create_time: self.create_time,
            id: self.id,
            kind: self.kind.code(),
            event: &self.event,
            first: u64::MAX - self.received_us,
        };
        insert.write(&columns).await
    }
}

impl Stored for QuarantinedRow {
    type Columns = AsideColumns<'static>;
    const TABLE: MessageTable = MessageTable::Aside;

    fn owner(&self) -> (&str, &str) {
        (&self.appid, &self.user)
    }

    fn arrange(rows: &mut Vec<QuarantinedRow>) {
        fn key(row: &QuarantinedRow) -> (&str, i64, &str, [u8; 16]) {
            (&row.appid, row.create_time, &row.user, row.identity())
        }
        rows.sort_by(|a, b| key(a).cmp(&key(b)).then(a.received_us.cmp(&b.received_us)));
        rows.dedup_by(|later, earlier| key(later) == key(earlier));
    }

    async fn write(&self, insert: &mut Insert<AsideColumns<'static>>) -> Result<(), Error> {
        let columns = AsideColumns {
            appid: &self.appid,
            create_time: self.create_time,
            user: &self.user,
            id: self.identity(),
            msg_type: &self.msg_type,
            reason: &self.reason,
            msg_id: self.msg_id,
            event: self.event.as_deref(),
            event_digest: self.event_digest.as_deref(),
            first: u64::MAX - self.received_us,
        };
        insert.write(&columns).await
    }
}
