//! Logged calls for the other processes that share the store: whoever asks with a request id may ask any of them. They are
//! sealed with the data key.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use storage::store::{NotDurable, SealedCall, Store};
use system::data_key::DataKey;
use tokio::time::timeout;
use wechat::request_id::Rid;

use super::{ErrorLog, Found, LoggedCall, LoggedError, MadeBy};

/// An error answer waits so long until the other processes can find its call.
const SHARING_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct StoredCall {
    appid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    call: LoggedCall,
}

impl ErrorLog {
    /// Logs a call, also for the other processes that share the store. If they cannot be told, only this one knows it.
    pub async fn add_for_all(&self, logged: LoggedError, now_s: i64, store: &Store, key: &DataKey) {
        let shared = store.is_shared().then(|| logged.clone());
        self.add(logged, now_s);
        // A flood of errors must not keep the store busy.
        let Some((logged, _permit)) = shared.zip(self.sharing.try_acquire().ok()) else { return };
        let told = timeout(SHARING_WAIT, keep(logged, store, key)).await;
        if let Err(error) = told.unwrap_or_else(|_| Err(NotDurable("no answer in time".to_owned()))) {
            tracing::debug!(%error, "the other processes do not know a refused call");
        }
    }

    /// Looks up a call for the account or platform `appid`, also among those of the other processes.
    ///
    /// # Errors
    /// If a shared store cannot be read.
    pub async fn find_in_all(
        &self,
        rid: Rid,
        appid: &str,
        now_s: i64,
        store: &Store,
        key: &DataKey,
    ) -> Result<Found, NotDurable> {
        let found = self.find(rid, appid, now_s);
        if !matches!(found, Found::Nothing) {
            return Ok(found);
        }
        let name = rid.to_string();
        let logged = store.refused(&name).await?.and_then(|sealed| open(rid, &sealed, key));
        Ok(logged.map_or(Found::Nothing, |logged| Found::of(Arc::new(logged), appid, now_s)))
    }
}

async fn keep(logged: LoggedError, store: &Store, key: &DataKey) -> Result<(), NotDurable> {
    let LoggedError { rid, made_by, appid, platform, call } = logged;
    let name = rid.to_string();
    let stored = StoredCall { appid, platform, call };
    let plain = serde_json::to_vec(&stored).map_err(|error| NotDurable(error.to_string()))?;
    let sealed = key.seal(&sealed_name(&name), &plain).map_err(|error| NotDurable(error.to_string()))?;
    let (is_by_owner, at_s) = (made_by == MadeBy::Owner, rid.at_s());
    store.keep_refused(SealedCall { rid: &name, appid: &stored.appid, is_by_owner, at_s, sealed }).await
}

fn open(rid: Rid, sealed: &[u8], key: &DataKey) -> Option<LoggedError> {
    let plain = key.open(&sealed_name(&rid.to_string()), sealed).ok()?;
    let StoredCall { appid, platform, call } = serde_json::from_slice(&plain).ok()?;
    Some(LoggedError { rid, made_by: MadeBy::Others, appid, platform, call })
}

fn sealed_name(rid: &str) -> String {
    format!("rid/{rid}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wechat::request_id::RidGenerator;

    #[test]
    fn a_call_that_was_sealed_is_found_by_its_owner_alone_and_under_its_own_request_id() {
        let (key, rids) = (DataKey::from_bytes([1; 32]), RidGenerator::default());
        let (rid, other) = (rids.next(1_400_000_000), rids.next(1_400_000_000));
        let call = LoggedCall {
            invoke_time: 1_400_000_000,
            cost_in_ms: 1,
            request_url: "/datacube/getupstreammsg".to_owned(),
            request_body: "body".to_owned(),
            response_body: "{}".to_owned(),
            client_ip: "192.0.2.1".to_owned(),
        };
        let stored =
            StoredCall { appid: "wx1".to_owned(), platform: Some("wxp".to_owned()), call: call.clone() };
        let plain = serde_json::to_vec(&stored).unwrap();
        let sealed = key.seal(&sealed_name(&rid.to_string()), &plain).unwrap();
        assert!(open(other, &sealed, &key).is_none());
        assert!(open(rid, &sealed, &DataKey::from_bytes([2; 32])).is_none());
        let logged = Arc::new(open(rid, &sealed, &key).unwrap());
        for appid in ["wx1", "wxp"] {
            let Found::Call(found) = Found::of(logged.clone(), appid, 1_400_000_000) else {
                panic!("{appid}")
            };
            assert_eq!(found.call, call);
        }
        assert!(matches!(Found::of(logged.clone(), "wx2", 1_400_000_000), Found::OfAnother));
        let late_s = 1_400_000_000 + super::super::AGE_S_MAX + 1;
        assert!(matches!(Found::of(logged, "wx1", late_s), Found::Nothing));
    }
}
