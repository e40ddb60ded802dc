//! The questions about one account, as SQL, and their answers. `FINAL` counts each identity once. Filters name columns of
//! the key only: a filter on another column must see merged rows, so those are conditions of the aggregates.

use clickhouse::{Client, Row, query::Query};
use counting::{Counters, Kind};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    buckets::Buckets,
    error::ClickHouseError,
    row::{MessageId, MessageRow, QuarantinedRow},
};

/// Most rows that are looked up with one statement.
pub const KEYS_MAX: usize = 1000;

/// Figures of one shard and stretch of time.
#[derive(Row, Deserialize)]
pub struct FiguresFound {
    bucket: i64,
    users: Vec<u64>,
    messages: Vec<u64>,
    users_of_videos: u64,
    users_counted: u64,
    by_count: Vec<u64>,
}

/// Events of one shard, stretch of time and name.
#[derive(Row, Deserialize)]
pub struct EventsFound {
    /// See [`Buckets`].
    pub bucket: i64,
    /// `Event`
    pub event: String,
    /// Their number.
    pub events: u64,
}

/// First users of one shard.
#[derive(Row, Deserialize)]
pub struct FirstFound {
    /// Users whose first counted message is in the stretch.
    pub users: u64,
    /// Users of any counted message before the end of the stretch.
    pub all_users: u64,
    /// The first counted message, if there are users.
    pub first_s: u32,
}

/// A stored identity.
#[derive(PartialEq, Eq, Hash, Row, Deserialize)]
pub struct KeyFound {
    appid: String,
    user: String,
    create_time: u32,
    id: MessageId,
}

/// A quarantined message.
#[derive(Row, Deserialize)]
pub struct AsideFound {
    create_time: i64,
    user: String,
    msg_type: String,
    reason: String,
    msg_id: Option<u64>,
    event: Option<String>,
    event_digest: Option<String>,
    first: u64,
}

/// Seconds as the table has them, both included.
pub type StoredBounds = (u32, u32);

/// The number of the stretch of time of a row, or its first second if stretches have several lengths. The numbers come
/// from the calendar, so they may stand in the statement.
fn bucket_sql(buckets: &Buckets) -> String {
    match (buckets.step_s(), buckets.borders()) {
        _ if buckets.len() == 1 => "toInt64(0)".to_owned(),
        (Some(step_s), _) => format!("intDiv(toInt64(create_time) - {}, {step_s})", buckets.base_s()),
        // Not toYYYYMM: the zone had summer time in some years, Beijing's calendar here has none.
        (None, borders) => format!("roundDown(toInt64(create_time), {borders:?})"),
    }
}

/// The sum of these columns.
fn sum_of(is_in: impl Fn(Kind) -> bool) -> String {
    let kinds = Kind::ALL.into_iter().filter(|kind| is_in(*kind));
    let columns: Vec<String> = kinds.map(|kind| format!("k{}", kind.code())).collect();
    columns.join(" + ")
}

/// One expression for each kind.
fn each_kind(expression: impl Fn(u8) -> String) -> String {
    let all: Vec<String> = Kind::ALL.into_iter().map(|kind| expression(kind.code())).collect();
    all.join(", ")
}

/// The codes of the counted kinds.
pub fn counted_kinds() -> String {
    let counted = Kind::ALL.into_iter().filter(|kind| kind.counted_type().is_some());
    let codes: Vec<String> = counted.map(|kind| kind.code().to_string()).collect();
    codes.join(", ")
}

/// Figures by stretch of time: a row for each user first, then the sums.
pub fn figures(appid: String, buckets: &Buckets, within: StoredBounds) -> impl Fn(&Client) -> Query + use<> {
    let sql = format!(
        "SELECT bucket, [{users}] AS users, [{messages}] AS messages,
            countIf({videos} > 0) AS users_of_videos, countIf(counted > 0) AS users_counted,
            [countIf(counted BETWEEN 1 AND 5), countIf(counted BETWEEN 6 AND 10), countIf(counted > 10)] AS by_count
        FROM (
            SELECT {bucket} AS bucket, user, {kinds}, {counted} AS counted
            FROM raw FINAL WHERE appid = ? AND create_time >= ? AND create_time <= ?
            GROUP BY bucket, user
        ) GROUP BY bucket",
        users = each_kind(|code| format!("countIf(k{code} > 0)")),
        messages = each_kind(|code| format!("sum(k{code})")),
        kinds = each_kind(|code| format!("countIf(kind = {code}) AS k{code}")),
        videos = sum_of(|kind| kind.counted_type() == Some(4)),
        counted = sum_of(|kind| kind.counted_type().is_some()),
        bucket = bucket_sql(buckets),
    );
    move |client| client.query(&sql).bind(&appid).bind(within.0).bind(within.1)
}

/// Events by stretch of time and name. No message has the identity of an event, so the filter on the kind is safe.
pub fn events(appid: String, buckets: &Buckets, within: StoredBounds) -> impl Fn(&Client) -> Query + use<> {
    let sql = format!(
        "SELECT {bucket} AS bucket, event, count() AS events
        FROM raw FINAL WHERE appid = ? AND create_time >= ? AND create_time <= ? AND kind = {event}
        GROUP BY bucket, event",
        bucket = bucket_sql(buckets),
        event = Kind::Event.code(),
    );
    move |client| client.query(&sql).bind(&appid).bind(within.0).bind(within.1)
}

/// Users by the time of their first counted message, up to `last` alone.
pub fn first_users(appid: String, first: u32, last: u32) -> impl Fn(&Client) -> Query {
    let counted = counted_kinds();
    let sql = format!(
        "SELECT countIf(begun >= ?) AS users, count() AS all_users, toUInt32(min(begun)) AS first_s
        FROM (
            SELECT user, countIf(kind IN ({counted})) AS messages,
                toUInt32(minIf(create_time, kind IN ({counted}))) AS begun
            FROM raw FINAL WHERE appid = ? AND create_time <= ?
            GROUP BY user
        ) WHERE messages > 0"
    );
    move |client| client.query(&sql).bind(first).bind(&appid).bind(last)
}

/// The newest counted message in these seconds; 0 rows if there is none.
pub fn last_message(appid: String, within: StoredBounds) -> impl Fn(&Client) -> Query {
    let sql = format!(
        "SELECT toUInt32(maxIf(create_time, kind IN ({counted}))) AS last_s
        FROM raw FINAL WHERE appid = ? AND create_time >= ? AND create_time <= ?
        HAVING countIf(kind IN ({counted})) > 0",
        counted = counted_kinds()
    );
    move |client| client.query(&sql).bind(&appid).bind(within.0).bind(within.1)
}

/// An id in a statement.
#[derive(Clone, Copy)]
struct IdLiteral(MessageId);

impl Serialize for IdLiteral {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

/// Which of these rows, at most [`KEYS_MAX`], are stored.
pub fn known(rows: &[&MessageRow]) -> impl Fn(&Client) -> Query + use<> {
    let key =
        |row: &&MessageRow| (row.appid.to_string(), row.user.to_string(), row.create_time, IdLiteral(row.id));
    let keys: Vec<_> = rows.iter().map(key).collect();
    move |client| {
        let sql = "SELECT appid, user, create_time, id FROM raw WHERE (appid, user, create_time, id) IN ?";
        client.query(sql).bind(&keys).with_setting("max_query_size", "16000000")
    }
}

/// The quarantined messages with the newest times.
pub fn quarantined(appid: String, limit: usize) -> impl Fn(&Client) -> Query {
    let sql = "SELECT create_time, user, msg_type, reason, msg_id, event, event_digest, first
        FROM aside FINAL WHERE appid = ? ORDER BY create_time DESC, first DESC LIMIT ?";
    move |client| client.query(sql).bind(&appid).bind(limit)
}

impl FiguresFound {
    /// The number of the stretch of time, and its figures.
    pub fn read(self, buckets: &Buckets) -> Result<(usize, Counters), ClickHouseError> {
        let wrong = || ClickHouseError::Unanswered("figures of another form than asked for".to_owned());
        let index = buckets.index_of(self.bucket).ok_or_else(wrong)?;
        let (Ok(messages), Ok(users), Ok(by_count)) =
            (self.messages.try_into(), self.users.try_into(), self.by_count.try_into())
        else {
            return Err(wrong());
        };
        Ok((index, Counters::of_sums(messages, users, self.users_of_videos, self.users_counted, by_count)))
    }
}

impl KeyFound {
    /// The identity of a row.
    pub fn of(row: &MessageRow) -> KeyFound {
        KeyFound {
            appid: row.appid.to_string(),
            user: row.user.to_string(),
            create_time: row.create_time,
            id: row.id,
        }
    }
}

impl AsideFound {
    /// The row as it was stored.
    pub fn read(self, appid: &std::sync::Arc<str>) -> QuarantinedRow {
        QuarantinedRow {
            appid: appid.clone(),
            user: self.user.into(),
            create_time: self.create_time,
            msg_type: self.msg_type.into(),
            reason: self.reason.into(),
            msg_id: self.msg_id,
            event: self.event.map(Into::into),
            event_digest: self.event_digest.map(Into::into),
            received_us: u64::MAX - self.first,
        }
    }
}
