//! Makes the tables, and refuses those of another version.

use super::{error::StateError, pool::Pools};

/// Version of the tables. A program refuses every other one.
const VERSION: i32 = 1;
const TABLES: &str = include_str!("schema.sql");

/// What making the tables came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitOutcome {
    /// They were made.
    Created,
    /// They were there already.
    Existed,
}

/// Makes the tables, if there are none.
pub async fn init(pools: &Pools, shards: u32) -> Result<InitOutcome, StateError> {
    let wanted = i32::try_from(shards).ok().filter(|shards| *shards > 0);
    let wanted =
        wanted.ok_or_else(|| StateError::Mismatch("the number of shards must be at least 1".to_owned()))?;
    let outcome = match make(pools, wanted).await {
        Ok(outcome) => outcome,
        // Another process made them at the same moment.
        Err(StateError::Refused(_)) if stored_shards(pools).await.is_ok() => InitOutcome::Existed,
        Err(error) => return Err(error),
    };
    let stored = stored_shards(pools).await?;
    if stored != shards {
        return Err(StateError::Mismatch(format!(
            "the database in PostgreSQL was made for {stored} shards of ClickHouse, and not for {shards}; \
             messages must be copied to a new store to change that"
        )));
    }
    Ok(outcome)
}

async fn make(pools: &Pools, shards: i32) -> Result<InitOutcome, StateError> {
    match stored_shards(pools).await {
        Ok(_) => return Ok(InitOutcome::Existed),
        Err(StateError::NotInitialized) => {}
        Err(error) => return Err(error),
    }
    let lent = pools.for_work().await?;
    lent.run("BEGIN").await?;
    lent.run(TABLES).await?;
    lent.ask("INSERT INTO installation (version, shards) VALUES ($1, $2)", &[&VERSION, &shards]).await?;
    lent.run("COMMIT").await?;
    Ok(InitOutcome::Created)
}

/// The number of shards that the tables were made for.
pub async fn stored_shards(pools: &Pools) -> Result<u32, StateError> {
    let rows = pools.ask("SELECT version, shards FROM msgcube.installation", &[]).await?;
    let row = rows.first().ok_or(StateError::NotInitialized)?;
    let version: i32 = row.try_get(0)?;
    if version != VERSION {
        return Err(StateError::Mismatch(format!(
            "the tables in PostgreSQL are of version {version}, and this program needs version {VERSION}; \
             use the program that made them"
        )));
    }
    Ok(u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0))
}
