//! TC3-HMAC-SHA256 as the cloud's SDKs sign: named headers, and named fields of the form in place of the body.

use std::fmt::Write as _;

use axum::http::{HeaderMap, header, request::Parts};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Field;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SERVICE: &str = "tcb";
const TERMINATOR: &str = "tc3_request";
/// How far X-Timestamp may lie from the clock, either way; what the SDKs write into X-Signature-Expires.
const SECONDS_MAX: i64 = 600;
/// Names in one signature; the SDK has six headers and about as many fields.
const NAMES_MAX: usize = 32;
const FORM: &str = "multipart/form-data";

/// What the headers say of the signature.
#[derive(Debug)]
pub struct Authorization<'a> {
    /// The name of the key.
    pub secret_id: &'a str,
    /// The fields that are signed.
    pub fields: Vec<&'a str>,
    headers: Vec<&'a str>,
    date: &'a str,
    signature: [u8; 32],
    timestamp_s: i64,
    expires_s: i64,
}

impl<'a> Authorization<'a> {
    /// Reads them; nothing if one is missing, malformed, or signs too little.
    pub fn read(headers: &'a HeaderMap) -> Option<Authorization<'a>> {
        let parts = single(headers, "authorization")?.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let value = |name: &str| {
            let mut named = parts.split(',').filter_map(|part| part.trim().split_once('='));
            named.find(|(found, _)| *found == name).map(|(_, value)| value)
        };
        let credential = value("Credential")?.strip_suffix(TERMINATOR)?.strip_suffix('/')?;
        let (secret_id, date) = credential.strip_suffix(SERVICE)?.strip_suffix('/')?.rsplit_once('/')?;
        let names = |list: &'a str| {
            let names: Vec<&str> = list.split(';').collect();
            (names.len() <= NAMES_MAX).then_some(names)
        };
        let number = |name: &str| single(headers, name)?.parse::<u32>().ok().map(i64::from);
        let expires_s = if headers.contains_key("x-signature-expires") {
            number("x-signature-expires")?.min(SECONDS_MAX)
        } else {
            SECONDS_MAX
        };
        let authorization = Authorization {
            secret_id,
            fields: names(value("SignedParams")?)?,
            headers: names(value("SignedHeaders")?)?,
            date,
            signature: from_hexadecimal(value("Signature")?)?,
            timestamp_s: number("x-timestamp")?,
            expires_s,
        };
        let signs = |name| authorization.headers.contains(&name);
        (signs("host") && signs("content-type")).then_some(authorization)
    }

    /// Whether it was signed at a time that is near enough.
    pub fn is_timely(&self, now_s: i64) -> bool {
        let age_s = now_s.saturating_sub(self.timestamp_s);
        (-SECONDS_MAX..=self.expires_s).contains(&age_s) && utc_date(self.timestamp_s) == self.date
    }

    /// Whether the key made the signature over this request. Takes as long for a wrong signature as for the right one.
    pub fn is_right(&self, parts: &Parts, fields: &[Field], secret_key: &str) -> bool {
        let Some(request) = self.canonical_request(parts, fields) else { return false };
        let scope = format!("{}/{SERVICE}/{TERMINATOR}", self.date);
        let hash = hexadecimal(&Sha256::digest(request));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", self.timestamp_s);
        let steps = [self.date, SERVICE, TERMINATOR];
        let start = Zeroizing::new(format!("TC3{secret_key}").into_bytes());
        let derived = |key: Zeroizing<Vec<u8>>, step: &&str| {
            Zeroizing::new(keyed(&key, step).finalize().into_bytes().to_vec())
        };
        let key = steps.iter().fold(start, derived);
        keyed(&key, &text).verify_slice(&self.signature).is_ok()
    }

    fn canonical_request(&self, parts: &Parts, fields: &[Field]) -> Option<String> {
        let host = match single(&parts.headers, "host") {
            Some(host) => host,
            None => parts.uri.authority()?.as_str(),
        };
        let mut headers = String::new();
        for name in &self.headers {
            let value = if *name == "host" { host } else { single(&parts.headers, name)? };
            let _ = writeln!(headers, "{name}:{}", canonical_value(name, value));
        }
        // The SDKs sign the method in small letters.
        let method = parts.method.as_str().to_ascii_lowercase();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
        let (names, payload) = (self.headers.join(";"), self.payload(fields)?);
        Some(format!("{method}\n//{host}{path}\n{query}\n{headers}\n{names}\n{payload}"))
    }

    /// The hash of the signed fields, which must all be there.
    fn payload(&self, fields: &[Field]) -> Option<String> {
        let mut hash = Sha256::new();
        for name in &self.fields {
            let field = fields.iter().find(|field| field.name == *name)?;
            hash.update(format!("&{name}="));
            hash.update(&field.value);
            hash.update("\r\n");
        }
        Some(hexadecimal(&hash.finalize()))
    }
}

fn canonical_value(name: &str, value: &str) -> String {
    let is_type = name == header::CONTENT_TYPE.as_str();
    match value.trim() {
        // The boundary is made after signing.
        value if is_type && value.starts_with(FORM) => FORM.to_owned(),
        value if is_type => value.to_owned(),
        value => value.to_ascii_lowercase(),
    }
}

/// The value of a header that stands there once, in ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn keyed(key: &[u8], text: &str) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(text.as_bytes());
    mac
}

fn utc_date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(bytes))
}

fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_whole = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    is_whole.then_some(bytes)
}
