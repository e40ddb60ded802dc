//! Opens whole callbacks: bytes in, a message or a refusal out.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod content;
mod modes;
mod noise;
mod properties;
mod vectors;

use counting::{Content, Kind, Message};
use wechat::callback::seal::{CallbackSigner, Draft, Encryption, Sealed};
use wechat::callback::{AccountKeys, KeySettings, Proof, Query, Refusal, cipher, open, signature::sign};

const NOW_S: i64 = 1_800_000_000;
const TOKEN: &str = "token-now";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const OLD_KEY: &str = "0123456789012345678901234567890123456789012";

fn settings() -> KeySettings<'static> {
    KeySettings { appid: "wx1", token: TOKEN, encoding_aes_key: Some(KEY), ..KeySettings::default() }
}

fn without_key() -> KeySettings<'static> {
    KeySettings { encoding_aes_key: None, ..settings() }
}

fn draft() -> Draft<'static> {
    Draft {
        to_user: "gh_1",
        from_user: "openid",
        create_time: NOW_S - 5,
        msg_type: "text",
        fields: vec![("Content", "hi ]]> <!DOCTYPE x> & <Encrypt/>")],
        msg_id: Some(u64::MAX),
    }
}

fn message() -> Message {
    let content = Content::Message { kind: Kind::Text, msg_id: u64::MAX };
    Message { user: "openid".into(), create_time: NOW_S - 5, content }
}

fn plain() -> Sealed {
    CallbackSigner { token: TOKEN, timestamp: NOW_S, nonce: "7" }.plain(&draft())
}

fn encrypted(key: &str, appid: &str, compatible: bool) -> Sealed {
    let key = cipher::AesKey::parse(key).unwrap();
    let encryption = Encryption { key: &key, appid, random: *b"0123456789abcdef", compatible };
    CallbackSigner { token: TOKEN, timestamp: 1, nonce: "7" }.encrypted(&encryption, &draft())
}

/// A plain callback with this body and a right signature.
fn with_body(body: &str) -> Sealed {
    Sealed { body: body.to_owned(), ..plain() }
}

/// An encrypted callback with this plaintext. `outer` makes the body from the ciphertext.
fn with_inner(inner: &str, outer: impl Fn(&str) -> String) -> Sealed {
    let key = cipher::AesKey::parse(KEY).unwrap();
    let encrypt = cipher::encrypt(&key, [7; 16], inner.as_bytes(), "wx1");
    let signature = sign([TOKEN.as_bytes(), b"1", b"2", encrypt.as_bytes()]);
    let signature = std::str::from_utf8(&signature).unwrap();
    Sealed { query: format!("timestamp=1&nonce=2&msg_signature={signature}"), body: outer(&encrypt) }
}

fn safe_xml(encrypt: &str) -> String {
    format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")
}

fn opened(settings: KeySettings<'_>, sealed: &Sealed) -> Result<Message, Refusal> {
    let keys = AccountKeys::new(&settings).unwrap();
    open(&keys, &Query::parse(&sealed.query), sealed.body.as_bytes(), NOW_S, Some(3600))
}

fn reason(settings: KeySettings<'_>, sealed: &Sealed) -> (&'static str, u16, Proof) {
    let refusal = opened(settings, sealed).unwrap_err();
    (refusal.reason(), refusal.status(), refusal.proof())
}
