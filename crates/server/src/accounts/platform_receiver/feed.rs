//! Follows what other processes decide: accounts that they add, change and remove, and accounts that platforms bring.
//! The result equals a start with the same facts.

use std::sync::Arc;

use storage::store::{AccountNumber, Change};
use system::sync::lock;

use super::{
    Received,
    authorization_state::{self, AuthorizationState, pair_of},
    new_brought,
    platforms::{ReceivedPlatforms, Tombstone},
    ticket::{self, Ticket},
    tombstones,
};
use crate::accounts::registry::{ServedAccount, settings};

impl Received {
    /// Applies a fact that is durable: of the settings of an account, of an account of a platform, or of a ticket. Returns
    /// false if it is another one. Does not read the store.
    pub fn apply_fact(&self, key: &str, value: Option<&[u8]>) -> bool {
        if let Some(appid) = key.strip_prefix(settings::FACT_PREFIX) {
            self.apply_settings(appid, value);
        } else if let Some((component, appid)) = pair_of(authorization_state::FACT_PREFIX, key) {
            self.apply_state((component, appid), key, value);
        } else if let Some((component, appid)) = pair_of(tombstones::FACT_PREFIX, key) {
            self.apply_tombstone(component, appid, value);
        } else if let Some(component) = key.strip_prefix(ticket::FACT_PREFIX) {
            self.apply_ticket(component, key, value);
        } else {
            return false;
        }
        true
    }

    /// Applies those of these changes that [`Self::apply_fact`] knows. They are durable.
    pub fn apply_changes(&self, changes: &[Change]) {
        for change in changes {
            if let Change::Fact { key, value } = change {
                self.apply_fact(key, value.as_deref());
            }
        }
    }

    fn apply_settings(&self, appid: &str, value: Option<&[u8]>) {
        let former = self.accounts.get(appid);
        if former.as_ref().is_some_and(|former| former.is_configured) {
            tracing::warn!(
                appid,
                "changed at run time by another process, and in the configuration file, which takes precedence"
            );
            return;
        }
        let mut platforms = lock(&self.platforms);
        let (for_platforms, next) = match value {
            Some(sealed) => {
                let number = self.store.reserve(appid);
                match self.accounts.read_stored(appid, sealed, number, &self.key) {
                    Ok(account) => (Some(account.clone()), Some(account)),
                    Err(error) => {
                        tracing::error!(%error, appid, "the settings that another process stored are not used");
                        return;
                    }
                }
            }
            None => self.brought_of(&platforms, appid),
        };
        let Some(number) = next.as_ref().or(former.as_ref()).map(|account| account.number) else { return };
        match next {
            Some(account) => self.accounts.put(account),
            None => self.accounts.remove(appid),
        }
        platforms.set_account(appid, for_platforms.as_ref());
        self.follow(&platforms, appid, number);
    }

    fn apply_state(&self, (component, appid): (&str, &str), key: &str, value: Option<&[u8]>) {
        let mut platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get_mut(component) else { return };
        let account = match value {
            None => {
                let Some(member) = platform.remove(appid) else { return };
                let account = self.accounts.get(appid).unwrap_or(member.account);
                let is_brought = platforms.0.values().any(|platform| platform.accounts.contains_key(appid));
                if !is_brought && !account.is_configured && !account.is_stored {
                    self.accounts.remove(appid);
                }
                account
            }
            Some(sealed) => match self.read_state(appid, key, sealed) {
                Ok((account, state)) => {
                    self.accounts.put_if_new(&account);
                    let version = platform.put(appid, &account, state);
                    platform.accounts.get_mut(appid).into_iter().for_each(|member| member.durable = version);
                    account
                }
                Err(error) => {
                    tracing::error!(error, appid, component, "what another process stored is not used");
                    return;
                }
            },
        };
        self.follow(&platforms, appid, account.number);
    }

    fn read_state(
        &self,
        appid: &str,
        key: &str,
        sealed: &[u8],
    ) -> Result<(Arc<ServedAccount>, AuthorizationState), String> {
        let state = AuthorizationState::opened(&self.key, key, sealed)?;
        let known = self.accounts.get(appid);
        let account =
            known.map_or_else(|| new_brought(&self.store, &self.accounts, appid).map(Arc::new), Ok)?;
        Ok((account, state))
    }

    fn apply_tombstone(&self, component: &str, appid: &str, value: Option<&[u8]>) {
        let mut platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get_mut(component) else { return };
        match value.and_then(Tombstone::read) {
            Some(tombstone) => drop(platform.tombstones.insert(appid.to_owned(), tombstone)),
            None => drop(platform.tombstones.remove(appid)),
        }
    }

    fn apply_ticket(&self, component: &str, key: &str, value: Option<&[u8]>) {
        let mut platforms = lock(&self.platforms);
        let Some(platform) = platforms.0.get_mut(component) else { return };
        let opened = value.map(|sealed| Ticket::opened(&self.key, key, sealed)).transpose();
        match opened {
            Ok(ticket) => (platform.ticket, platform.is_ticket_new) = (ticket, false),
            Err(error) => {
                tracing::warn!(component, error, "a ticket that another process stored cannot be read");
            }
        }
    }

    /// The writer has to know whether an account's messages are accepted.
    fn follow(&self, platforms: &ReceivedPlatforms, appid: &str, number: AccountNumber) {
        let has_keys = self.accounts.get(appid).is_some_and(|account| account.keys.is_some());
        self.ingest.follow_served(&[(number, has_keys || platforms.is_active(appid))]);
    }
}

#[cfg(test)]
impl Received {
    /// What the maps hold, in words, sorted.
    pub fn described(&self) -> Vec<String> {
        let platforms = lock(&self.platforms);
        let mut lines = Vec::new();
        for (component, platform) in &platforms.0 {
            lines.extend(platform.accounts.iter().map(|(appid, member)| {
                assert!(member.is_durable(), "{appid}");
                format!("{component} {appid} {:?}", member.state)
            }));
            let removed = platform.tombstones.iter();
            lines.extend(removed.map(|(appid, removed)| format!("{component} {appid} {removed:?}")));
            let ticket = platform.ticket.as_ref().map(|ticket| (ticket.text.reveal(), ticket.created_s));
            lines.push(format!("{component} {ticket:?} {}", platform.is_ticket_new));
        }
        lines.extend(self.accounts.all().iter().map(|account| {
            let (is_own, config) = ((account.is_configured, account.is_stored), &account.config);
            format!("{is_own:?} {} {:?} {config:?}", account.number.0, account.keys.is_some())
        }));
        lines.push(format!("served {:?}", std::collections::BTreeSet::from_iter(self.ingest.served())));
        lines.sort();
        lines
    }
}
