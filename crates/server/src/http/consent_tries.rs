//! Counts wrong secrets per pre-auth code. A code with too many wrong secrets can no longer be used. A shared store counts
//! them for all processes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use storage::store::{NotDurable, SharedCount, Store};
use system::sync::lock;

use crate::accounts::platform_issuer::code::Code;

/// Wrong secrets per code.
const TRIES_MAX: u32 = 10;
/// Codes counted per platform. Beyond this, the platform's consent page takes no further secret.
const CODES_MAX: usize = 100_000;
/// How long a shared store counts a try, in seconds. Longer than a code is valid.
const COUNTED_S: i64 = 3600;

/// Tries by the code's expiry (Unix seconds) and nonce, so that the oldest are removed first.
type PlatformTries = BTreeMap<(i64, String), u32>;

/// Tries by platform. They are in memory only: an attacker cannot restart the program, and ten more tries in the half
/// hour of a code do not find a secret.
#[derive(Debug, Default)]
pub struct ConsentTries(Mutex<HashMap<String, PlatformTries>>);

impl ConsentTries {
    /// Whether this code allows no further try, in any process that shares the store.
    ///
    /// # Errors
    /// If a shared store cannot be read.
    pub async fn are_used_up_in_all(
        &self,
        platform: &str,
        code: &Code,
        store: &Store,
    ) -> Result<bool, NotDurable> {
        let counted = store.tries(&shared_key(platform, code)).await?;
        Ok(counted.map_or_else(|| self.are_used_up(platform, code), |tries| tries >= TRIES_MAX))
    }

    /// Counts a try in all processes that share the store. False if the code or the platform allows no further try.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then nobody may try.
    pub async fn take_of_all(
        &self,
        platform: &str,
        code: &Code,
        now_s: i64,
        store: &Store,
    ) -> Result<bool, NotDurable> {
        match store.try_count(&shared_key(platform, code), COUNTED_S, TRIES_MAX).await? {
            SharedCount::Alone => Ok(self.take(platform, code, now_s)),
            SharedCount::Taken => Ok(true),
            SharedCount::Refused => Ok(false),
        }
    }

    /// Takes back a try whose secret was right.
    ///
    /// # Errors
    /// If a shared store cannot be reached. Then the try stays counted.
    pub async fn give_back_of_all(
        &self,
        platform: &str,
        code: &Code,
        store: &Store,
    ) -> Result<(), NotDurable> {
        if store.is_shared() {
            return store.try_back(&shared_key(platform, code)).await;
        }
        self.give_back(platform, code);
        Ok(())
    }

    fn are_used_up(&self, platform: &str, code: &Code) -> bool {
        let tries = lock(&self.0);
        let of_code = tries.get(platform).and_then(|tries| tries.get(&key(code)));
        of_code.is_some_and(|tries| *tries >= TRIES_MAX)
    }

    fn take(&self, platform: &str, code: &Code, now_s: i64) -> bool {
        let mut tries = lock(&self.0);
        let tries = tries.entry(platform.to_owned()).or_default();
        while let Some(oldest) = tries.first_entry().filter(|oldest| oldest.key().0 < now_s) {
            oldest.remove();
        }
        if tries.len() >= CODES_MAX && !tries.contains_key(&key(code)) {
            return false;
        }
        let of_code = tries.entry(key(code)).or_default();
        *of_code = of_code.saturating_add(1);
        *of_code <= TRIES_MAX
    }

    fn give_back(&self, platform: &str, code: &Code) {
        let mut tries = lock(&self.0);
        if let Some(of_code) = tries.get_mut(platform).and_then(|tries| tries.get_mut(&key(code))) {
            *of_code = of_code.saturating_sub(1);
        }
    }
}

fn shared_key(platform: &str, code: &Code) -> String {
    format!("consent/{platform}/{}", code.nonce)
}

fn key(code: &Code) -> (i64, String) {
    (code.expires_s, code.nonce.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::platform_issuer::code::CodeKind;

    #[test]
    fn a_code_allows_ten_tries_and_does_not_affect_other_codes() {
        let tries = ConsentTries::default();
        let [one, other] = [0, 0].map(|now_s| Code::new(CodeKind::PreAuth, "", "", now_s).unwrap());
        for _ in 0..20 {
            assert!(tries.take("wxc", &one, 1));
            tries.give_back("wxc", &one);
        }
        assert_eq!((0..20).filter(|_| tries.take("wxc", &one, 1)).count(), 10);
        assert!(tries.are_used_up("wxc", &one) && !tries.are_used_up("wxc", &other));
        assert!(tries.take("wxc", &other, 1));
        let young = Code::new(CodeKind::PreAuth, "", "", 5_000).unwrap();
        assert!(tries.take("wxc", &young, 5_000));
        assert_eq!(lock(&tries.0)["wxc"].len(), 1, "expired codes are removed");
    }

    #[test]
    fn a_platform_with_too_many_counted_codes_blocks_only_its_own_page() {
        let tries = ConsentTries::default();
        let code = |number: usize| Code {
            nonce: number.to_string(),
            ..Code::new(CodeKind::PreAuth, "", "", 0).unwrap()
        };
        assert!((0..CODES_MAX).all(|number| tries.take("wxfull", &code(number), 1)));
        assert!(!tries.take("wxfull", &code(CODES_MAX), 1) && tries.take("wxfull", &code(0), 1));
        assert!(tries.take("wxother", &code(CODES_MAX), 1));
        assert!(tries.take("wxfull", &Code::new(CodeKind::PreAuth, "", "", 5_000).unwrap(), 5_000));
    }
}
