//! Examines the servers, for operators.

use std::time::Duration;

use clickhouse::{Client, Row, error::Error};
use serde::Deserialize;

use crate::FindingLevel;

use super::{
    connect,
    error::ClickHouseError,
    failure::within,
    layout,
    options::{ClickHouseOptions, NamedServer},
    schema,
};

/// Most time to examine one server.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Parts of one month from which on ClickHouse does not keep up with merging. It delays inserts from 1,000 parts on.
const PARTS_MAX: u64 = 300;
/// Seconds that a replica may be behind.
const DELAY_MAX_S: u64 = 10;
/// Free space of a disk: less than a tenth of it, or less than this many bytes, is little.
const FREE_BYTES_MIN: u64 = 5 << 30;

/// What an examination of a server found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseFinding {
    /// The server. Empty if it is about all of them.
    pub url: String,
    /// How serious it is.
    pub level: FindingLevel,
    /// What was found.
    pub what: String,
}

#[derive(Row, Deserialize)]
struct ReplicaState {
    table: String,
    is_readonly: u8,
    absolute_delay: u64,
    total_replicas: u32,
    active_replicas: u32,
}

#[derive(Row, Deserialize)]
struct DiskRoom {
    name: String,
    free_space: u64,
    total_space: u64,
}

#[derive(Row, Deserialize)]
struct PartsState {
    table: String,
    partition: String,
    parts: u64,
}

/// What was read from a server.
struct Examination {
    replicas: Vec<ReplicaState>,
    disks: Vec<DiskRoom>,
    parts: Vec<PartsState>,
}

/// Examines all servers. What fails is a finding.
pub async fn check(options: &ClickHouseOptions) -> Vec<ClickHouseFinding> {
    let servers = match options.servers() {
        Ok(servers) => servers,
        Err(error) => return vec![finding("", FindingLevel::Bad, error.to_string())],
    };
    let mut findings = Vec::new();
    for server in &servers {
        match check_server(options, server).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(finding(&server.url, FindingLevel::Bad, error.to_string())),
        }
    }
    // Each server may be well, and still they may not fit together.
    if findings.iter().all(|found| found.level < FindingLevel::Bad)
        && let Err(error) = connect::shards(options).await
    {
        findings.push(finding("", FindingLevel::Bad, error.to_string()));
    }
    findings
}

fn finding(url: &str, level: FindingLevel, what: String) -> ClickHouseFinding {
    ClickHouseFinding { url: url.to_owned(), level, what }
}

async fn check_server(
    options: &ClickHouseOptions,
    server: &NamedServer,
) -> Result<Vec<ClickHouseFinding>, ClickHouseError> {
    let version = layout::version(server).await?;
    let position = layout::position(server, options.cluster.as_deref()).await?;
    let (is_replicated, shards) = (options.cluster.is_some(), position.replicas.len());
    schema::verify(&server.url, &server.client, &options.database, is_replicated, shards).await?;
    let good = if is_replicated {
        format!(
            "ClickHouse {version}, shard {} of {shards}, tables are as they should be",
            position.shard + 1
        )
    } else {
        format!("ClickHouse {version}, tables are as they should be")
    };
    let read = within(&server.url, TIME_MAX, read(&server.client, &options.database));
    let examination = read
        .await
        .map_err(|failure| ClickHouseError::Server { url: server.url.clone(), what: failure.what })?;
    let mut findings = vec![finding(&server.url, FindingLevel::Good, good)];
    let flaws = flaws(&examination).into_iter();
    findings.extend(flaws.map(|(level, what)| finding(&server.url, level, what)));
    Ok(findings)
}

async fn read(client: &Client, database: &str) -> Result<Examination, Error> {
    let replicas = client.query(
        "SELECT table, is_readonly, absolute_delay, total_replicas, toUInt32(active_replicas) AS active_replicas
        FROM system.replicas WHERE database = ? ORDER BY table",
    );
    let disks = client
        .query("SELECT name, free_space, total_space FROM system.disks WHERE total_space > 0 ORDER BY name");
    let parts = client.query(
        "SELECT table, partition, count() AS parts FROM system.parts WHERE database = ? AND active
        GROUP BY table, partition ORDER BY table, partition",
    );
    Ok(Examination {
        replicas: replicas.bind(database).fetch_all().await?,
        disks: disks.fetch_all().await?,
        parts: parts.bind(database).fetch_all().await?,
    })
}

fn flaws(examination: &Examination) -> Vec<(FindingLevel, String)> {
    let mut flaws = Vec::new();
    for replica in &examination.replicas {
        let table = &replica.table;
        if replica.is_readonly == 1 {
            flaws.push((
                FindingLevel::Bad,
                format!("{table} is read-only: the server does not reach ZooKeeper or Keeper, or has lost its place there; see the server's log and SYSTEM RESTORE REPLICA"),
            ));
        }
        if replica.absolute_delay > DELAY_MAX_S {
            let delay = replica.absolute_delay;
            flaws.push((
                FindingLevel::Warning,
                format!("{table} is {delay} s behind the other replicas; see system.replication_queue"),
            ));
        }
        if replica.active_replicas < replica.total_replicas {
            let (active, total) = (replica.active_replicas, replica.total_replicas);
            flaws.push((FindingLevel::Warning, format!("{table}: {active} of {total} replicas are active; one that will not return must be removed with SYSTEM DROP REPLICA")));
        }
    }
    for disk in &examination.disks {
        if disk.free_space < FREE_BYTES_MIN || disk.free_space < disk.total_space / 10 {
            let (name, free, total) = (&disk.name, disk.free_space >> 20, disk.total_space >> 20);
            flaws.push((FindingLevel::Warning, format!("disk {name}: {free} MiB of {total} MiB are free; make room, or add a disk: when it is full, the server counts as away")));
        }
    }
    for of_month in examination.parts.iter().filter(|of_month| of_month.parts > PARTS_MAX) {
        let PartsState { table, partition, parts } = of_month;
        flaws.push((FindingLevel::Warning, format!("{table} has {parts} parts in {partition}: the server does not keep up with merging; see system.merges")));
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examination() -> Examination {
        Examination {
            replicas: vec![ReplicaState {
                table: "raw".to_owned(),
                is_readonly: 0,
                absolute_delay: 1,
                total_replicas: 2,
                active_replicas: 2,
            }],
            disks: vec![DiskRoom {
                name: "default".to_owned(),
                free_space: 50 << 30,
                total_space: 100 << 30,
            }],
            parts: vec![PartsState { table: "raw".to_owned(), partition: "202611".to_owned(), parts: 20 }],
        }
    }

    #[test]
    fn a_healthy_server_has_no_flaw_and_each_flaw_is_named() {
        assert_eq!(flaws(&examination()), []);
        let with = |change: fn(&mut Examination)| {
            let mut changed = examination();
            change(&mut changed);
            let mut flaws = flaws(&changed);
            assert_eq!(flaws.len(), 1);
            flaws.remove(0)
        };
        let (level, what) = with(|changed| changed.replicas[0].is_readonly = 1);
        assert!(level == FindingLevel::Bad && what.contains("read-only"), "{what}");
        assert!(with(|changed| changed.replicas[0].absolute_delay = 60).1.contains("60 s behind"));
        assert!(with(|changed| changed.replicas[0].active_replicas = 1).1.contains("1 of 2"));
        assert!(with(|changed| changed.disks[0].free_space = 9 << 30).1.contains("9216 MiB"));
        assert!(with(|changed| changed.parts[0].parts = 301).1.contains("301 parts"));
    }
}
