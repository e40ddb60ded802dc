//! The opposite of opening: callbacks as WeChat makes them. For `send`, the demo and the tests.

use std::fmt::Write;

use form_urlencoded::Serializer;

use super::cipher::{self, AesKey};
use super::signature::{Signature, sign};

/// A message or event to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft<'a> {
    /// `ToUserName`, the account's original id (`gh_…`).
    pub to_user: &'a str,
    /// `FromUserName`, the sender's openid.
    pub from_user: &'a str,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `MsgType`.
    pub msg_type: &'a str,
    /// What this kind of message carries, such as `("Content", "hi")`, in order.
    pub fields: Vec<(&'a str, &'a str)>,
    /// `MsgId`; of an event `MsgID`, which few have.
    pub msg_id: Option<u64>,
}

impl Draft<'_> {
    /// The message as WeChat writes it.
    pub fn xml(&self) -> String {
        let mut xml = self.head();
        for (name, value) in &self.fields {
            element(&mut xml, name, value);
        }
        if let Some(msg_id) = self.msg_id {
            number(&mut xml, if self.msg_type == "event" { "MsgID" } else { "MsgId" }, msg_id);
        }
        xml + "</xml>"
    }

    /// The message in compatible mode: the clear fields and the ciphertext of them.
    fn compatible_xml(&self, encrypt: &str) -> String {
        let mut xml = self.xml();
        xml.truncate(xml.len() - "</xml>".len());
        element(&mut xml, "Encrypt", encrypt);
        xml + "</xml>"
    }

    fn head(&self) -> String {
        let mut xml = String::from("<xml>");
        element(&mut xml, "ToUserName", self.to_user);
        element(&mut xml, "FromUserName", self.from_user);
        number(&mut xml, "CreateTime", self.create_time);
        element(&mut xml, "MsgType", self.msg_type);
        xml
    }
}

fn element(xml: &mut String, name: &str, text: &str) {
    // CDATA cannot hold its own end; two of them can.
    let text = text.replace("]]>", "]]]]><![CDATA[>");
    // Writing to a String cannot fail.
    let _ = write!(xml, "<{name}><![CDATA[{text}]]></{name}>");
}

fn number(xml: &mut String, name: &str, number: impl std::fmt::Display) {
    let _ = write!(xml, "<{name}>{number}</{name}>");
}

/// What a third-party platform is told. Source: WeChat's pages on component_verify_ticket and on authorisation events.
/// Not shown: it holds a ticket or a code.
#[derive(Clone)]
pub struct Notice<'a> {
    /// The platform's appid.
    pub appid: &'a str,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `InfoType`
    pub info_type: &'a str,
    /// What this kind carries, in order.
    pub fields: Vec<(&'a str, &'a str)>,
}

impl Notice<'_> {
    fn xml(&self) -> String {
        let mut xml = String::from("<xml>");
        element(&mut xml, "AppId", self.appid);
        number(&mut xml, "CreateTime", self.create_time);
        element(&mut xml, "InfoType", self.info_type);
        for (name, value) in &self.fields {
            element(&mut xml, name, value);
        }
        xml + "</xml>"
    }
}

/// A callback ready to be POSTed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// What follows the question mark.
    pub query: String,
    /// The body.
    pub body: String,
}

/// What a callback is signed with and for.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    /// The account's callback token.
    pub token: &'a str,
    /// Unix seconds.
    pub timestamp: i64,
    /// WeChat's random number, as text.
    pub nonce: &'a str,
}

/// How a callback is encrypted.
#[derive(Clone, Copy)]
pub struct Encryption<'a> {
    /// The account's key.
    pub key: &'a AesKey,
    /// What the ciphertext ends with: the account's appid, or the third-party platform's.
    pub appid: &'a str,
    /// 16 bytes, random except in tests.
    pub random: [u8; 16],
    /// Whether the clear fields go along (compatible mode); false: safe mode.
    pub compatible: bool,
}

impl Envelope<'_> {
    /// A plain callback.
    pub fn plain(&self, draft: &Draft<'_>) -> Sealed {
        Sealed { query: self.query(Some(draft)).finish(), body: draft.xml() }
    }

    /// A platform's push, which always is encrypted. The 16 bytes have to be random, except in tests.
    pub fn notice(&self, key: &AesKey, random: [u8; 16], notice: &Notice<'_>) -> Sealed {
        let encrypt = cipher::encrypt(key, random, notice.xml().as_bytes(), notice.appid);
        let mut body = String::from("<xml>");
        element(&mut body, "AppId", notice.appid);
        element(&mut body, "Encrypt", &encrypt);
        Sealed { query: self.encrypted_query(None, &encrypt), body: body + "</xml>" }
    }

    /// An encrypted callback. It carries the plain signature, too, as WeChat's do.
    pub fn encrypted(&self, encryption: &Encryption<'_>, draft: &Draft<'_>) -> Sealed {
        let encrypt =
            cipher::encrypt(encryption.key, encryption.random, draft.xml().as_bytes(), encryption.appid);
        let body =
            if encryption.compatible { draft.compatible_xml(&encrypt) } else { safe_xml(draft, &encrypt) };
        Sealed { query: self.encrypted_query(Some(draft), &encrypt), body }
    }

    fn encrypted_query(&self, draft: Option<&Draft<'_>>, encrypt: &str) -> String {
        let timestamp = self.timestamp.to_string();
        let values = [self.token, &timestamp, self.nonce, encrypt].map(str::as_bytes);
        let mut query = self.query(draft);
        query.append_pair("encrypt_type", "aes").append_pair("msg_signature", text(&sign(values)));
        query.finish()
    }

    fn query(&self, draft: Option<&Draft<'_>>) -> Serializer<'static, String> {
        let timestamp = self.timestamp.to_string();
        let signature = sign([self.token, &timestamp, self.nonce].map(str::as_bytes));
        let mut query = Serializer::new(String::new());
        query
            .append_pair("signature", text(&signature))
            .append_pair("timestamp", &timestamp)
            .append_pair("nonce", self.nonce);
        if let Some(draft) = draft {
            query.append_pair("openid", draft.from_user);
        }
        query
    }
}

fn safe_xml(draft: &Draft<'_>, encrypt: &str) -> String {
    let mut xml = String::from("<xml>");
    element(&mut xml, "ToUserName", draft.to_user);
    element(&mut xml, "Encrypt", encrypt);
    xml + "</xml>"
}

/// A signature is hexadecimal digits, so it is always text.
fn text(signature: &Signature) -> &str {
    std::str::from_utf8(signature).unwrap_or_default()
}
