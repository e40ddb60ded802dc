//! What all processes count together, and the refused calls that they look up for each other.

use datacube::Day;

use super::Shared;
use crate::store::{NotDurable, SealedCall, SharedCount};

impl Shared {
    /// See [`crate::store::Store::spend`].
    pub async fn spend(
        &self,
        appid: &str,
        interface: &str,
        day: Day,
        limit: u32,
    ) -> Result<SharedCount, NotDurable> {
        let spent = self.core.state.spend(appid, interface, day.days_since_1970(), limit).await?;
        Ok(if spent.is_some() { SharedCount::Taken } else { SharedCount::Refused })
    }

    /// See [`crate::store::Store::spent`].
    pub async fn spent(&self, appid: &str, interface: &str, day: Day) -> Result<u32, NotDurable> {
        let used = self.core.state.used(appid, day.days_since_1970()).await?;
        Ok(used.iter().find(|(name, _)| name == interface).map_or(0, |(_, used)| *used))
    }

    /// See [`crate::store::Store::try_count`].
    pub async fn try_count(&self, key: &str, window_s: i64, limit: u32) -> Result<SharedCount, NotDurable> {
        let window_s = u32::try_from(window_s).unwrap_or(u32::MAX);
        let is_counted = self.core.state.try_count(key, window_s, limit).await?;
        Ok(if is_counted { SharedCount::Taken } else { SharedCount::Refused })
    }

    /// See [`crate::store::Store::tries`].
    pub async fn tries(&self, key: &str) -> Result<u32, NotDurable> {
        Ok(self.core.state.tries(key).await?)
    }

    /// See [`crate::store::Store::try_back`].
    pub async fn try_back(&self, key: &str) -> Result<(), NotDurable> {
        Ok(self.core.state.try_back(key).await?)
    }

    /// See [`crate::store::Store::keep_refused`].
    pub async fn keep_refused(&self, call: &SealedCall<'_>) -> Result<(), NotDurable> {
        Ok(self.core.state.remember_refused(call.rid, call.appid, call.is_by_owner, &call.sealed).await?)
    }

    /// See [`crate::store::Store::refused`].
    pub async fn refused(&self, rid: &str) -> Result<Option<Vec<u8>>, NotDurable> {
        Ok(self.core.state.refused(rid).await?.map(|call| call.body))
    }
}
