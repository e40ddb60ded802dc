//! Finds out which server is which, and keeps looking for those that did not answer.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use clickhouse::Row;
use serde::Deserialize;
use tokio::{task::JoinSet, time::sleep};

use super::{
    error::ClickHouseError,
    failure::within,
    layout::{self, Position},
    options::{ClickHouseOptions, NamedServer},
    replica::Replica,
    schema::{self, MessageTable},
    settings::KnownSettings,
    shard::Shard,
};

/// Most time of a question about a server.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A server that did not answer is asked again after this time.
const PAUSE: Duration = Duration::from_secs(5);

/// What is known of a server that can be used.
#[derive(Debug)]
struct UsableServer {
    replica: Arc<Replica>,
    position: Position,
    /// Path in ZooKeeper and number of replicas there. Empty and 1 without a cluster.
    path: String,
    registered: usize,
}

#[derive(Row, Deserialize)]
struct Registered {
    zookeeper_path: String,
    total_replicas: u32,
}

/// The shards of all servers, in order. Servers that do not answer now are added as soon as they do.
///
/// # Errors
/// If the servers do not fit together, or a shard has no server that can be used.
pub async fn shards(options: &ClickHouseOptions) -> Result<Vec<Arc<Shard>>, ClickHouseError> {
    let mut examined = Vec::new();
    let mut missing = Vec::new();
    for (server, outcome) in examine_all(options, options.servers()?).await {
        match outcome {
            Ok(found) => examined.push(found),
            Err(error @ (ClickHouseError::Server { .. } | ClickHouseError::Schema { .. })) => {
                missing.push((server, error));
            }
            Err(error) => return Err(error),
        }
    }
    let shards = match arrange(&examined) {
        Ok(shards) => shards,
        // The reason why a server cannot be used says more than that its shard has none.
        Err(error) => return Err(missing.into_iter().next().map_or(error, |(_, reason)| reason)),
    };
    for (_, error) in &missing {
        tracing::warn!("a server of ClickHouse is not used until this is repaired: {error}");
    }
    let missing: Vec<NamedServer> = missing.into_iter().map(|(server, _)| server).collect();
    if !missing.is_empty() {
        let weak = shards.iter().map(Arc::downgrade).collect();
        tokio::spawn(find(options.clone(), missing, weak));
    }
    Ok(shards)
}

/// Examines servers until each can be used, or nobody needs them any more.
async fn find(options: ClickHouseOptions, mut missing: Vec<NamedServer>, shards: Vec<Weak<Shard>>) {
    while !missing.is_empty() {
        sleep(PAUSE).await;
        let mut still = Vec::new();
        for (server, outcome) in examine_all(&options, missing).await {
            let Ok(found) = outcome else {
                still.push(server);
                continue;
            };
            let Some(shard) = shards.get(found.position.shard) else { continue };
            let Some(shard) = shard.upgrade() else { return };
            if shard.path == found.path && found.position.replicas.len() == shards.len() {
                tracing::info!("ClickHouse at {} is used now", server.url);
                shard.add(found.replica);
            } else {
                tracing::warn!("ClickHouse at {} belongs to another cluster; it is not used", server.url);
            }
        }
        missing = still;
    }
}

type Outcomes = Vec<(NamedServer, Result<UsableServer, ClickHouseError>)>;

async fn examine_all(options: &ClickHouseOptions, servers: Vec<NamedServer>) -> Outcomes {
    let mut tasks = JoinSet::new();
    for (index, server) in servers.into_iter().enumerate() {
        let options = options.clone();
        tasks.spawn(async move {
            let outcome = examine(&options, &server).await;
            (index, server, outcome)
        });
    }
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by_key(|(index, _, _)| *index);
    outcomes.into_iter().map(|(_, server, outcome)| (server, outcome)).collect()
}

async fn examine(options: &ClickHouseOptions, server: &NamedServer) -> Result<UsableServer, ClickHouseError> {
    layout::version(server).await?;
    let cluster = options.cluster.as_deref();
    let position = layout::position(server, cluster).await?;
    let (url, database) = (server.url.clone(), options.database.as_str());
    let (is_replicated, shards) = (cluster.is_some(), position.replicas.len());
    schema::verify(&url, &server.client, database, is_replicated, shards).await?;
    let client = server.client.clone().with_database(database);
    let ask = async {
        let registered = client
            .query(
                "SELECT zookeeper_path, total_replicas FROM system.replicas WHERE database = ? AND table = ?",
            )
            .bind(database)
            .bind(MessageTable::Raw.name());
        let registered: Option<Registered> = registered.fetch_optional().await?;
        Ok((registered, KnownSettings::ask(&client).await?))
    };
    let (registered, settings) = within(&url, TIME_MAX, ask)
        .await
        .map_err(|failure| ClickHouseError::Server { url: url.clone(), what: failure.what })?;
    let (path, registered) =
        registered.map_or((String::new(), 1), |found| (found.zookeeper_path, found.total_replicas as usize));
    let replica = Arc::new(Replica::new(url, &client, &settings, is_replicated));
    Ok(UsableServer { replica, position, path, registered })
}

/// Puts the servers into their shards.
fn arrange(examined: &[UsableServer]) -> Result<Vec<Arc<Shard>>, ClickHouseError> {
    let wrong = |what: String| Err(ClickHouseError::Layout(what));
    let Some(first) = examined.first() else { return wrong("none can be used".to_owned()) };
    let expected = &first.position.replicas;
    if let Some(other) = examined.iter().find(|other| other.position.replicas != *expected) {
        let (one, other) = (&first.replica.url, &other.replica.url);
        return wrong(format!("{one} and {other} list different shards and replicas in remote_servers"));
    }
    let mut shards: Vec<Arc<Shard>> = Vec::new();
    for (index, replicas) in expected.iter().enumerate() {
        let of_shard = examined.iter().filter(|other| other.position.shard == index);
        let servers: Vec<&UsableServer> = of_shard.collect();
        let Some(one) = servers.first() else {
            return wrong(format!("urls names no server of shard {} that can be used", index + 1));
        };
        if let Some(other) = servers.iter().find(|other| other.path != one.path) {
            let (one, other) = (&one.replica.url, &other.replica.url);
            return wrong(format!(
                "{one} and {other} should be replicas of each other and are not; check their macro shard"
            ));
        }
        if let Some(other) = shards.iter().find(|other| other.path == one.path) {
            return wrong(format!(
                "two shards have the same path {}; check the macro shard of each server",
                other.path
            ));
        }
        let registered = servers.iter().map(|server| server.registered).max().unwrap_or(1);
        let reached = servers.iter().map(|server| server.replica.clone()).collect();
        let shard = Shard::new(index, one.path.clone(), registered.max(*replicas), reached);
        shards.push(Arc::new(shard));
    }
    Ok(shards)
}

/// Makes database and tables on every server.
///
/// # Errors
/// If a server of the cluster is not named, does not answer, or refuses.
pub async fn init(options: &ClickHouseOptions) -> Result<(), ClickHouseError> {
    let servers = options.servers()?;
    let cluster = options.cluster.as_deref();
    let mut positions: Vec<Position> = Vec::new();
    for server in &servers {
        layout::version(server).await?;
        positions.push(layout::position(server, cluster).await?);
    }
    let Some(Position { replicas, .. }) = positions.first() else { return Ok(()) };
    for (index, expected) in replicas.iter().enumerate() {
        let named = positions.iter().filter(|position| position.shard == index).count();
        if named != *expected {
            return Err(ClickHouseError::Layout(format!(
                "shard {} has {expected} replicas in the cluster, and urls names {named} of them; to make the tables, name each one once",
                index + 1
            )));
        }
    }
    for server in &servers {
        schema::create(&server.url, &server.client, &options.database, cluster, replicas.len()).await?;
    }
    let is_replicated = cluster.is_some();
    for server in &servers {
        schema::verify(&server.url, &server.client, &options.database, is_replicated, replicas.len()).await?;
    }
    Ok(())
}
