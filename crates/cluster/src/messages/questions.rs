//! The questions about one account, as SQL, and their answers. `FINAL` counts each identity once. Filters name columns of
//! the key only: a filter on another column must see merged rows, so those are conditions of the aggregates.

use std::sync::Arc;

use clickhouse::{Client, query::Query};
use counting::{Counters, Kind};
use serde::{Serialize, Serializer};

use super::{
    buckets::Buckets,
    error::ClickHouseError,
    row::{MessageId, MessageRow, QuarantinedRow},
};

/// Most rows that are looked up with one statement.
pub const KEYS_MAX: usize = 1000;

/// Figures of one shard and stretch of time: its number or first second (see [`Buckets`]), users and messages by kind,
/// users of videos, users of any counted type, users by number of counted messages.
pub type FiguresFound = (i64, Vec<u64>, Vec<u64>, u64, u64, Vec<u64>);

/// Events of one shard: stretch of time, name, number.
pub type EventsFound = (i64, String, u64);

/// First users of one shard: those of the stretch, all up to its end, and the first counted message.
pub type FirstFound = (u64, u64, u32);

/// A stored identity: account, user, time, id.
pub type KeyFound = (String, String, u32, MessageId);

/// A quarantined message: time, user, type, reason, MsgId, event, its digest, and `first`.
pub type AsideFound = (i64, String, String, String, Option<u64>, Option<String>, Option<String>, u64);

/// Seconds as the table has them, both included.
pub type StoredBounds = (u32, u32);

/// A part of an answer, and the length of the whole one.
pub type AnswerPart<T> = (Vec<T>, u64);

/// The answer to a question in parts of 1,000 items, each with the length of the whole answer. An empty answer has one
/// part, too. Otherwise a server whose disk is full may cut an answer short and call it a success. (One part alone would
/// be slow: the client begins to read a row again with each piece that arrives.)
pub fn whole(item: &str, sql: &str) -> String {
    format!(
        "SELECT arrayJoin(arrayMap(start -> arraySlice(answer, start, 1000),
            range(1, greatest(length(answer), 1) + 1, 1000))) AS part, length(answer) AS total
        FROM (SELECT groupArray({item}) AS answer FROM ({sql}))"
    )
}

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
    let sql = whole("tuple(bucket, users, messages, users_of_videos, users_counted, by_count)", &sql);
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
    let sql = whole("tuple(bucket, event, events)", &sql);
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
    let sql = whole("tuple(users, all_users, first_s)", &sql);
    move |client| client.query(&sql).bind(first).bind(&appid).bind(last)
}

/// The newest counted message in these seconds, if there is one.
pub fn last_message(appid: String, within: StoredBounds) -> impl Fn(&Client) -> Query {
    let sql = format!(
        "SELECT toUInt32(maxIf(create_time, kind IN ({counted}))) AS last_s
        FROM raw FINAL WHERE appid = ? AND create_time >= ? AND create_time <= ?
        HAVING countIf(kind IN ({counted})) > 0",
        counted = counted_kinds()
    );
    let sql = whole("last_s", &sql);
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
    let sql = whole(
        "tuple(appid, user, toUInt32(create_time), id)",
        "SELECT appid, user, create_time, id FROM raw WHERE (appid, user, create_time, id) IN ?",
    );
    move |client| client.query(&sql).bind(&keys).with_setting("max_query_size", "16000000")
}

/// The quarantined messages with the newest times.
pub fn quarantined(appid: String, limit: usize) -> impl Fn(&Client) -> Query {
    const COLUMNS: &str = "create_time, user, msg_type, reason, msg_id, event, event_digest, first";
    let sql = format!(
        "SELECT {COLUMNS} FROM aside FINAL WHERE appid = ? ORDER BY create_time DESC, first DESC LIMIT ?"
    );
    let sql = whole(&format!("tuple({COLUMNS})"), &sql);
    move |client| client.query(&sql).bind(&appid).bind(limit)
}

/// The number of the stretch of time, and its figures.
pub fn read_figures(found: FiguresFound, buckets: &Buckets) -> Result<(usize, Counters), ClickHouseError> {
    let wrong = || ClickHouseError::Unanswered("figures of another form than asked for".to_owned());
    let (bucket, users, messages, users_of_videos, users_counted, by_count) = found;
    let index = buckets.index_of(bucket).ok_or_else(wrong)?;
    let (Ok(messages), Ok(users), Ok(by_count)) =
        (messages.try_into(), users.try_into(), by_count.try_into())
    else {
        return Err(wrong());
    };
    Ok((index, Counters::of_sums(messages, users, users_of_videos, users_counted, by_count)))
}

/// The identity of a row.
pub fn key_of(row: &MessageRow) -> KeyFound {
    (row.appid.to_string(), row.user.to_string(), row.create_time, row.id)
}

/// The row as it was stored.
pub fn read_quarantined(found: AsideFound, appid: &Arc<str>) -> QuarantinedRow {
    let (create_time, user, msg_type, reason, msg_id, event, event_digest, first) = found;
    QuarantinedRow {
        appid: appid.clone(),
        user: user.into(),
        create_time,
        msg_type: msg_type.into(),
        reason: reason.into(),
        msg_id,
        event: event.map(Into::into),
        event_digest: event_digest.map(Into::into),
        received_us: u64::MAX - first,
    }
}
