//! The summaries of all accounts. One question to ClickHouse answers for all of them, so its answer is kept for a
//! moment.

use std::{collections::HashMap, sync::Arc, time::Duration};

use counting::{AccountSummary, day_of};
use system::clock::Stopwatch;

use super::{Shared, SharedCore};
use crate::store::{AccountNumber, StoreError};

/// An answer is used for as long as it took to get it, times this.
const KEPT_FOR_TIMES: u32 = 4;
/// An answer is used for at least this long.
const KEPT_FOR_MIN: Duration = Duration::from_secs(2);

/// The accounts that have messages, by appid.
type Overviews = HashMap<Box<str>, AccountSummary>;

/// The newest answer.
#[derive(Debug, Default)]
pub struct CachedSummaries {
    /// Locked while the servers are asked, so that they are asked once for all who wait.
    newest: tokio::sync::Mutex<Option<NewestOverviews>>,
}

#[derive(Debug)]
struct NewestOverviews {
    by_appid: Arc<Overviews>,
    /// The moment it was asked for, Unix seconds.
    now_s: i64,
    since: Stopwatch,
    kept_for: Duration,
}

impl Shared {
    /// See [`crate::store::Store::summaries`].
    pub fn summaries(&self, now_s: i64) -> Result<Vec<AccountSummary>, StoreError> {
        let by_appid = self.overview(now_s)?;
        let accounts = self.core.accounts.all();
        Ok(accounts
            .iter()
            .map(|account| by_appid.get(&*account.appid).cloned().unwrap_or_default())
            .collect())
    }

    /// See [`crate::store::Store::last_message_s`].
    pub fn last_message_s(&self, account: AccountNumber, now_s: i64) -> Result<Option<i64>, StoreError> {
        let (appid, core) = (self.appid(account)?, self.core.clone());
        Ok(self.runtime.wait(async move { core.messages.last_message_s(&appid, now_s).await })??)
    }

    fn overview(&self, now_s: i64) -> Result<Arc<Overviews>, StoreError> {
        let core = self.core.clone();
        self.runtime.wait(async move { core.overview(now_s).await })?
    }
}

impl SharedCore {
    async fn overview(&self, now_s: i64) -> Result<Arc<Overviews>, StoreError> {
        let mut newest = self.summaries.newest.lock().await;
        if let Some(known) = newest.as_ref().filter(|known| known.is_good(now_s)) {
            return Ok(known.by_appid.clone());
        }
        let asked = Stopwatch::start();
        let by_appid = Arc::new(self.messages.overview(now_s).await?);
        let kept_for = KEPT_FOR_MIN.max(asked.elapsed() * KEPT_FOR_TIMES);
        *newest = Some(NewestOverviews { by_appid: by_appid.clone(), now_s, since: asked, kept_for });
        Ok(by_appid)
    }
}

impl NewestOverviews {
    fn is_good(&self, now_s: i64) -> bool {
        self.since.elapsed() < self.kept_for && self.now_s <= now_s && day_of(self.now_s) == day_of(now_s)
    }
}
