//! Random texts for secrets.

use zeroize::Zeroizing;

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The characters of base64 whose last two bits are zero, so that strict decoders take a 43-character key.
const KEY_ENDS: &[u8; 14] = b"AEIMQUYcgkosw0";

/// The system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct RandomError(#[from] getrandom::Error);

/// Hexadecimal digits, two a byte.
pub fn hexadecimal(bytes: usize) -> Result<String, RandomError> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    let digits = random.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect())
}

/// Letters and digits.
pub fn alphanumeric(characters: usize) -> Result<String, RandomError> {
    (0..characters).map(|_| one_of(ALPHANUMERIC)).collect()
}

/// An EncodingAESKey: 43 letters and digits.
pub fn encoding_aes_key() -> Result<String, RandomError> {
    Ok(alphanumeric(42)? + &one_of(KEY_ENDS)?.to_string())
}

/// Each with the same chance: bytes beyond a multiple of the number are drawn again.
fn one_of(characters: &[u8]) -> Result<char, RandomError> {
    let fair = 256 - 256 % characters.len();
    let mut byte = [0];
    loop {
        getrandom::fill(&mut byte)?;
        let number = usize::from(byte[0]);
        if number < fair {
            return Ok(char::from(characters[number % characters.len()]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_of_the_form_that_wechat_takes() {
        assert_eq!(hexadecimal(16).unwrap().len(), 32);
        for _ in 0..200 {
            let key = encoding_aes_key().unwrap();
            assert!(key.len() == 43 && key.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
        assert_ne!(alphanumeric(20).unwrap(), alphanumeric(20).unwrap());
    }
}
