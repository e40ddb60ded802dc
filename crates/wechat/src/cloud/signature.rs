//! TC3-HMAC-SHA256 as the cloud's SDKs use it: they sign named headers, and named form fields in place of the body.

use std::fmt::Write as _;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header, request::Parts};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Field;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const SERVICE: &str = "tcb";
const TERMINATOR: &str = "tc3_request";
/// Largest difference between X-Timestamp and the clock, in either direction. The SDKs send the same value in
/// X-Signature-Expires.
const SECONDS_MAX: i64 = 600;
/// Most headers, and most fields, in one signature. The SDK signs about six of each.
const NAMES_MAX: usize = 32;
const FORM: &str = "multipart/form-data";

/// The signature of a cloud call, parsed from its headers.
#[derive(Debug)]
pub struct Tc3Authorization<'a> {
    /// The id of the key that made the signature.
    pub secret_id: &'a str,
    /// The names of the signed form fields.
    pub fields: Vec<&'a str>,
    headers: Vec<&'a str>,
    date: &'a str,
    signature: [u8; 32],
    timestamp_s: i64,
    expires_s: i64,
}

impl<'a> Tc3Authorization<'a> {
    /// Parses the headers. None if one is missing or malformed, or if `host` or `content-type` is not signed.
    pub fn read(headers: &'a HeaderMap) -> Option<Tc3Authorization<'a>> {
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
        let authorization = Tc3Authorization {
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

    /// Whether the time of the signature is near enough to `now_s`, in Unix seconds.
    pub fn is_fresh(&self, now_s: i64) -> bool {
        let age_s = now_s.saturating_sub(self.timestamp_s);
        (-SECONDS_MAX..=self.expires_s).contains(&age_s) && utc_date(self.timestamp_s) == self.date
    }

    /// Whether the signature was made with `secret_key` over this request. Compares in constant time.
    pub fn is_valid(&self, parts: &Parts, fields: &[Field], secret_key: &str) -> bool {
        let Some(request) = self.canonical_request(parts, fields) else { return false };
        let scope = format!("{}/{SERVICE}/{TERMINATOR}", self.date);
        let hash = hexadecimal(&Sha256::digest(request));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", self.timestamp_s);
        let steps = [self.date, SERVICE, TERMINATOR];
        let start = Zeroizing::new(format!("TC3{secret_key}").into_bytes());
        let derived = |key: Zeroizing<Vec<u8>>, step: &&str| {
            Zeroizing::new(hmac_of(&key, step).finalize().into_bytes().to_vec())
        };
        let key = steps.iter().fold(start, derived);
        hmac_of(&key, &text).verify_slice(&self.signature).is_ok()
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
        // The SDKs sign the method in lower case.
        let method = parts.method.as_str().to_ascii_lowercase();
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
        let (names, payload) = (self.headers.join(";"), self.payload_hash(fields)?);
        Some(format!("{method}\n//{host}{path}\n{query}\n{headers}\n{names}\n{payload}"))
    }

    /// The hash of the signed fields. None if one is missing.
    fn payload_hash(&self, fields: &[Field]) -> Option<String> {
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
        // The SDKs choose the boundary after signing.
        value if is_type && value.starts_with(FORM) => FORM.to_owned(),
        value if is_type => value.to_owned(),
        value => value.to_ascii_lowercase(),
    }
}

/// The value of a header. None if the header is missing, repeated or not ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn hmac_of(key: &[u8], text: &str) -> Hmac<Sha256> {
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
