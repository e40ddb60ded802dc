//! WeChat's encryption of callbacks: AES-256-CBC over 16 random bytes, the length of the message, the message and the
//! appid. Source: WeChat's documentation of message encryption.

use std::fmt;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use zeroize::{Zeroize, Zeroizing};

/// The last character of a key has two unused bits. Some of WeChat's keys have them set.
const KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

const KEY_CHARACTERS: usize = 43;
const AES_BLOCK_BYTES: usize = 16;
/// PKCS#7 padding to blocks of 32 bytes, twice the block of AES. Source: WeChat's sample code.
const PADDING_BLOCK_BYTES: usize = 32;
const RANDOM_BYTES: usize = 16;
const HEADER_BYTES: usize = RANDOM_BYTES + 4;

/// The AES key that an EncodingAESKey encodes. Its first half is also the initialization vector.
#[derive(Clone)]
pub struct AesKey([u8; 32]);

/// Why a text is not an EncodingAESKey. Does not contain the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AesKeyError {
    /// The text has this many characters instead of 43.
    #[error("{0} characters instead of 43: copy the EncodingAESKey of the account's server configuration")]
    Length(usize),
    /// The character at this position, counted from 1, is not a letter or digit.
    #[error(
        "character {0} is not a letter or digit: copy the EncodingAESKey of the account's server configuration"
    )]
    Character(usize),
}

impl AesKey {
    /// Parses the 43 characters of an EncodingAESKey. The unused bits of the last character may have any value.
    ///
    /// # Errors
    /// The length or a character is wrong.
    pub fn parse(text: &str) -> Result<AesKey, AesKeyError> {
        let characters = text.chars().count();
        if characters != KEY_CHARACTERS {
            return Err(AesKeyError::Length(characters));
        }
        let is_invalid = |character: char| !(character.is_ascii_alphanumeric() || "+/".contains(character));
        if let Some(position) = text.chars().position(is_invalid) {
            return Err(AesKeyError::Character(position + 1));
        }
        let bytes = Zeroizing::new(KEY_BASE64.decode(text).unwrap_or_default());
        bytes.as_slice().try_into().map(AesKey).map_err(|_| AesKeyError::Length(characters))
    }

    fn initial_vector(&self) -> [u8; AES_BLOCK_BYTES] {
        let mut vector = [0; AES_BLOCK_BYTES];
        vector.copy_from_slice(&self.0[..AES_BLOCK_BYTES]);
        vector
    }
}

impl Drop for AesKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(…)")
    }
}

/// Why decrypting failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// `Encrypt` is not base64.
    #[error("Encrypt is not base64")]
    NotBase64,
    /// The ciphertext is empty or not a whole number of AES blocks.
    #[error("the ciphertext is not a whole number of blocks")]
    Blocks,
    /// The padding is wrong: usually the key is another one.
    #[error("the padding is wrong, as it is after decrypting with another key")]
    Padding,
    /// The length of the message is larger than the plaintext.
    #[error("the message length inside does not match the ciphertext")]
    Length,
}

impl CipherError {
    /// A short name, for the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            CipherError::NotBase64 => "base64",
            CipherError::Blocks => "blocks",
            CipherError::Padding => "padding",
            CipherError::Length => "length",
        }
    }
}

/// A decrypted callback.
pub struct Envelope {
    plaintext: Vec<u8>,
    message_end: usize,
}

impl Envelope {
    /// The message, as XML or JSON.
    pub fn message(&self) -> &[u8] {
        self.plaintext.get(HEADER_BYTES..self.message_end).unwrap_or_default()
    }

    /// The appid that follows the message. It is not checked here.
    pub fn appid(&self) -> &[u8] {
        self.plaintext.get(self.message_end..).unwrap_or_default()
    }
}

/// Decodes the text of `Encrypt` from base64.
///
/// # Errors
/// [`CipherError::NotBase64`]
pub fn decode(encrypt: &[u8]) -> Result<Vec<u8>, CipherError> {
    STANDARD.decode(encrypt).map_err(|_| CipherError::NotBase64)
}

/// Decrypts a callback. The caller must have checked its signature: an attacker who can send any ciphertext could learn the
/// plaintext from padding errors.
///
/// # Errors
/// The padding or the length is wrong. The appid is not checked.
pub fn decrypt(key: &AesKey, ciphertext: &[u8]) -> Result<Envelope, CipherError> {
    if ciphertext.is_empty() {
        return Err(CipherError::Blocks);
    }
    let cipher = cbc::Decryptor::<Aes256>::new(&key.0.into(), &key.initial_vector().into());
    let mut plaintext = ciphertext.to_vec();
    cipher.decrypt_padded::<NoPadding>(&mut plaintext).map_err(|_| CipherError::Blocks)?;
    let padding = padding_len(&plaintext).ok_or(CipherError::Padding)?;
    plaintext.truncate(plaintext.len() - padding);
    let message_end = message_end(&plaintext).ok_or(CipherError::Length)?;
    Ok(Envelope { plaintext, message_end })
}

fn padding_len(plaintext: &[u8]) -> Option<usize> {
    let last = *plaintext.last()?;
    let length = usize::from(last);
    let padding = plaintext.len().checked_sub(length).and_then(|start| plaintext.get(start..))?;
    let is_right = (1..=PADDING_BLOCK_BYTES).contains(&length) && padding.iter().all(|byte| *byte == last);
    is_right.then_some(length)
}

fn message_end(plaintext: &[u8]) -> Option<usize> {
    let length: [u8; 4] = plaintext.get(RANDOM_BYTES..HEADER_BYTES)?.try_into().ok()?;
    let end = HEADER_BYTES.checked_add(usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    (end <= plaintext.len()).then_some(end)
}

/// Encrypts like WeChat and returns the text of `Encrypt`. The 16 bytes must be random, except in tests.
pub fn encrypt(key: &AesKey, random: [u8; 16], message: &[u8], appid: &str) -> String {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut plaintext = [&random, length.to_be_bytes().as_slice(), message, appid.as_bytes()].concat();
    let padding = PADDING_BLOCK_BYTES - plaintext.len() % PADDING_BLOCK_BYTES;
    let padding_byte = u8::try_from(padding).unwrap_or_default();
    plaintext.resize(plaintext.len() + padding, padding_byte);
    let cipher = cbc::Encryptor::<Aes256>::new(&key.0.into(), &key.initial_vector().into());
    let length = plaintext.len();
    // Cannot fail: the padding made the plaintext a whole number of blocks.
    let ciphertext = cipher.encrypt_padded::<NoPadding>(&mut plaintext, length).unwrap_or_default();
    STANDARD.encode(ciphertext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_set_trailing_bits_is_the_key_without_them() {
        let with = AesKey::parse("AdiqDDDvUNCeE1ZW5XJmjf9fqNBJpGBs4vL4cHKmHBS").unwrap();
        let without = AesKey::parse("AdiqDDDvUNCeE1ZW5XJmjf9fqNBJpGBs4vL4cHKmHBQ").unwrap();
        assert_eq!(with.0, without.0);
        assert_eq!(format!("{with:?}"), "AesKey(…)");
    }

    #[test]
    fn an_invalid_key_says_why() {
        assert_eq!(AesKey::parse("").unwrap_err(), AesKeyError::Length(0));
        assert_eq!(AesKey::parse(&"A".repeat(44)).unwrap_err(), AesKeyError::Length(44));
        assert_eq!(AesKey::parse(&format!("AA={}", "A".repeat(40))).unwrap_err(), AesKeyError::Character(3));
        assert_eq!(AesKey::parse(&"微".repeat(43)).unwrap_err(), AesKeyError::Character(1));
    }

    #[test]
    fn ciphertexts_of_wrong_length_are_refused() {
        let key = AesKey::parse(&"A".repeat(43)).unwrap();
        for length in [0, 1, 15, 17] {
            assert_eq!(decrypt(&key, &vec![0; length]).err(), Some(CipherError::Blocks), "{length} bytes");
        }
    }
}
