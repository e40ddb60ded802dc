//! Tries that are counted for all processes, such as wrong keys. `quotas` counts them.

use super::{error::StateError, pool::Pools};

const COUNTED: &str = "SELECT times FROM attempt WHERE name = $1 AND until > clock_timestamp()";
const TAKE_BACK: &str = "UPDATE attempt SET times = times - 1 WHERE name = $1 AND times > 0";

/// How many tries were counted in the window that is open now.
pub async fn counted(pools: &Pools, name: &str) -> Result<u32, StateError> {
    let rows = pools.ask(COUNTED, &[&name]).await?;
    let times: i32 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u32::try_from(times).unwrap_or(0))
}

/// Takes one try back.
pub async fn take_back(pools: &Pools, name: &str) -> Result<(), StateError> {
    pools.ask(TAKE_BACK, &[&name]).await.map(drop)
}
