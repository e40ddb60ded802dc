//! Openids in WeChat's form: 28 characters, of which all users of one account share the first six.

use super::random::Random;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Computes the openids of one account's users from their numbers.
#[derive(Clone, Debug)]
pub struct Openids {
    prefix: String,
    seed: u64,
}

impl Openids {
    pub fn new(seed: u64) -> Openids {
        let mut random = Random::new(seed);
        let prefix = format!("o{}", random.text(ALPHABET, 5));
        Openids { prefix, seed: random.next() }
    }

    pub fn of(&self, user: u64) -> Box<str> {
        let own = Random::derive(self.seed, user).text(ALPHABET, 22);
        format!("{}{own}", self.prefix).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openids_have_28_characters_and_their_accounts_prefix() {
        let (one, other) = (Openids::new(1), Openids::new(2));
        for user in 0..1000 {
            assert_eq!(one.of(user).len(), 28);
            assert_eq!(one.of(user)[..6], one.of(0)[..6]);
            assert_ne!(one.of(user), one.of(user + 1));
        }
        assert_ne!(one.of(0)[..6], other.of(0)[..6]);
    }
}
