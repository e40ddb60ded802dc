//! How often somebody tried a secret with one pre-auth code. A code with which too many were wrong is of no use any more.

use std::{collections::BTreeMap, sync::Mutex};

use crate::{components::code::Code, store::lock};

/// Tries with one code.
const TRIES_MAX: u32 = 10;
/// Codes that are counted at the same time; beyond that nobody tries anything.
const CODES_MAX: usize = 100_000;

/// By the code's end and nonce, so that the oldest go first. In memory only: whoever tries cannot restart the program, and
/// ten more tries within a code's half hour find no secret.
#[derive(Debug, Default)]
pub struct Tries(Mutex<BTreeMap<(i64, String), u32>>);

impl Tries {
    /// Whether no further try is allowed.
    pub fn are_used_up(&self, code: &Code) -> bool {
        lock(&self.0).get(&key(code)).is_some_and(|tries| *tries >= TRIES_MAX)
    }

    /// Counts a try; false if it is one too many.
    pub fn take(&self, code: &Code, now_s: i64) -> bool {
        let mut tries = lock(&self.0);
        *tries = tries.split_off(&(now_s, String::new()));
        if tries.len() >= CODES_MAX && !tries.contains_key(&key(code)) {
            return false;
        }
        let of_code = tries.entry(key(code)).or_default();
        *of_code = of_code.saturating_add(1);
        *of_code <= TRIES_MAX
    }

    /// A try that was none: the secret was right.
    pub fn give_back(&self, code: &Code) {
        if let Some(tries) = lock(&self.0).get_mut(&key(code)) {
            *tries = tries.saturating_sub(1);
        }
    }
}

fn key(code: &Code) -> (i64, String) {
    (code.expires_s, code.nonce.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::code::CodeKind;

    #[test]
    fn ten_tries_a_code_and_no_other_suffers() {
        let tries = Tries::default();
        let [one, other] = [0, 0].map(|now_s| Code::new(CodeKind::PreAuth, "", "", now_s).unwrap());
        for _ in 0..20 {
            assert!(tries.take(&one, 1));
            tries.give_back(&one);
        }
        assert_eq!((0..20).filter(|_| tries.take(&one, 1)).count(), 10);
        assert!(tries.are_used_up(&one) && !tries.are_used_up(&other));
        assert!(tries.take(&other, 1));
        let young = Code::new(CodeKind::PreAuth, "", "", 5_000).unwrap();
        assert!(tries.take(&young, 5_000));
        assert_eq!(lock(&tries.0).len(), 1, "what is too old goes");
    }
}
