//! Follows what is durable: at the start, and what other processes fetch.

use super::{
    UpstreamTokens,
    lease::{self, Lease},
    stored_token::{self, TokenRecord},
};

impl UpstreamTokens {
    /// Applies a fact that is durable: of a real token, or of who fetches it. Returns false if it is another one. Does not
    /// read the store.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) -> bool {
        if let Some(appid) = key.strip_prefix(lease::FACT_PREFIX) {
            let lease = value.and_then(|value| serde_json::from_slice::<Lease>(value).ok());
            let account_token = self.account_token(appid);
            account_token.set_lease(lease);
            account_token.changed.notify_waiters();
            return true;
        }
        let Some(appid) = key.strip_prefix(stored_token::FACT_PREFIX) else { return false };
        match value.map(|sealed| TokenRecord::opened(&self.key, key, sealed)).transpose() {
            Ok(record) => {
                let account_token = self.account_token(appid);
                account_token.update(|known| *known = record.unwrap_or_default());
                account_token.changed.notify_waiters();
            }
            Err(error) => {
                tracing::warn!(appid, %error, "the stored real token cannot be read; a new one is fetched");
            }
        }
        true
    }
}
