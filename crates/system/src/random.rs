//! Random texts from the system's random generator, for secrets.

use zeroize::Zeroizing;

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Base64 characters whose last two bits are zero. Strict decoders accept only these at the end of a 43-character key.
const KEY_ENDS: &[u8; 14] = b"AEIMQUYcgkosw0";

/// The system's random generator failed.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct RandomError(#[from] getrandom::Error);

/// `bytes` random bytes as hexadecimal digits, two per byte.
pub fn hexadecimal(bytes: usize) -> Result<String, RandomError> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect())
}

/// Random ASCII letters and digits.
pub fn alphanumeric(characters: usize) -> Result<String, RandomError> {
    (0..characters).map(|_| random_character(ALPHANUMERIC)).collect()
}

/// A random EncodingAESKey: 43 letters and digits. Source: WeChat's documentation of message encryption.
pub fn encoding_aes_key() -> Result<String, RandomError> {
    Ok(alphanumeric(42)? + &random_character(KEY_ENDS)?.to_string())
}

/// Picks each character with the same probability: a byte beyond the last whole multiple is drawn again.
fn random_character(characters: &[u8]) -> Result<char, RandomError> {
    let limit = 256 - 256 % characters.len();
    let mut byte = [0];
    loop {
        getrandom::fill(&mut byte)?;
        let number = usize::from(byte[0]);
        if number < limit {
            return Ok(char::from(characters[number % characters.len()]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_have_the_form_that_wechat_accepts() {
        assert_eq!(hexadecimal(16).unwrap().len(), 32);
        for _ in 0..200 {
            let key = encoding_aes_key().unwrap();
            assert!(key.len() == 43 && key.bytes().all(|b| b.is_ascii_alphanumeric()));
            // In base64 these characters stand for 0 to 61 in this order.
            let end = ALPHANUMERIC.iter().position(|character| Some(character) == key.as_bytes().last());
            assert_eq!(end.map(|value| value % 4), Some(0), "{key}");
        }
        assert_ne!(alphanumeric(20).unwrap(), alphanumeric(20).unwrap());
    }
}
