//! Callbacks as WeChat sends them, sealed with the code of the program.

use std::sync::LazyLock;

use wechat::callback::{
    cipher::AesKey,
    seal::{CallbackSigner, Draft, Encryption, Sealed},
    signature::sign,
};

use super::{AES_KEY, APPID, Program, TOKEN};

/// CreateTime of all texts of a test run. A repeat must have the same second as the first message, so the clock is read
/// only once. Unix seconds.
static WRITTEN_S: LazyLock<i64> = LazyLock::new(now_s);

/// A text message of now.
pub struct Text<'a> {
    pub user: &'a str,
    pub id: u64,
    pub create_time: i64,
    /// The original id of the receiver (`ToUserName`).
    pub to: &'a str,
}

pub fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// `signature`, `timestamp` and `nonce` of a plain callback sent now.
pub fn signed_query(token: &str) -> String {
    let timestamp = now_s().to_string();
    let signature = sign([token, &timestamp, "n1"].map(str::as_bytes));
    format!("signature={}&timestamp={timestamp}&nonce=n1", String::from_utf8_lossy(&signature))
}

/// The day of all texts, in Beijing.
pub fn written_day() -> String {
    let moment = jiff::Timestamp::from_second(*WRITTEN_S + 8 * 3600).unwrap();
    moment.strftime("%Y-%m-%d").to_string()
}

impl<'a> Text<'a> {
    pub fn new(user: &'a str, id: u64) -> Text<'a> {
        Text { user, id, create_time: *WRITTEN_S, to: "gh_front" }
    }

    fn draft(&self) -> Draft<'a> {
        Draft {
            to_user: self.to,
            from_user: self.user,
            create_time: self.create_time,
            msg_type: "text",
            fields: vec![("Content", "hello <&>")],
            msg_id: Some(self.id),
        }
    }

    pub fn plain(&self, token: &str) -> Sealed {
        CallbackSigner { token, timestamp: now_s(), nonce: "n1" }.plain(&self.draft())
    }

    pub fn safe(&self, token: &str, key: &str, appid: &str) -> Sealed {
        let key = AesKey::parse(key).unwrap();
        let encryption = Encryption { key: &key, appid, random: [7; 16], compatible: false };
        CallbackSigner { token, timestamp: now_s(), nonce: "n1" }.encrypted(&encryption, &self.draft())
    }

    /// In safe mode, for the usual account.
    pub fn usual(&self) -> Sealed {
        self.safe(TOKEN, AES_KEY, APPID)
    }
}

/// What WeChat receives as an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum CallbackReply {
    Reply(u16, String),
    /// The connection was closed without an answer.
    Nothing,
}

pub fn success() -> CallbackReply {
    CallbackReply::Reply(200, "success".to_owned())
}

impl Program {
    /// Sends a callback.
    pub async fn receive(&self, appid: &str, sealed: &Sealed) -> CallbackReply {
        self.post_sealed(&format!("callback/{appid}"), sealed).await
    }

    /// Sends a sealed callback to a path.
    pub async fn post_sealed(&self, path: &str, sealed: &Sealed) -> CallbackReply {
        let url = format!("{}/{path}?{}", self.base, sealed.query);
        let request = self.http.post(url).header("Content-Type", "text/xml").body(sealed.body.clone());
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                response
                    .text()
                    .await
                    .map_or(CallbackReply::Nothing, |text| CallbackReply::Reply(status, text))
            }
            Err(_) => CallbackReply::Nothing,
        }
    }
}
