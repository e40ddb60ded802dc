//! WeChat's signatures: SHA-1 over the sorted values, in hexadecimal. Compared in constant time.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::{AccountKeys, Query};

/// A signature as in the query: 40 lower-case hexadecimal digits.
pub type Signature = [u8; 40];

/// Signs token, timestamp and nonce, and for `msg_signature` also the text of `Encrypt`. The values may have any order.
/// Source: WeChat's documentation of callbacks; tested with the vectors in `crates/wechat/tests/data`.
pub fn sign<const N: usize>(mut values: [&[u8]; N]) -> Signature {
    values.sort_unstable();
    let mut hash = Sha1::new();
    for value in values {
        hash.update(value);
    }
    hex(&hash.finalize().into())
}

fn hex(digest: &[u8; 20]) -> Signature {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0f)];
    }
    text
}

/// Whether `signature` is correct for one of the account's tokens.
pub(super) fn is_plain_signature_valid(keys: &AccountKeys, query: &Query<'_>) -> bool {
    let (Some(given), Some(timestamp), Some(nonce)) = (&query.signature, &query.timestamp, &query.nonce)
    else {
        return false;
    };
    keys.tokens().any(|token| is_equal(&sign([token, timestamp, nonce]), given))
}

/// Whether `msg_signature` is correct for one of the account's tokens and this text of `Encrypt`.
pub(super) fn is_encrypted_signature_valid(keys: &AccountKeys, query: &Query<'_>, encrypt: &[u8]) -> bool {
    let (Some(given), Some(timestamp), Some(nonce)) = (&query.msg_signature, &query.timestamp, &query.nonce)
    else {
        return false;
    };
    keys.tokens().any(|token| is_equal(&sign([token, timestamp, nonce, encrypt]), given))
}

fn is_equal(expected: &Signature, given: &[u8]) -> bool {
    expected.as_slice().ct_eq(given).into()
}
