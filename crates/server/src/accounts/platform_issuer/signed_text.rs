//! Signed texts: a payload and a MAC that only the data key can make. They are recognised later without being
//! stored.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;
use system::data_key::DataKey;

const MAC_BYTES: usize = 32;
/// Longer than any text that is given out.
const TEXT_BYTES_MAX: usize = 2048;

/// What a text is for, and for which platform. A text for one purpose is not accepted for another.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// Prefix of the text.
    pub prefix: &'static str,
    /// The platform's appid.
    pub component: &'a str,
}

impl Purpose<'_> {
    /// Makes the text of a payload.
    pub fn sign(self, payload: &[u8], key: &DataKey) -> String {
        let mac = self.mac(payload, key);
        format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode([payload, &mac].concat()))
    }

    /// Reads the payload of a text. None if we did not sign it for this purpose.
    pub fn verify(self, text: &str, key: &DataKey) -> Option<Vec<u8>> {
        let encoded = text.strip_prefix(self.prefix).filter(|encoded| encoded.len() <= TEXT_BYTES_MAX)?;
        let mut payload = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let mac = payload.split_off(payload.len().checked_sub(MAC_BYTES)?);
        bool::from(self.mac(&payload, key).as_slice().ct_eq(&mac)).then_some(payload)
    }

    fn mac(self, payload: &[u8], key: &DataKey) -> [u8; MAC_BYTES] {
        key.mac(&[self.prefix, self.component, &URL_SAFE_NO_PAD.encode(payload)])
    }
}
