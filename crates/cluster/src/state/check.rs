//! Is this PostgreSQL safe to decide with?

use system::clock::Clock;

use crate::FindingLevel;

use super::{error::StateError, pool::Pools, schema};

const OLDEST: i32 = 15;
/// A clock further off than this must not write marks.
pub const SKEW_MAX_S: i64 = 2;

/// Something that was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFinding {
    /// How bad it is.
    pub level: FindingLevel,
    /// What it is, and what to do.
    pub text: String,
}

const SETTINGS: &str = "
SELECT current_setting('server_version_num')::integer / 10000, current_setting('fsync') = 'on',
  current_setting('full_page_writes') = 'on', current_setting('synchronous_commit') IN ('on', 'remote_apply'),
  current_setting('server_encoding'), current_setting('synchronous_standby_names') <> '',
  floor(extract(epoch FROM clock_timestamp()))::bigint, pg_database_size(current_database()),
  current_setting('max_connections')::integer, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')";

/// Examines everything that can be seen from here.
pub async fn check(pools: &Pools) -> Result<Vec<StateFinding>, StateError> {
    let mut findings = settings(pools).await?;
    let (level, text) = match pools.confirm().await {
        Ok(_) => (FindingLevel::Good, "a write is confirmed".to_owned()),
        Err(error) => (FindingLevel::Bad, error.to_string()),
    };
    findings.push(StateFinding { level, text });
    let (level, text) = match schema::stored_shards(pools).await {
        Ok(shards) => (FindingLevel::Good, format!("the tables are there, for {shards} shards")),
        Err(error @ (StateError::NotInitialized | StateError::Mismatch(_))) => {
            (FindingLevel::Bad, error.to_string())
        }
        Err(error) => return Err(error),
    };
    findings.push(StateFinding { level, text });
    Ok(findings)
}

/// Refuses a server that would lose what it acknowledged.
pub async fn require_suitable(pools: &Pools) -> Result<(), StateError> {
    let findings = settings(pools).await?;
    match findings.into_iter().find(|finding| finding.level == FindingLevel::Bad) {
        Some(finding) => Err(StateError::Unsuitable(finding.text)),
        None => Ok(()),
    }
}

async fn settings(pools: &Pools) -> Result<Vec<StateFinding>, StateError> {
    let rows = pools.ask(SETTINGS, &[]).await?;
    let row = rows.first().ok_or_else(|| StateError::Refused("no settings".to_owned()))?;
    let own_s = Clock::real().now_s();
    let mut findings = Vec::new();
    let mut rule = |is_good: bool, otherwise: FindingLevel, good: String, bad: String| {
        let (level, text) = if is_good { (FindingLevel::Good, good) } else { (otherwise, bad) };
        findings.push(StateFinding { level, text });
    };
    let version: i32 = row.try_get(0)?;
    rule(
        version >= OLDEST,
        FindingLevel::Bad,
        format!("PostgreSQL {version}"),
        format!("PostgreSQL is of version {version}; at least {OLDEST} is needed"),
    );
    for (column, name) in [(1, "fsync"), (2, "full_page_writes"), (3, "synchronous_commit")] {
        rule(
            row.try_get(column)?,
            FindingLevel::Bad,
            format!("{name} is on"),
            format!(
                "{name} of PostgreSQL is off, so decisions can be lost after they were answered; set {name} = on"
            ),
        );
    }
    let encoding: String = row.try_get(4)?;
    rule(
        encoding == "UTF8",
        FindingLevel::Bad,
        "the database is in UTF8".to_owned(),
        format!(
            "the database in PostgreSQL is in {encoding}; make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        ),
    );
    rule(
        row.try_get(5)?,
        FindingLevel::Warning,
        "a synchronous standby is set".to_owned(),
        "synchronous_standby_names is empty: if this machine is lost, its last decisions are lost".to_owned(),
    );
    let skew_s = row.try_get::<_, i64>(6)? - own_s;
    rule(
        skew_s.abs() <= SKEW_MAX_S,
        FindingLevel::Warning,
        format!("the clocks differ by {} s", skew_s.abs()),
        format!(
            "the clock of PostgreSQL is {skew_s} s ahead of this one (negative: behind); synchronize both with NTP"
        ),
    );
    let (most, used): (i32, i64) = (row.try_get(8)?, row.try_get(9)?);
    rule(
        used * 10 < i64::from(most) * 8,
        FindingLevel::Warning,
        format!(
            "{used} of {most} connections are used, and the database has {} MiB",
            row.try_get::<_, i64>(7)? >> 20
        ),
        format!("{used} of {most} connections are used; raise max_connections: each process uses up to 12"),
    );
    Ok(findings)
}
