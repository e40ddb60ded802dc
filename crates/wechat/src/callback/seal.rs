//! Makes callbacks like WeChat: signs and encrypts them. For events to platforms, `send`, `doctor`, the demo and the tests.

use std::fmt::Write;

use form_urlencoded::Serializer;

use super::cipher::{self, AesKey};
use super::signature::{Signature, sign};

/// A message or event to send.
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
    /// The fields of this type of message in order, such as `("Content", "hi")`.
    pub fields: Vec<(&'a str, &'a str)>,
    /// `MsgId`; in an event `MsgID`, which only few events have.
    pub msg_id: Option<u64>,
}

impl Draft<'_> {
    /// The message as plain XML.
    pub fn xml(&self) -> String {
        let mut xml = self.head();
        for (name, value) in &self.fields {
            push_text_element(&mut xml, name, value);
        }
        if let Some(msg_id) = self.msg_id {
            push_number_element(&mut xml, if self.msg_type == "event" { "MsgID" } else { "MsgId" }, msg_id);
        }
        xml + "</xml>"
    }

    /// The message in compatible mode: the plain fields and the ciphertext.
    fn compatible_xml(&self, encrypt: &str) -> String {
        let mut xml = self.xml();
        xml.truncate(xml.len() - "</xml>".len());
        push_text_element(&mut xml, "Encrypt", encrypt);
        xml + "</xml>"
    }

    fn head(&self) -> String {
        let mut xml = String::from("<xml>");
        push_text_element(&mut xml, "ToUserName", self.to_user);
        push_text_element(&mut xml, "FromUserName", self.from_user);
        push_number_element(&mut xml, "CreateTime", self.create_time);
        push_text_element(&mut xml, "MsgType", self.msg_type);
        xml
    }
}

fn push_text_element(xml: &mut String, name: &str, text: &str) {
    // A CDATA section cannot contain `]]>`, so the text is split into two sections there.
    let text = text.replace("]]>", "]]]]><![CDATA[>");
    // Writing to a String cannot fail.
    let _ = write!(xml, "<{name}><![CDATA[{text}]]></{name}>");
}

fn push_number_element(xml: &mut String, name: &str, number: impl std::fmt::Display) {
    let _ = write!(xml, "<{name}>{number}</{name}>");
}

/// An event for a third-party platform. Source: WeChat's pages on component_verify_ticket and on authorization events.
/// It contains a ticket or a code, so it has no `Debug`.
#[derive(Clone)]
pub struct Notice<'a> {
    /// The platform's appid.
    pub appid: &'a str,
    /// `CreateTime`, Unix seconds.
    pub create_time: i64,
    /// `InfoType` on the wire.
    pub info_type: &'a str,
    /// The fields of this type of event, in order.
    pub fields: Vec<(&'a str, &'a str)>,
}

impl Notice<'_> {
    fn xml(&self) -> String {
        let mut xml = String::from("<xml>");
        push_text_element(&mut xml, "AppId", self.appid);
        push_number_element(&mut xml, "CreateTime", self.create_time);
        push_text_element(&mut xml, "InfoType", self.info_type);
        for (name, value) in &self.fields {
            push_text_element(&mut xml, name, value);
        }
        xml + "</xml>"
    }
}

/// A finished callback, to be sent by POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The query string, without the question mark.
    pub query: String,
    /// The body, in XML.
    pub body: String,
}

/// Signs callbacks of one account.
#[derive(Clone, Copy)]
pub struct CallbackSigner<'a> {
    /// The account's callback token.
    pub token: &'a str,
    /// The time of the signature in Unix seconds.
    pub timestamp: i64,
    /// A random number, as text.
    pub nonce: &'a str,
}

/// How a callback is encrypted.
#[derive(Clone, Copy)]
pub struct Encryption<'a> {
    /// The account's key.
    pub key: &'a AesKey,
    /// The appid at the end of the ciphertext: the account's, or the third-party platform's.
    pub appid: &'a str,
    /// 16 bytes. They must be random, except in tests.
    pub random: [u8; 16],
    /// True for compatible mode, which also sends the plain fields; false for safe mode.
    pub compatible: bool,
}

impl CallbackSigner<'_> {
    /// Makes a plain callback.
    pub fn plain(&self, draft: &Draft<'_>) -> Sealed {
        Sealed { query: self.query(Some(draft)).finish(), body: draft.xml() }
    }

    /// Makes an event for a platform, which is always encrypted. The 16 bytes must be random, except in tests.
    pub fn notice(&self, key: &AesKey, random: [u8; 16], notice: &Notice<'_>) -> Sealed {
        let encrypt = cipher::encrypt(key, random, notice.xml().as_bytes(), notice.appid);
        let mut body = String::from("<xml>");
        push_text_element(&mut body, "AppId", notice.appid);
        push_text_element(&mut body, "Encrypt", &encrypt);
        Sealed { query: self.encrypted_query(None, &encrypt), body: body + "</xml>" }
    }

    /// Makes an encrypted callback. Like WeChat's, it also has the plain signature.
    pub fn encrypted(&self, encryption: &Encryption<'_>, draft: &Draft<'_>) -> Sealed {
        let encrypt =
            cipher::encrypt(encryption.key, encryption.random, draft.xml().as_bytes(), encryption.appid);
        let body =
            if encryption.compatible { draft.compatible_xml(&encrypt) } else { safe_xml(draft, &encrypt) };
        Sealed { query: self.encrypted_query(Some(draft), &encrypt), body }
    }

    /// The query of the GET request with which WeChat checks an address. The answer must be `echostr`.
    pub fn check_query(&self, echostr: &str) -> String {
        self.query(None).append_pair("echostr", echostr).finish()
    }

    fn encrypted_query(&self, draft: Option<&Draft<'_>>, encrypt: &str) -> String {
        let timestamp = self.timestamp.to_string();
        let values = [self.token, &timestamp, self.nonce, encrypt].map(str::as_bytes);
        let mut query = self.query(draft);
        query.append_pair("encrypt_type", "aes").append_pair("msg_signature", signature_text(&sign(values)));
        query.finish()
    }

    fn query(&self, draft: Option<&Draft<'_>>) -> Serializer<'static, String> {
        let timestamp = self.timestamp.to_string();
        let signature = sign([self.token, &timestamp, self.nonce].map(str::as_bytes));
        let mut query = Serializer::new(String::new());
        query
            .append_pair("signature", signature_text(&signature))
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
    push_text_element(&mut xml, "ToUserName", draft.to_user);
    push_text_element(&mut xml, "Encrypt", encrypt);
    xml + "</xml>"
}

/// A signature as text. It consists of hexadecimal digits, so it is always UTF-8.
fn signature_text(signature: &Signature) -> &str {
    std::str::from_utf8(signature).unwrap_or_default()
}
