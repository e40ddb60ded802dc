//! Which server is which: versions, shards and replicas.

use std::time::Duration;

use clickhouse::{Client, Compression, Row, error::Error};
use serde::Deserialize;

use super::{error::ClickHouseError, failure::within, options::NamedServer};

/// Most time of a question about a server.
const TIME_MAX: Duration = Duration::from_secs(5);
/// The oldest version that msgcube works with.
const OLDEST: (u32, u32) = (24, 8);

/// A server's place in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard whose data it has, from 0 on.
    pub shard: usize,
    /// The number of replicas of each shard.
    pub replicas: Vec<usize>,
}

/// What a server says of itself, before it is known to be new enough.
///
/// # Errors
/// If it does not answer, or is too old.
pub async fn version(server: &NamedServer) -> Result<String, ClickHouseError> {
    // Old servers know neither compression of answers nor types of columns in them.
    let client = server.client.clone().with_compression(Compression::None);
    let answer = async {
        let mut bytes = client.query("SELECT version()").fetch_bytes("TabSeparated")?;
        bytes.collect().await
    };
    let answer = within(&server.url, TIME_MAX, answer)
        .await
        .map_err(|failure| ClickHouseError::Server { url: server.url.clone(), what: failure.what })?;
    let version = String::from_utf8_lossy(&answer).trim().to_owned();
    match number(&version) {
        Some(found) if found >= OLDEST => Ok(version),
        _ => Err(ClickHouseError::TooOld { url: server.url.clone(), version }),
    }
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[derive(Clone, Row, Deserialize)]
struct Listed {
    shard_num: u32,
    is_local: u8,
}

#[derive(Row, Deserialize)]
struct Macro {
    #[serde(rename = "macro")]
    name: String,
    substitution: String,
}

/// Finds the place of a server. Without a cluster there is one shard.
///
/// # Errors
/// If the server does not say it clearly.
pub async fn position(server: &NamedServer, cluster: Option<&str>) -> Result<Position, ClickHouseError> {
    let Some(cluster) = cluster else {
        return Ok(Position { shard: 0, replicas: vec![1] });
    };
    let (listed, macros) = within(&server.url, TIME_MAX, ask(&server.client, cluster))
        .await
        .map_err(|failure| ClickHouseError::Server { url: server.url.clone(), what: failure.what })?;
    place(cluster, &listed, &macros)
        .map_err(|what| ClickHouseError::Layout(format!("{}: {what}", server.url)))
}

async fn ask(client: &Client, cluster: &str) -> Result<(Vec<Listed>, Vec<Macro>), Error> {
    let listed = client
        .query("SELECT shard_num, is_local FROM system.clusters WHERE cluster = ? ORDER BY shard_num")
        .bind(cluster);
    let macros = client.query("SELECT macro, substitution FROM system.macros");
    Ok((listed.fetch_all().await?, macros.fetch_all().await?))
}

fn place(cluster: &str, listed: &[Listed], macros: &[Macro]) -> Result<Position, String> {
    let of_name =
        |name: &str| macros.iter().find(|found| found.name == name).map(|found| &found.substitution);
    let shards = listed.iter().map(|listed| listed.shard_num).max().unwrap_or(0);
    if shards == 0 {
        return Err(format!("there is no cluster {cluster} in remote_servers of its configuration"));
    }
    let (Some(shard), Some(_)) = (of_name("shard"), of_name("replica")) else {
        return Err("its configuration needs <macros> with <shard> and <replica>".to_owned());
    };
    let local: Vec<u32> =
        listed.iter().filter(|listed| listed.is_local == 1).map(|listed| listed.shard_num).collect();
    // A server may not recognise its own name, for instance if it started before the name was known.
    let number = match local.as_slice() {
        [number] => *number,
        _ => shard.parse().ok().filter(|number| (1..=shards).contains(number)).ok_or_else(|| {
            format!("it is not clear which shard of the cluster {cluster} it belongs to; give its macro shard the number of the shard, 1 to {shards}")
        })?,
    };
    let replicas = (1..=shards).map(|shard| listed.iter().filter(|listed| listed.shard_num == shard).count());
    Ok(Position { shard: number as usize - 1, replicas: replicas.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(rows: &[(u32, u32, u8)]) -> Vec<Listed> {
        let listed =
            |(shard_num, _, is_local): &(u32, u32, u8)| Listed { shard_num: *shard_num, is_local: *is_local };
        rows.iter().map(listed).collect()
    }

    fn macros(shard: &str) -> Vec<Macro> {
        [("shard", shard), ("replica", "r")]
            .map(|(name, value)| Macro { name: name.to_owned(), substitution: value.to_owned() })
            .into()
    }

    #[test]
    fn versions_are_compared_by_number() {
        let is_new = |version: &str| number(version).is_some_and(|found| found >= OLDEST);
        assert!(is_new("24.8.1.1") && is_new("24.10.3") && is_new("26.9.2.1") && is_new("100.1"));
        assert!(!is_new("18.16.1") && !is_new("24.7.9") && !is_new("24") && !is_new("<html>"));
    }

    #[test]
    fn a_server_is_found_by_itself_or_else_by_its_macro() {
        let four = [(1, 1, 0), (1, 2, 0), (2, 1, 1), (2, 2, 0)];
        let second = Position { shard: 1, replicas: vec![2, 2] };
        assert_eq!(place("c", &listed(&four), &macros("s2")), Ok(second.clone()));
        let unknown = four.map(|(shard, replica, _)| (shard, replica, 0));
        assert_eq!(place("c", &listed(&unknown), &macros("02")), Ok(second));
        let error =
            |rows: &[(u32, u32, u8)], macros: &[Macro]| place("c", &listed(rows), macros).unwrap_err();
        assert!(error(&unknown, &macros("s2")).contains("1 to 2"));
        assert!(error(&unknown, &macros("3")).contains("1 to 2"));
        assert!(error(&[(1, 1, 1), (2, 1, 1)], &macros("a")).contains("not clear"));
        assert!(error(&[], &macros("1")).contains("no cluster c"));
        assert!(error(&four, &macros("1")[..1]).contains("<macros>"));
    }
}
