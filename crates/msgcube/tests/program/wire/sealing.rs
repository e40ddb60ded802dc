//! Callbacks as WeChat signs and encrypts them, and callbacks with errors.

use std::fmt::Write as _;

use form_urlencoded::byte_serialize;
use msgcube::conformance::{
    case::{Callback, CallbackMode},
    request::Request,
};
use wechat::callback::{
    cipher::{self, AesKey},
    seal::Draft,
    signature::sign,
};

use crate::wire::settings::{self, APPID, KEY, OTHER, moment};

const NONCE: &str = "1372623149";

/// A text message to the first account in safe mode.
pub fn usual() -> Callback {
    toml::from_str("").unwrap()
}

/// The request with this callback, made at this time.
pub fn request(callback: &Callback, now_s: i64) -> Request {
    let path = format!("/callback/{}", receiver(callback));
    let timestamp = (now_s - callback.age_s).to_string();
    if let Some(echostr) = &callback.verify {
        let query = query(callback, &timestamp, None);
        let line = format!("GET {path}?{query}&echostr={echostr}").into_bytes();
        return Request { line, headers: Vec::new(), body: None, chunked: false };
    }
    let message = callback.raw.clone().unwrap_or_else(|| draft(callback, now_s));
    let encrypt = (callback.mode != CallbackMode::Plain).then(|| encrypt(callback, &message));
    let mut body = match (&encrypt, callback.json) {
        (None, _) => message,
        (Some(encrypt), true) => format!(r#"{{"ToUserName":"{}","Encrypt":"{encrypt}"}}"#, callback.to),
        (Some(encrypt), false) => envelope(callback, &message, encrypt),
    };
    let blanks = callback.bytes.saturating_sub(body.len());
    body.extend(std::iter::repeat_n(' ', blanks));
    let line = format!("POST {path}?{}", query(callback, &timestamp, encrypt.as_deref())).into_bytes();
    let headers = vec!["Content-Type: text/xml".to_owned()];
    Request { line, headers, body: Some(body.into_bytes()), chunked: false }
}

fn receiver(callback: &Callback) -> &'static str {
    if callback.other { OTHER } else { APPID }
}

fn draft(callback: &Callback, now_s: i64) -> String {
    let draft = Draft {
        to_user: &callback.to,
        from_user: &callback.user,
        create_time: callback.at.as_deref().map_or(now_s, moment),
        msg_type: &callback.kind,
        fields: callback.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        msg_id: callback.id.as_ref().map(|id| id.parse().unwrap()),
    };
    draft.xml()
}

fn encrypt(callback: &Callback, message: &str) -> String {
    let key = AesKey::parse(callback.key.as_deref().unwrap_or(KEY)).unwrap();
    let appid = callback.appid.as_deref().unwrap_or(receiver(callback));
    cipher::encrypt(&key, *b"0123456789abcdef", message.as_bytes(), appid)
}

/// In compatible mode the body has the clear fields and the ciphertext.
fn envelope(callback: &Callback, message: &str, encrypt: &str) -> String {
    let clear = match callback.mode {
        CallbackMode::Compatible => message.trim_start_matches("<xml>").trim_end_matches("</xml>").to_owned(),
        _ => format!("<ToUserName><![CDATA[{}]]></ToUserName>", callback.to),
    };
    format!("<xml>{clear}<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")
}

fn query(callback: &Callback, timestamp: &str, encrypt: Option<&str>) -> String {
    let usual = if callback.other { settings::OTHER_TOKEN } else { settings::TOKEN };
    let token = callback.token.as_deref().unwrap_or(usual);
    let hex = |signature: [u8; 40]| String::from_utf8(signature.to_vec()).unwrap();
    let mut values = vec![
        ("signature", hex(sign([token, timestamp, NONCE].map(str::as_bytes)))),
        ("timestamp", timestamp.to_owned()),
        ("nonce", NONCE.to_owned()),
        ("openid", callback.user.clone()),
    ];
    if let Some(encrypt) = encrypt {
        let signature = sign([token, timestamp, NONCE, encrypt].map(str::as_bytes));
        values.push(("encrypt_type", "aes".to_owned()));
        values.push(("msg_signature", hex(signature)));
    }
    let mut query = String::new();
    for (name, mut value) in values {
        if callback.without.iter().any(|gone| gone == name) {
            continue;
        }
        if callback.wrong.iter().any(|wrong| wrong == name) {
            // Changes the last digit and keeps the length.
            let last = value.pop().unwrap();
            value.push(if last == '0' { '1' } else { '0' });
        }
        let value: String = byte_serialize(value.as_bytes()).collect();
        let sign = if query.is_empty() { "" } else { "&" };
        let _ = write!(query, "{sign}{name}={value}");
    }
    query
}
