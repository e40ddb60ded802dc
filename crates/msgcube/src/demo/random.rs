//! Reproducible random numbers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
//! 2014). Not for real secrets.

/// A sequence of numbers that depends only on its seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A separate sequence for one purpose, so that a change of one use does not change the others.
    pub fn derive(seed: u64, purpose: u64) -> Random {
        Random(Random(seed).next() ^ Random(!purpose).next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0. The bias of the multiplication is negligible here.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// True with a probability of `n` per mille.
    pub fn per_mille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// A random position in `weights`, with a probability proportional to its weight.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut ticket = self.below(weights.iter().sum());
        for (position, weight) in weights.iter().enumerate() {
            if ticket < *weight {
                return position;
            }
            ticket -= weight;
        }
        0
    }

    /// `len` random characters of `alphabet`, which must not be empty.
    pub fn text(&mut self, alphabet: &[u8], len: usize) -> String {
        let size = alphabet.len() as u64;
        (0..len).map(|_| char::from(alphabet[usize::try_from(self.below(size)).unwrap_or(0)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn positions_come_as_often_as_their_weights_say() {
        let (mut random, mut hits) = (Random::new(7), [0_u32; 3]);
        for _ in 0..10_000 {
            hits[random.weighted(&[1, 0, 9])] += 1;
        }
        assert_eq!(hits[1], 0);
        assert!((800..1200).contains(&hits[0]), "{hits:?}");
    }

    #[test]
    fn streams_for_different_purposes_differ() {
        assert_ne!(Random::derive(1, 0).next(), Random::derive(1, 1).next());
        assert_ne!(Random::derive(1, 0).next(), Random::derive(2, 0).next());
    }
}
