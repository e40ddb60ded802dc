//! The tables: what they are, how they are made, and whether those of a server are ours.

use std::time::Duration;

use clickhouse::{Client, Row, error::Error, sql::Identifier};
use serde::Deserialize;

use super::{error::ClickHouseError, failure::within};

/// Most time of a statement that makes or describes tables.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The number of the schema in the comment of each table. A change of the tables needs another number.
const SCHEMA: u32 = 1;
/// With a cluster. After a crash a replica of a small table would stay read-only without the first one. With the last one, a
/// replica has a fetched part on its disk before it counts for the quorum.
const REPLICATED_SETTINGS: &str = "replicated_max_ratio_of_wrong_parts = 1, replicated_deduplication_window = 0, \
    min_compressed_bytes_to_fsync_after_fetch = 1";
/// Rows find their repeats themselves. The server must not skip a batch because it looks like an earlier one.
const SINGLE_SETTINGS: &str = "non_replicated_deduplication_window = 0";
/// A confirmed row is on the disk, not only in memory.
const SETTINGS: &str = "fsync_after_insert = 1, fsync_part_directory = 1";
/// Settings that not every version has, and their values. They only make msgcube faster.
const NEWER_SETTINGS: &[(&str, u32)] = &[
    // Each insert makes small parts. By default (5), a server merges each five of them with up to 5 MB of older rows, so the
    // same rows are written again and again.
    ("merge_selector_base", 10),
    // In seconds: how often the records of merged parts are removed from ZooKeeper. By default this is every half minute. Then
    // they are so many that inserts wait for up to 0.5 s.
    ("cleanup_delay_period", 1),
    ("cleanup_delay_period_random_add", 1),
    ("max_cleanup_delay_period", 2),
];

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTable {
    /// Messages.
    Raw,
    /// Quarantined messages.
    Aside,
}

impl MessageTable {
    const ALL: [MessageTable; 2] = [MessageTable::Raw, MessageTable::Aside];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            MessageTable::Raw => "raw",
            MessageTable::Aside => "aside",
        }
    }

    /// Waits until a replica has all parts that any replica has.
    pub const fn catch_up_sql(self) -> &'static str {
        match self {
            MessageTable::Raw => "SYSTEM SYNC REPLICA raw LIGHTWEIGHT",
            MessageTable::Aside => "SYSTEM SYNC REPLICA aside LIGHTWEIGHT",
        }
    }

    const fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            MessageTable::Raw => &[
                ("appid", "LowCardinality(String)"),
                ("user", "String"),
                ("create_time", "DateTime('Asia/Shanghai')"),
                ("id", "FixedString(17)"),
                ("kind", "UInt8"),
                ("event", "LowCardinality(String)"),
                ("first", "UInt64"),
            ],
            MessageTable::Aside => &[
                ("appid", "LowCardinality(String)"),
                ("create_time", "Int64"),
                ("user", "String"),
                ("id", "FixedString(16)"),
                ("msg_type", "String"),
                ("reason", "LowCardinality(String)"),
                ("msg_id", "Nullable(UInt64)"),
                ("event", "Nullable(String)"),
                ("event_digest", "Nullable(String)"),
                ("first", "UInt64"),
            ],
        }
    }

    const fn sorting_key(self) -> &'static str {
        match self {
            MessageTable::Raw => "appid, user, create_time, id",
            MessageTable::Aside => "appid, create_time, user, id",
        }
    }

    /// A row's identity contains its time, so no two partitions have rows of one identity.
    const fn partition_key(self) -> &'static str {
        match self {
            MessageTable::Raw => "toYYYYMM(create_time, 'Asia/Shanghai')",
            MessageTable::Aside => "",
        }
    }

    fn create_sql(self, is_replicated: bool, known: &[String]) -> String {
        let columns: Vec<String> =
            self.columns().iter().map(|(name, of_type)| format!("{name} {of_type}")).collect();
        // Of rows with one identity the one with the greatest `first` stays: the one that was received first.
        let (engine, settings) = if is_replicated {
            ("ReplicatedReplacingMergeTree(?, '{replica}', first)", REPLICATED_SETTINGS)
        } else {
            ("ReplacingMergeTree(first)", SINGLE_SETTINGS)
        };
        let mut all_settings = vec![settings.to_owned(), SETTINGS.to_owned()];
        let newer = NEWER_SETTINGS.iter().filter(|(name, _)| known.iter().any(|known| known == name));
        all_settings.extend(newer.map(|(name, value)| format!("{name} = {value}")));
        let partition = match self.partition_key() {
            "" => String::new(),
            key => format!(" PARTITION BY {key}"),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {engine}{partition} ORDER BY ({}) SETTINGS {} COMMENT ?",
            self.name(),
            columns.join(", "),
            self.sorting_key(),
            all_settings.join(", ")
        )
    }
}

/// Makes database and tables on one server, unless they exist.
///
/// # Errors
/// If the server refuses.
pub async fn create(
    url: &str,
    client: &Client,
    database: &str,
    cluster: Option<&str>,
    shards: usize,
) -> Result<(), ClickHouseError> {
    let run = async |query: clickhouse::query::Query| {
        let refused = |failure| ClickHouseError::Schema { url: url.to_owned(), what: format!("{failure}") };
        within(url, TIME_MAX, query.execute()).await.map_err(refused)
    };
    run(client.query("CREATE DATABASE IF NOT EXISTS ?").bind(Identifier(database))).await?;
    let newer: Vec<&str> = NEWER_SETTINGS.iter().map(|(name, _)| *name).collect();
    let known = client.query("SELECT name FROM system.merge_tree_settings WHERE name IN ?").bind(newer);
    let known: Vec<String> = within(url, TIME_MAX, known.fetch_all())
        .await
        .map_err(|failure| ClickHouseError::Server { url: url.to_owned(), what: failure.what })?;
    let client = client.clone().with_database(database);
    for table in MessageTable::ALL {
        let mut query = client.query(&table.create_sql(cluster.is_some(), &known));
        if let Some(cluster) = cluster {
            // ClickHouse replaces {shard}.
            query =
                query.bind(format!("/clickhouse/msgcube/{cluster}/{database}/{{shard}}/{}", table.name()));
        }
        run(query.bind(comment(shards))).await?;
    }
    Ok(())
}

fn comment(shards: usize) -> String {
    format!("msgcube schema {SCHEMA}, shards {shards}")
}

#[derive(Row, Deserialize)]
struct FoundTable {
    engine: String,
    sorting_key: String,
    partition_key: String,
    comment: String,
}

#[derive(Row, Deserialize, PartialEq, Eq)]
struct FoundColumn {
    name: String,
    #[serde(rename = "type")]
    of_type: String,
}

/// Checks that the tables of a server are those of this version, made for this number of shards.
///
/// # Errors
/// [`ClickHouseError::Schema`] says what is different.
pub async fn verify(
    url: &str,
    client: &Client,
    database: &str,
    is_replicated: bool,
    shards: usize,
) -> Result<(), ClickHouseError> {
    for table in MessageTable::ALL {
        let found = describe(client, database, table);
        let (tables, columns) = within(url, TIME_MAX, found)
            .await
            .map_err(|failure| ClickHouseError::Server { url: url.to_owned(), what: failure.what })?;
        let what = difference(table, database, is_replicated, shards, tables.first(), &columns);
        if let Some(what) = what {
            return Err(ClickHouseError::Schema { url: url.to_owned(), what });
        }
    }
    Ok(())
}

async fn describe(
    client: &Client,
    database: &str,
    table: MessageTable,
) -> Result<(Vec<FoundTable>, Vec<FoundColumn>), Error> {
    let tables = client
        .query("SELECT engine, sorting_key, partition_key, comment FROM system.tables WHERE database = ? AND name = ?")
        .bind(database)
        .bind(table.name());
    let columns = client
        .query("SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position")
        .bind(database)
        .bind(table.name());
    Ok((tables.fetch_all().await?, columns.fetch_all().await?))
}

fn difference(
    table: MessageTable,
    database: &str,
    is_replicated: bool,
    shards: usize,
    found: Option<&FoundTable>,
    columns: &[FoundColumn],
) -> Option<String> {
    let name = table.name();
    let Some(found) = found else {
        return Some(format!("{database}.{name} is missing; run: msgcube store init"));
    };
    if found.comment != comment(shards) {
        return Some(format!(
            "{database}.{name} says {:?}, and {:?} is needed; use another database, or the msgcube and the cluster that it was made for",
            found.comment,
            comment(shards)
        ));
    }
    let engine = if is_replicated { "ReplicatedReplacingMergeTree" } else { "ReplacingMergeTree" };
    let is_same = columns.iter().map(|column| (column.name.as_str(), column.of_type.as_str()));
    let is_ours = found.engine == engine
        && found.sorting_key == table.sorting_key()
        && found.partition_key == table.partition_key()
        && is_same.eq(table.columns().iter().copied());
    (!is_ours).then(|| {
        format!(
            "{database}.{name} is another table than msgcube's (engine, key or columns); use another database"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: MessageTable) -> (FoundTable, Vec<FoundColumn>) {
        let columns = table
            .columns()
            .iter()
            .map(|(name, of_type)| FoundColumn { name: (*name).to_owned(), of_type: (*of_type).to_owned() });
        let found = FoundTable {
            engine: "ReplicatedReplacingMergeTree".to_owned(),
            sorting_key: table.sorting_key().to_owned(),
            partition_key: table.partition_key().to_owned(),
            comment: "msgcube schema 1, shards 2".to_owned(),
        };
        (found, columns.collect())
    }

    #[test]
    fn other_tables_are_refused_with_what_to_do() {
        for table in MessageTable::ALL {
            let (ours, columns) = found(table);
            let check = |found: &FoundTable, columns: &[FoundColumn]| {
                difference(table, "db", true, 2, Some(found), columns)
            };
            assert_eq!(check(&ours, &columns), None);
            let missing = difference(table, "db", true, 2, None, &[]).unwrap();
            assert!(missing.contains("msgcube store init"), "{missing}");
            assert!(difference(table, "db", true, 3, Some(&ours), &columns).unwrap().contains("shards 3"));
            assert!(difference(table, "db", false, 2, Some(&ours), &columns).is_some());
            assert!(check(&ours, &columns[1..]).is_some());
            let other = FoundTable { sorting_key: "user".to_owned(), ..found(table).0 };
            assert!(check(&other, &columns).is_some());
        }
    }
}
