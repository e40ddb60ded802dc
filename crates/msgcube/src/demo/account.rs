//! The demo's accounts and their audiences. All names are invented. The secrets follow from the seed and protect nothing.

use std::fmt;

use super::random::Random;

const HEX: &[u8] = b"0123456789abcdef";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The characters of base64 whose last two bits are zero, so that strict decoders take the 43-character key.
const KEY_END: &[u8] = b"AEIMQUYcgkosw048";

/// One account of the demo, with everything a configuration needs.
#[derive(Clone, PartialEq, Eq)]
pub struct DemoAccount {
    /// `wx` and 16 hexadecimal digits. The same for every seed.
    pub appid: String,
    /// 32 hexadecimal digits.
    pub secret: String,
    /// The token that signs callbacks.
    pub token: String,
    /// The EncodingAESKey, 43 characters.
    pub encoding_aes_key: String,
    /// Name in English.
    pub name_en: &'static str,
    /// Name in Chinese.
    pub name_zh: &'static str,
    /// `gh_` and 12 hexadecimal digits.
    pub original_id: String,
}

impl fmt::Debug for DemoAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoAccount").field("appid", &self.appid).finish_non_exhaustive()
    }
}

/// How often and when the users of an account write. Weights are relative to their sum.
#[derive(Debug)]
pub struct Audience {
    name_en: &'static str,
    name_zh: &'static str,
    /// Messages and events on an average day.
    pub daily: u64,
    /// Followers on the first day.
    pub followers: u64,
    /// Per mille of the average, Monday first.
    pub weekday: [u64; 7],
    /// Weight of each hour.
    pub hour: [u64; 24],
    /// Per mille of the average on a public holiday.
    pub holiday: u64,
    /// Per mille of the average on 11 November, China's shopping day.
    pub shopping_day: u64,
    /// Weights of [`super::year`]'s kinds: text, image, voice, video, shortvideo, link, location, file, event.
    pub kinds: [u64; 9],
}

/// The audiences of a big service account, a mid-size subscription account and a small shop.
pub static AUDIENCES: [Audience; 3] = [
    Audience {
        name_en: "Harbour City Metro",
        name_zh: "港城地铁服务号",
        daily: 505,
        followers: 4_000,
        weekday: [1120, 1080, 1070, 1080, 1150, 800, 700],
        hour: [6, 3, 2, 1, 2, 9, 34, 72, 84, 70, 62, 58, 50, 54, 60, 58, 60, 78, 80, 58, 46, 38, 26, 13],
        holiday: 720,
        shopping_day: 1000,
        kinds: [560, 90, 50, 12, 6, 8, 34, 4, 236],
    },
    Audience {
        name_en: "Slow Kitchen Weekly",
        name_zh: "慢厨周刊",
        daily: 205,
        followers: 2_500,
        weekday: [880, 870, 900, 920, 1000, 1220, 1210],
        hour: [14, 7, 4, 2, 2, 4, 14, 34, 46, 36, 34, 48, 66, 48, 34, 32, 36, 48, 62, 80, 96, 104, 82, 40],
        holiday: 1180,
        shopping_day: 1000,
        kinds: [620, 130, 40, 24, 14, 46, 3, 8, 115],
    },
    Audience {
        name_en: "Old Wang's Tea Shop",
        name_zh: "老王茶铺",
        daily: 42,
        followers: 220,
        weekday: [900, 880, 900, 940, 1080, 1200, 1100],
        hour: [5, 2, 1, 1, 1, 2, 8, 20, 40, 66, 78, 72, 50, 60, 72, 70, 62, 54, 52, 66, 80, 74, 44, 16],
        holiday: 620,
        shopping_day: 3200,
        kinds: [500, 170, 120, 20, 6, 20, 40, 14, 110],
    },
];

/// The first `count` accounts (1 to 3) of this seed.
pub fn accounts(seed: u64, count: u8) -> Vec<DemoAccount> {
    let count = usize::from(count.clamp(1, 3));
    AUDIENCES
        .iter()
        .zip(1_u64..)
        .take(count)
        .map(|(audience, number)| account(seed, number, audience))
        .collect()
}

fn account(seed: u64, number: u64, audience: &Audience) -> DemoAccount {
    let mut random = Random::derive(seed, number);
    DemoAccount {
        appid: format!("wxde30{number:012}"),
        secret: random.text(HEX, 32),
        token: format!("demo{}", random.text(ALPHANUMERIC, 12)),
        encoding_aes_key: random.text(ALPHANUMERIC, 42) + &random.text(KEY_END, 1),
        name_en: audience.name_en,
        name_zh: audience.name_zh,
        original_id: format!("gh_de30{number:08}"),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn the_forms_are_those_of_wechat() {
        for account in accounts(1, 3) {
            assert!(account.appid.starts_with("wx") && account.appid.len() == 18);
            assert!(account.original_id.starts_with("gh_") && account.original_id.len() == 15);
            assert_eq!((account.secret.len(), account.token.len()), (32, 16));
            let key =
                base64::engine::general_purpose::STANDARD.decode(format!("{}=", account.encoding_aes_key));
            assert_eq!(key.map(|bytes| bytes.len()), Ok(32));
        }
    }

    #[test]
    fn secrets_follow_from_the_seed_and_appids_do_not() {
        assert_eq!(accounts(1, 3), accounts(1, 3));
        let (one, other) = (accounts(1, 1), accounts(2, 1));
        assert_eq!(one[0].appid, other[0].appid);
        assert_ne!(one[0].secret, other[0].secret);
        assert!(!format!("{one:?}").contains(&one[0].secret));
    }

    #[test]
    fn audiences_describe_average_days() {
        for audience in &AUDIENCES {
            assert!((6_800..7_200).contains(&audience.weekday.iter().sum::<u64>()), "{}", audience.name_en);
        }
    }
}
