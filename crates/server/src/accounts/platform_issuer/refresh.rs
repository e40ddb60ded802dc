//! Which refresh tokens of an authorization are valid. Pure: takes nonces and times, returns the new state. A
//! rotation never locks a platform out: a former token stays valid until its successor is used, and for at least
//! ten minutes.

use serde::{Deserialize, Serialize};

/// Seconds for which a former token stays valid at least.
pub const GRACE_S: i64 = 600;
/// Limit of former tokens that are valid at the same time. At the limit tokens are not rotated.
pub const FORMER_MAX: usize = 64;

/// The nonces that an authorization's refresh tokens are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTokens {
    current: String,
    /// The current token was used, but could not be replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    current_was_used: bool,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Former>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Former {
    nonce: String,
    replaced_s: i64,
}

impl RefreshTokens {
    /// The refresh tokens of a new authorization.
    pub fn new(nonce: String) -> RefreshTokens {
        RefreshTokens { current: nonce, current_was_used: false, former: Vec::new() }
    }

    /// The nonce of the token that is given out.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The nonces of all valid tokens.
    pub fn valid(&self, now_s: i64) -> impl Iterator<Item = &str> {
        let former = self.former.iter().enumerate().filter(move |(at, former)| {
            let waits = at + 1 == self.former.len() && !self.current_was_used;
            waits || is_in_grace(former, now_s)
        });
        former.map(|(_, former)| former.nonce.as_str()).chain([self.current.as_str()])
    }

    /// The state after a valid token was used. `fresh` becomes the current nonce if the token is rotated.
    #[must_use]
    pub fn after_use(&self, nonce: &str, fresh: String, now_s: i64) -> RefreshTokens {
        let mut next = self.clone();
        if nonce != self.current {
            return next;
        }
        next.current_was_used = true;
        next.former.retain(|former| is_in_grace(former, now_s));
        if next.former.len() < FORMER_MAX {
            next.former.push(Former { nonce: next.current, replaced_s: now_s });
            (next.current, next.current_was_used) = (fresh, false);
        }
        next
    }
}

fn is_in_grace(former: &Former, now_s: i64) -> bool {
    now_s.saturating_sub(former.replaced_s) < GRACE_S
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule as callers see it: each token ever given out, when it was replaced, whether it was used.
    #[derive(Default)]
    struct Model {
        tokens: Vec<(Option<i64>, bool)>,
    }

    impl Model {
        fn is_good(&self, at: usize, now_s: i64) -> bool {
            match (self.tokens[at].0, self.tokens.get(at + 1)) {
                (Some(replaced_s), Some((_, successor_was_used))) => {
                    !successor_was_used || now_s - replaced_s < GRACE_S
                }
                _ => true,
            }
        }

        fn use_one(&mut self, at: usize, now_s: i64) {
            let last = self.tokens.len() - 1;
            self.tokens[at].1 = true;
            let living = (0..last).filter(|former| self.is_good(*former, now_s)).count();
            if at == last && living < FORMER_MAX {
                self.tokens[last].0 = Some(now_s);
                self.tokens.push((None, false));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn the_rule_holds_whatever_is_shown_and_when(
            steps in prop::collection::vec((0_usize..6, prop_oneof![0_i64..3, 0_i64..700]), 1..250),
        ) {
            let mut model = Model { tokens: vec![(None, false)] };
            let mut tokens = RefreshTokens::new("0".to_owned());
            let mut now_s = 1_000_000;
            for (back, pause_s) in steps {
                now_s += pause_s;
                let good: Vec<String> = tokens.valid(now_s).map(str::to_owned).collect();
                let expected: Vec<String> = (0..model.tokens.len())
                    .filter(|at| model.is_good(*at, now_s))
                    .map(|at| at.to_string())
                    .collect();
                prop_assert_eq!(&good, &expected);
                prop_assert!(good.len() <= FORMER_MAX + 1);
                // Mostly the newest ones, sometimes an expired one.
                let shown = model.tokens.len().saturating_sub(back + 1);
                if model.is_good(shown, now_s) {
                    tokens = tokens.after_use(&shown.to_string(), model.tokens.len().to_string(), now_s);
                    model.use_one(shown, now_s);
                }
                prop_assert_eq!(tokens.current(), (model.tokens.len() - 1).to_string());
            }
        }
    }

    #[test]
    fn sixty_five_rotations_at_once_stop_at_the_limit_and_go_on_later() {
        let mut tokens = RefreshTokens::new("0".to_owned());
        for next in 1..=FORMER_MAX + 1 {
            tokens = tokens.after_use(tokens.current(), next.to_string(), 0);
        }
        assert_eq!(tokens.current(), FORMER_MAX.to_string(), "the last one did not rotate");
        assert_eq!(tokens.valid(GRACE_S - 1).count(), FORMER_MAX + 1);
        let tokens = tokens.after_use(&FORMER_MAX.to_string(), "next".to_owned(), GRACE_S);
        assert_eq!(tokens.valid(GRACE_S).collect::<Vec<_>>(), [FORMER_MAX.to_string().as_str(), "next"]);
    }
}
