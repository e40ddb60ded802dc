//! Messages of users who are each as likely as any other: the largest sets that so many messages can make.

use counting::{Content, Kind, Message, start_of_day_s};
use datacube::Day;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

/// Messages in order of time.
pub(crate) struct Messages {
    start_s: i64,
    seconds: u64,
    count: u64,
    next: u64,
    users: u64,
    random: Random,
}

impl Messages {
    /// `first_day`: days since 1970.
    pub(crate) fn new(first_day: i32, days: i32, count: u64, users: u64, seed: u64) -> Messages {
        let start_s = start_of_day_s(Day::from_days_since_1970(i64::from(first_day)));
        let seconds = u64::from(days.unsigned_abs()) * 86_400;
        let random = Random(seed ^ u64::from(first_day.unsigned_abs()) << 32);
        Messages { start_s, seconds, count, next: 0, users, random }
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let number = (self.next < self.count).then_some(self.next)?;
        self.next += 1;
        let second = u128::from(number) * u128::from(self.seconds) / u128::from(self.count);
        let create_time = self.start_s + i64::try_from(second).ok()?;
        let kind = match self.random.below(100) {
            0..80 => Kind::Text,
            80..92 => Kind::Image,
            92..96 => Kind::Voice,
            96..98 => Kind::Video,
            98 => Kind::ShortVideo,
            _ => Kind::Link,
        };
        // The upper half of a MsgId is its second.
        let msg_id = create_time.unsigned_abs() << 32 | self.random.next() >> 32;
        let user = openid(self.random.below(self.users));
        Some(Message { user: user.into(), create_time, content: Content::Message { kind, msg_id } })
    }
}

/// 28 characters, of which all users of an account share the first six.
fn openid(user: u64) -> String {
    let mut random = Random(user.wrapping_mul(0x1234_5678_9abc_def1));
    let mut openid = String::from("oAbCdE");
    for _ in 0..3 {
        let mut bits = random.next();
        for _ in 0..8.min(28 - openid.len()) {
            openid.push(char::from(ALPHABET[usize::try_from(bits & 63).unwrap_or(0)]));
            bits >>= 6;
        }
    }
    openid
}
