//! Where a user's messages are: all messages of one user of one account are in one shard, so that repeats are found and
//! users are counted there. Pure.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// The shard, from 0 on, of a user of an account: SipHash-2-4 with zero keys over `appid/user`, modulo the number of
/// shards. This equals ClickHouse's `sipHash64(concat(appid, '/', user)) % shards`.
pub fn shard_of(appid: &str, user: &str, shards: usize) -> usize {
    let mut hash = SipHasher24::new();
    // Not `hash`, which adds a byte behind each text.
    hash.write(appid.as_bytes());
    hash.write(b"/");
    hash.write(user.as_bytes());
    usize::try_from(hash.finish() % shards.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_clickhouse() {
        // SELECT sipHash64('wx/abc') of ClickHouse 26.9. The last remainder has all bits of the number.
        let number = 5_170_172_501_659_497_146_u64;
        for shards in [1_usize, 2, 3, 7, 1000] {
            assert_eq!(shard_of("wx", "abc", shards), usize::try_from(number % shards as u64).unwrap());
        }
        assert_eq!(shard_of("wx", "abc", usize::MAX) as u64, number);
    }
}
