//! How often somebody tried a secret with one pre-auth code. A code with which too many were wrong is of no use any more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use system::sync::lock;

use crate::accounts::platform_issuer::code::Code;

/// Tries with one code.
const TRIES_MAX: u32 = 10;
/// Codes of a platform that are counted at the same time; beyond that nobody tries anything on its page.
const CODES_MAX: usize = 100_000;

/// By the code's end and nonce, so that the oldest go first.
type OfPlatform = BTreeMap<(i64, String), u32>;

/// By platform. In memory only: whoever tries cannot restart the program, and ten more tries within a code's half hour find
/// no secret.
#[derive(Debug, Default)]
pub struct Tries(Mutex<HashMap<String, OfPlatform>>);

impl Tries {
    /// Whether no further try is allowed.
    pub fn are_used_up(&self, component: &str, code: &Code) -> bool {
        let tries = lock(&self.0);
        let of_code = tries.get(component).and_then(|tries| tries.get(&key(code)));
        of_code.is_some_and(|tries| *tries >= TRIES_MAX)
    }

    /// Counts a try; false if it is one too many.
    pub fn take(&self, component: &str, code: &Code, now_s: i64) -> bool {
        let mut tries = lock(&self.0);
        let tries = tries.entry(component.to_owned()).or_default();
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

    /// A try that was none: the secret was right.
    pub fn give_back(&self, component: &str, code: &Code) {
        let mut tries = lock(&self.0);
        if let Some(of_code) = tries.get_mut(component).and_then(|tries| tries.get_mut(&key(code))) {
            *of_code = of_code.saturating_sub(1);
        }
    }
}

fn key(code: &Code) -> (i64, String) {
    (code.expires_s, code.nonce.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::platform_issuer::code::CodeKind;

    #[test]
    fn ten_tries_a_code_and_no_other_suffers() {
        let tries = Tries::default();
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
        assert_eq!(lock(&tries.0)["wxc"].len(), 1, "what is too old goes");
    }

    #[test]
    fn a_platform_whose_codes_are_all_tried_shuts_only_its_own_page() {
        let tries = Tries::default();
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
