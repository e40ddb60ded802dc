//! The tickets that WeChat pushes to third-party platforms. Only the newest of each is stored, sealed.

use serde::{Deserialize, Serialize};
use storage::store::Change;
use system::{data_key::DataKey, secret::Secret};
use zeroize::Zeroizing;

pub const FACT_PREFIX: &str = "received_ticket/";

/// A ticket from WeChat.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The ticket itself.
    pub text: Secret,
    /// When WeChat made it, Unix seconds.
    pub created_s: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredTicket {
    ticket: String,
    created_s: i64,
}

impl Ticket {
    /// The change that stores the ticket, sealed.
    pub fn fact(&self, key: &DataKey, component: &str) -> Result<Change, String> {
        let name = format!("{FACT_PREFIX}{component}");
        let written = StoredTicket { ticket: self.text.reveal().to_owned(), created_s: self.created_s };
        let text = Zeroizing::new(serde_json::to_vec(&written).map_err(|error| error.to_string())?);
        let sealed = key.seal(&name, &text).map_err(|error| error.to_string())?;
        Ok(Change::Fact { key: name, value: Some(sealed) })
    }

    /// Opens what [`Ticket::fact`] sealed.
    pub fn opened(key: &DataKey, fact: &str, sealed: &[u8]) -> Result<Ticket, String> {
        let text = key.open(fact, sealed).map_err(|error| error.to_string())?;
        let written: StoredTicket = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        Ok(Ticket { text: Secret::new(written.ticket), created_s: written.created_s })
    }
}
