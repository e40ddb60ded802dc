//! Hand-written requests.

use std::io::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use sha1::{Digest, Sha1};

use crate::Outcome;

/// A prime, so that it divides no usual number of users.
const PRIME: u64 = 7_368_787;

/// Pseudo-random bits of a number (SplitMix64). Regular data would compress too well.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Plain callbacks with one signature, each with a new MsgId.
pub(crate) struct Callbacks {
    head: String,
    body: [String; 2],
    users: u64,
    first_msg_id: u64,
}

impl Callbacks {
    pub(crate) fn new(appid: &str, token: &str, users: u64) -> Outcome<Callbacks> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let timestamp = now.as_secs().to_string();
        let mut parts = [token, &timestamp, "nonce"];
        parts.sort_unstable();
        let digest = Sha1::digest(parts.concat());
        let signature = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let head = format!(
            "POST /callback/{appid}?signature={signature}&timestamp={timestamp}&nonce=nonce&openid=o HTTP/1.1\r\n\
             Host: 127.0.0.1\r\nContent-Type: text/xml\r\n"
        );
        let before =
            "<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><FromUserName><![CDATA[oBench".to_owned();
        let after = format!(
            "]]></FromUserName><CreateTime>{timestamp}</CreateTime><MsgType><![CDATA[text]]></MsgType>\
             <Content><![CDATA[how late are you open today?]]></Content><MsgId>"
        );
        // Rounds follow each other within seconds and must not repeat a MsgId.
        let first_msg_id = u64::try_from(now.as_micros())? << 10;
        Ok(Callbacks { head, body: [before, after], users, first_msg_id })
    }

    /// Writes request `number`. User and MsgId have a fixed width, so the length is known.
    pub(crate) fn write(&self, number: u64, buffer: &mut Vec<u8>) {
        const WIDTHS: usize = 22 + 19 + "</MsgId></xml>".len();
        let [before, after] = &self.body;
        let (user, msg_id) = (number % self.users, self.first_msg_id + number);
        let length = before.len() + after.len() + WIDTHS;
        buffer.extend_from_slice(self.head.as_bytes());
        // Writing to memory cannot fail.
        let _ = write!(
            buffer,
            "Content-Length: {length}\r\n\r\n{before}{user:022}{after}{msg_id:019}</MsgId></xml>"
        );
    }
}

/// A query of the month interface for the month beginning at `begin`.
pub(crate) fn month(access_token: &str, begin: &str) -> Outcome<Vec<u8>> {
    let body = format!("{{\"begin_date\": \"{begin}\", \"end_date\": \"{begin}\"}}");
    let mut request = Vec::new();
    write!(
        request,
        "POST /datacube/getupstreammsgmonth?access_token={access_token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(request)
}

/// A call that the gateway passes on.
pub(crate) fn call(access_token: &str, path: &str) -> Outcome<Vec<u8>> {
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut request = Vec::new();
    write!(
        request,
        "GET {path}{joint}access_token={access_token} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
    )?;
    Ok(request)
}

/// Messages for the bulk interface.
pub(crate) struct Bulk {
    pub(crate) appid: String,
    pub(crate) admin_key: String,
    pub(crate) messages: u64,
    pub(crate) users: u64,
    pub(crate) first_user: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Bulk {
    /// Writes one request with these messages.
    pub(crate) fn write(&self, numbers: Range<u64>, buffer: &mut Vec<u8>) {
        const KINDS: [&str; 8] = ["text", "text", "text", "text", "image", "voice", "video", "link"];
        let mut body = Vec::with_capacity(128 * 1024);
        for number in numbers {
            let chance = scatter(number);
            // Each user once in as many messages, in an irregular order.
            let user = self.first_user + number % self.users * PRIME % self.users;
            let kind = KINDS[usize::from(chance.to_le_bytes()[0] & 7)];
            let moment = self.moment(number, chance);
            let msg_id = (moment.unsigned_abs() << 32) | (chance >> 32);
            // Writing to memory cannot fail.
            let _ = writeln!(
                body,
                "{{\"FromUserName\":\"oBench{user:022}\",\"CreateTime\":{moment},\"MsgType\":\"{kind}\",\"MsgId\":{msg_id}}}"
            );
        }
        let _ = write!(
            buffer,
            "POST /v1/accounts/{}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            self.appid,
            self.admin_key,
            body.len()
        );
        buffer.extend_from_slice(&body);
    }

    /// Spread over the time, shifted at random by up to a quarter of an hour, as in exports.
    fn moment(&self, number: u64, chance: u64) -> i64 {
        let share = i128::from(self.to - self.from) * i128::from(number) / i128::from(self.messages);
        let moment =
            self.from + i64::try_from(share).unwrap_or(0) + i64::from(chance.to_le_bytes()[1]) * 7 / 2;
        moment.min(self.to - 1)
    }
}
