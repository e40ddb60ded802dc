//! Which platform an account's messages come through: whoever knows one platform's token and key could send messages and
//! events of any account through it, so nothing that comes through it takes an account from others.

use storage::store::Change;
use system::{data_key::SealError, sync::lock};

use super::{
    Received, Status,
    platforms::{PlatformAccount, ReceivedPlatform, ReceivedPlatforms, Verdict},
    standing::Standing,
};
use crate::accounts::registry::Account;

impl Received {
    /// Whether an account's messages are known to come through a platform: then one that is refused is a loss.
    pub fn brings(&self, component: &str, appid: &str) -> bool {
        let platforms = lock(&self.platforms);
        let seat = platforms.0.get(component).and_then(|platform| platform.seats.get(appid));
        let is_bound = |seat: &PlatformAccount| seat.durable > 0 && seat.standing.original_id.is_some();
        seat.is_some_and(is_bound) && platforms.takes(component, appid, self.accounts.get(appid).as_deref())
    }

    /// An operator adds an account that nothing says authorised a platform: its messages do not come through one any
    /// more. What makes that durable; none if anything says otherwise.
    pub fn leave_to_operator(&self, appid: &str) -> Result<Option<Vec<Change>>, SealError> {
        let mut platforms = lock(&self.platforms);
        let seats = platforms.0.iter_mut();
        let mut seats: Vec<_> = seats
            .filter_map(|(component, platform)| Some((component, platform.seats.get_mut(appid)?)))
            .collect();
        if seats.is_empty() || seats.iter().any(|(_, seat)| seat.standing.status != Status::Pending) {
            return Ok(None);
        }
        let facts = seats.iter_mut().map(|(component, seat)| {
            seat.standing.is_beside = true;
            seat.standing.fact(&self.key, component, appid)
        });
        facts.collect::<Result<_, _>>().map(Some)
    }

    /// It did not become durable: all is as before.
    pub fn stay_with_platforms(&self, appid: &str) {
        let mut platforms = lock(&self.platforms);
        let seats = platforms.0.values_mut().filter_map(|platform| platform.seats.get_mut(appid));
        seats.for_each(|seat| seat.standing.is_beside = false);
    }
}

impl ReceivedPlatforms {
    /// What is to happen with a message that came through a platform; `account` is what is known of it by now.
    pub fn judge(&self, component: &str, appid: &str, to_user: &str, account: Option<&Account>) -> Verdict {
        let Some(platform) = self.0.get(component) else { return Verdict::NotOfPlatform };
        if !self.takes(component, appid, account) {
            return Verdict::NotOfPlatform;
        }
        platform.judge(appid, to_user, account.and_then(|account| account.config.original_id.as_deref()))
    }

    /// Whether an account's messages are taken through a platform.
    pub fn takes(&self, component: &str, appid: &str, account: Option<&Account>) -> bool {
        if let Some(named) = account.and_then(|account| account.config.components.as_ref()) {
            return named.iter().any(|named| named == component);
        }
        let standing =
            |platform: &'_ ReceivedPlatform| platform.seats.get(appid).map(|seat| seat.standing.clone());
        let here = self.0.get(component).and_then(standing).filter(|standing| !standing.is_beside);
        let others = self.0.iter().filter(|(other, _)| *other != component);
        let others: Vec<Standing> = others
            .filter_map(|(_, platform)| standing(platform))
            .filter(|standing| standing.original_id.is_some())
            .collect();
        let is_held = others.iter().any(Standing::is_active);
        match here {
            Some(here) if here.original_id.is_some() => here.is_active() || !is_held,
            None if account.is_some_and(Account::is_own) => false,
            here if !others.is_empty() => {
                // It moved: away from all others, and here.
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
    use crate::{auth::quota::Quotas, config::AccountConfig};
    use storage::store::AccountNumber;

    /// As an older version kept it: without `is_beside`.
    fn kept(status: &str, original_id: Option<&str>) -> Standing {
        let kept = serde_json::json!({"status": status, "decided_s": 1, "original_id": original_id});
        serde_json::from_value(kept).unwrap()
    }

    #[test]
    fn whose_messages_are_taken_through_which_platform() {
        let brought = Account::brought(AccountNumber(0), "wx", &Quotas::default()).unwrap();
        let own = || Account {
            is_configured: true,
            ..Account::brought(AccountNumber(0), "wx", &Quotas::default()).unwrap()
        };
        let named = |component: &str| {
            let components = Some(vec![component.to_owned()]);
            Account { config: AccountConfig { components, ..brought.config.clone() }, ..own() }
        };
        let beside = |standing: Standing| Standing { is_beside: true, ..standing };
        let (bound, gone) = (kept("pending", Some("gh")), kept("unauthorized", Some("gh")));
        let (told, left) = (kept("authorized", None), kept("unauthorized", None));
        let seats = [
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
        for (case, here, other, account, expected) in seats {
            let mut platforms = ReceivedPlatforms::default();
            for (component, standing) in [("wxhere", here), ("wxother", other)] {
                let platform = platforms.0.entry(component.to_owned()).or_default();
                let seat = Arc::new(Account::brought(AccountNumber(0), "wx", &Quotas::default()).unwrap());
                if let Some(standing) = standing {
                    platform.put("wx", &seat, standing.clone());
                }
            }
            assert_eq!(platforms.takes("wxhere", "wx", account), expected, "{case}");
        }
    }
}
