//! The tickets that WeChat pushes to third-party platforms: of each the newest, kept sealed.

use serde::{Deserialize, Serialize};
use storage::store::Change;
use system::{data_key::DataKey, secret::Secret};
use zeroize::Zeroizing;

pub const FACT_PREFIX: &str = "received_ticket/";

/// A ticket.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The ticket itself.
    pub text: Secret,
    /// When it was made, by WeChat's clock.
    pub created_s: i64,
}

#[derive(Serialize, Deserialize)]
struct Written {
    ticket: String,
    created_s: i64,
}

impl Ticket {
    /// What makes it durable.
    pub fn fact(&self, key: &DataKey, component: &str) -> Result<Change, String> {
        let name = format!("{FACT_PREFIX}{component}");
        let written = Written { ticket: self.text.reveal().to_owned(), created_s: self.created_s };
        let text = Zeroizing::new(serde_json::to_vec(&written).map_err(|error| error.to_string())?);
        let sealed = key.seal(&name, &text).map_err(|error| error.to_string())?;
        Ok(Change::Fact { key: name, value: Some(sealed) })
    }

    /// Reads what [`Ticket::fact`] wrote.
    pub fn opened(key: &DataKey, fact: &str, sealed: &[u8]) -> Result<Ticket, String> {
        let text = key.open(fact, sealed).map_err(|error| error.to_string())?;
        let written: Written = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        Ok(Ticket { text: Secret::new(written.ticket), created_s: written.created_s })
    }
}
