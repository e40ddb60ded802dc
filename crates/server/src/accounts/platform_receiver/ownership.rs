//! Which platform an account's messages come through. Anyone with one platform's token and key could send messages
//! and events of any account through it, so nothing that comes through one platform takes an account away from
//! another.

use storage::store::Change;
use system::{data_key::SealError, sync::lock};

use super::{
    Received, Status,
    authorization_state::AuthorizationState,
    platforms::{MessageVerdict, PlatformAccount, ReceivedPlatform, ReceivedPlatforms},
};
use crate::accounts::registry::ServedAccount;

impl Received {
    /// Whether an account's messages are known to come through a platform. If so, a refused one is a loss.
    pub fn brings(&self, component: &str, appid: &str) -> bool {
        let platforms = lock(&self.platforms);
        let member = platforms.0.get(component).and_then(|platform| platform.accounts.get(appid));
        let is_bound = |member: &PlatformAccount| member.durable > 0 && member.state.original_id.is_some();
        member.is_some_and(is_bound)
            && platforms.accepts(component, appid, self.accounts.get(appid).as_deref())
    }

    /// An operator adds an account that is not known to have authorised a platform. Its messages no longer come
    /// through one. Returns the changes that make this durable. None if no platform knows the account, or if it
    /// authorised one, or withdrew that.
    pub fn leave_to_operator(&self, appid: &str) -> Result<Option<Vec<Change>>, SealError> {
        let mut platforms = lock(&self.platforms);
        let accounts = platforms.0.iter_mut();
        let mut accounts: Vec<_> = accounts
            .filter_map(|(component, platform)| Some((component, platform.accounts.get_mut(appid)?)))
            .collect();
        if accounts.is_empty() || accounts.iter().any(|(_, member)| member.state.status != Status::Pending) {
            return Ok(None);
        }
        let is_shared = self.store.is_shared();
        let facts = accounts.iter_mut().map(|(component, member)| {
            let state = AuthorizationState { is_operators: true, ..member.state.clone() };
            // With a shared store memory changes once the facts are durable.
            member.state.is_operators |= !is_shared;
            state.fact(&self.key, component, appid)
        });
        facts.collect::<Result<_, _>>().map(Some)
    }

    /// Undoes [`Self::leave_to_operator`] if it did not become durable.
    pub fn undo_leave_to_operator(&self, appid: &str) {
        if self.store.is_shared() {
            return;
        }
        let mut platforms = lock(&self.platforms);
        let accounts = platforms.0.values_mut().filter_map(|platform| platform.accounts.get_mut(appid));
        accounts.for_each(|member| member.state.is_operators = false);
    }
}

impl ReceivedPlatforms {
    /// Decides about a message that came through a platform. `account` is the account as it is served now.
    pub fn judge(
        &self,
        component: &str,
        appid: &str,
        to_user: &str,
        account: Option<&ServedAccount>,
    ) -> MessageVerdict {
        let Some(platform) = self.0.get(component) else { return MessageVerdict::NotOfPlatform };
        if !self.accepts(component, appid, account) {
            return MessageVerdict::NotOfPlatform;
        }
        platform.judge(appid, to_user, account.and_then(|account| account.config.original_id.as_deref()))
    }

    /// Whether an account's messages are accepted through a platform.
    pub fn accepts(&self, component: &str, appid: &str, account: Option<&ServedAccount>) -> bool {
        if let Some(named) = account.and_then(|account| account.config.components.as_ref()) {
            return named.iter().any(|named| named == component);
        }
        let state =
            |platform: &'_ ReceivedPlatform| platform.accounts.get(appid).map(|member| member.state.clone());
        let here = self.0.get(component).and_then(state).filter(|state| !state.is_operators);
        let others = self.0.iter().filter(|(other, _)| *other != component);
        let others: Vec<AuthorizationState> = others
            .filter_map(|(_, platform)| state(platform))
            .filter(|state| state.original_id.is_some())
            .collect();
        let is_held = others.iter().any(AuthorizationState::is_active);
        match here {
            Some(here) if here.original_id.is_some() => here.is_active() || !is_held,
            None if account.is_some_and(ServedAccount::is_own) => false,
            here if !others.is_empty() => {
                // It moved: it left all other platforms and authorised this one.
                !is_held && here.is_some_and(|here| here.status == Status::Authorized)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{accounts::registry::Accounts, config::AccountConfig};
    use storage::store::AccountNumber;

    /// As an older version stored it: without `is_operators`.
    fn kept(status: &str, original_id: Option<&str>) -> AuthorizationState {
        let kept = serde_json::json!({"status": status, "decided_s": 1, "original_id": original_id});
        serde_json::from_value(kept).unwrap()
    }

    #[test]
    fn whose_messages_are_taken_through_which_platform() {
        let brought = ServedAccount::brought(AccountNumber(0), "wx", &Accounts::default()).unwrap();
        let own = || ServedAccount {
            is_configured: true,
            ..ServedAccount::brought(AccountNumber(0), "wx", &Accounts::default()).unwrap()
        };
        let named = |component: &str| {
            let components = Some(vec![component.to_owned()]);
            ServedAccount { config: AccountConfig { components, ..brought.config.clone() }, ..own() }
        };
        let beside = |state: AuthorizationState| AuthorizationState { is_operators: true, ..state };
        let (bound, gone) = (kept("pending", Some("gh")), kept("unauthorized", Some("gh")));
        let (told, left) = (kept("authorized", None), kept("unauthorized", None));
        let accounts = [
            ("a first message", None, None, None, true),
            ("it was brought here", Some(&bound), None, Some(&brought), true),
            ("it left, and messages are late", Some(&gone), None, Some(&brought), true),
            ("it left for another", Some(&gone), Some(&bound), Some(&brought), false),
            ("both brought it before this rule", Some(&bound), Some(&bound), Some(&brought), true),
            ("another brought it", None, Some(&bound), Some(&brought), false),
            ("another has it", Some(&told), Some(&bound), Some(&brought), false),
            ("another lost it, and nothing says that it came here", None, Some(&gone), Some(&brought), false),
            ("it moved here", Some(&told), Some(&gone), Some(&brought), true),
            ("another was told of it, and has no message", None, Some(&told), Some(&brought), true),
            ("another was told that it left", None, Some(&left), Some(&brought), true),
            ("an operator's own", None, None, Some(&own()), false),
            (
                "its own, and the platform was told of it",
                Some(&beside(told.clone())),
                None,
                Some(&own()),
                false,
            ),
            ("brought, and then configured", Some(&bound), None, Some(&own()), true),
            ("brought by its event, and then configured", Some(&told), None, Some(&own()), true),
            ("it names this one", None, Some(&bound), Some(&named("wxhere")), true),
            ("it names another", Some(&bound), None, Some(&named("wxother")), false),
        ];
        for (case, here, other, account, expected) in accounts {
            let mut platforms = ReceivedPlatforms::default();
            for (component, state) in [("wxhere", here), ("wxother", other)] {
                let platform = platforms.0.entry(component.to_owned()).or_default();
                let member =
                    Arc::new(ServedAccount::brought(AccountNumber(0), "wx", &Accounts::default()).unwrap());
                if let Some(state) = state {
                    platform.put("wx", &member, state.clone());
                }
            }
            assert_eq!(platforms.accepts("wxhere", "wx", account), expected, "{case}");
        }
    }
}
