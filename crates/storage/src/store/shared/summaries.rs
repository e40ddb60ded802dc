//! The summaries of all accounts. One question to ClickHouse answers for all of them, so its answer is kept for a
//! moment.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cluster::messages::AccountOverview;
use counting::day_of;
use system::clock::Stopwatch;

use super::{Shared, SharedCore};
use crate::store::{AccountNumber, AccountSummary, DAYS, MINUTES, StoreError};

/// An answer is used for as long as it took to get it, times this.
const KEPT_FOR_TIMES: u32 = 4;
/// An answer is used for at least this long.
const KEPT_FOR_MIN: Duration = Duration::from_secs(2);

/// The accounts that have messages, by appid.
type Overviews = HashMap<Box<str>, AccountOverview>;

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
        Ok(accounts.iter().map(|account| by_appid.get(&*account.appid).map_or_else(none, summary)).collect())
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
        let overviews = self.messages.overview(now_s).await?;
        let by_appid: Overviews =
            overviews.into_iter().map(|overview| (overview.appid.clone(), overview)).collect();
        let by_appid = Arc::new(by_appid);
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

fn summary(overview: &AccountOverview) -> AccountSummary {
    AccountSummary {
        last_message_s: overview.last_message_s,
        today_by_type: overview.today_by_type,
        days: overview.days,
        same_hours_today: overview.same_hours_today,
        same_hours_last_week: overview.same_hours_last_week,
        month: overview.month,
        month_before_today: overview.month_before_today,
        last_month: overview.last_month,
        same_days_last_month: overview.same_days_last_month,
        minutes: overview.minutes,
    }
}

fn none() -> AccountSummary {
    AccountSummary {
        last_message_s: None,
        today_by_type: Default::default(),
        days: [0; DAYS],
        same_hours_today: 0,
        same_hours_last_week: 0,
        month: 0,
        month_before_today: 0,
        last_month: 0,
        same_days_last_month: 0,
        minutes: [0; MINUTES],
    }
}
