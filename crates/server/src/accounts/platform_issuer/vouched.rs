//! Texts that we give out and know again without keeping them: a payload, and a code over it that only the data key makes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;
use system::data_key::DataKey;

const MAC_BYTES: usize = 32;
/// Longer than anything that is ever given out.
const TEXT_BYTES_MAX: usize = 2048;

/// What a text is for, and whom: nothing stands in for anything else.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// What the text begins with.
    pub prefix: &'static str,
    /// The platform.
    pub component: &'a str,
}

impl Purpose<'_> {
    /// The text that holds this.
    pub fn text(self, payload: &[u8], key: &DataKey) -> String {
        let mac = self.mac(payload, key);
        format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode([payload, &mac].concat()))
    }

    /// What a text holds, if we gave it out for this.
    pub fn read(self, text: &str, key: &DataKey) -> Option<Vec<u8>> {
        let encoded = text.strip_prefix(self.prefix).filter(|encoded| encoded.len() <= TEXT_BYTES_MAX)?;
        let mut payload = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let mac = payload.split_off(payload.len().checked_sub(MAC_BYTES)?);
        bool::from(self.mac(&payload, key).as_slice().ct_eq(&mac)).then_some(payload)
    }

    fn mac(self, payload: &[u8], key: &DataKey) -> [u8; MAC_BYTES] {
        key.mac(&[self.prefix, self.component, &URL_SAFE_NO_PAD.encode(payload)])
    }
}
