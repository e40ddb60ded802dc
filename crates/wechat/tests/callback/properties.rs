//! Properties of every callback: opening is the inverse of sealing, a flipped bit is detected, and no input panics.

use counting::{Content, Kind, Message};
use proptest::prelude::*;
use wechat::callback::seal::{CallbackSigner, Draft, Encryption, Sealed};
use wechat::callback::{
    AccountKeys, KeySettings, Query, cipher::AesKey, json::read_bulk_line, open, verify_get,
};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn keys() -> AccountKeys {
    let settings =
        KeySettings { appid: "wx1", token: "token", encoding_aes_key: Some(KEY), ..KeySettings::default() };
    AccountKeys::new(&settings).unwrap()
}

fn seal(draft: &Draft<'_>, nonce: &str, random: [u8; 16], mode: u8) -> Sealed {
    let envelope = CallbackSigner { token: "token", timestamp: 1_800_000_000, nonce };
    let key = AesKey::parse(KEY).unwrap();
    match mode {
        0 => envelope.plain(draft),
        _ => {
            envelope.encrypted(&Encryption { key: &key, appid: "wx1", random, compatible: mode == 2 }, draft)
        }
    }
}

fn opens(query: &str, body: &[u8]) -> Option<Message> {
    open(&keys(), &Query::parse(query), body, 1_800_000_000, Some(3600)).ok()
}

proptest! {
    #[test]
    fn opening_is_the_inverse_of_sealing(
        user in "\\PC{1,32}", text in any::<String>(), nonce in "\\PC{0,12}", random in any::<[u8; 16]>(),
        create_time in any::<i64>(), msg_id in any::<u64>(), mode in 0u8..3,
    ) {
        let draft = Draft {
            to_user: "gh_1", from_user: &user, create_time, msg_type: "text",
            fields: vec![("Content", &text)], msg_id: Some(msg_id),
        };
        let sealed = seal(&draft, &nonce, random, mode);
        let content = Content::Message { kind: Kind::Text, msg_id };
        let message = Message { user: user.into(), create_time, content };
        prop_assert_eq!(opens(&sealed.query, sealed.body.as_bytes()), Some(message));
    }

    #[test]
    fn events_survive_sealing(
        name in "\\PC{1,32}", key in any::<String>(), msg_id in any::<Option<u64>>(), mode in 0u8..3,
    ) {
        let fields = vec![("Event", name.as_str()), ("EventKey", key.as_str())];
        let draft =
            Draft { to_user: "gh_1", from_user: "u", create_time: 5, msg_type: "event", fields, msg_id };
        let sealed = seal(&draft, "n", [9; 16], mode);
        let message = opens(&sealed.query, sealed.body.as_bytes()).unwrap();
        prop_assert_eq!(message.content, Content::Event { name: name.into(), key: key.into(), msg_id });
    }

    #[test]
    fn a_flipped_bit_of_ciphertext_or_signature_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let draft = Draft {
            to_user: "gh_1", from_user: "u", create_time: 5, msg_type: "text", fields: vec![], msg_id: Some(6),
        };
        let sealed = seal(&draft, "n", [9; 16], 1);
        let flip = |text: &str, from: usize, to: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[from + at.index(to - from)] ^= 1 << bit;
            bytes
        };
        let cipher_start = sealed.body.find("<Encrypt><![CDATA[").unwrap() + 18;
        let cipher_end = sealed.body.rfind("]]></Encrypt>").unwrap();
        prop_assert_eq!(opens(&sealed.query, &flip(&sealed.body, cipher_start, cipher_end)), None);
        let signature_start = sealed.query.rfind('=').unwrap() + 1;
        let query = flip(&sealed.query, signature_start, sealed.query.len());
        if let Ok(query) = String::from_utf8(query) {
            prop_assert_eq!(opens(&query, sealed.body.as_bytes()), None);
        }
        let plain = seal(&draft, "n", [9; 16], 0);
        let signature_start = "signature=".len();
        if let Ok(query) = String::from_utf8(flip(&plain.query, signature_start, signature_start + 40)) {
            prop_assert_eq!(opens(&query, plain.body.as_bytes()), None);
        }
    }

    #[test]
    fn no_input_panics(
        query in any::<String>(), body in prop::collection::vec(any::<u8>(), 0..400),
        text in "[<>&;!\\[\\]{}\":,a-z0-9\\\\# ]{0,80}",
    ) {
        let draft =
            Draft { to_user: "g", from_user: "u", create_time: 5, msg_type: "text", fields: vec![], msg_id: None };
        let signed = seal(&draft, "n", [9; 16], 0).query;
        let encrypted = format!("{signed}&encrypt_type=aes&msg_signature=0");
        for body in [&body, text.as_bytes()] {
            for query in [&query, &signed, &encrypted] {
                let _ = (opens(query, body), verify_get(&keys(), &Query::parse(query)));
            }
            let _ = read_bulk_line(body);
        }
    }

    #[test]
    fn no_broken_callback_panics(cut in any::<prop::sample::Index>(), with in any::<u8>(), mode in 0u8..3) {
        let draft = Draft {
            to_user: "g", from_user: "u", create_time: 5, msg_type: "text",
            fields: vec![("Content", "<![CDATA[ &amp; ]]>")], msg_id: Some(7),
        };
        let sealed = seal(&draft, "n", [9; 16], mode);
        let mut body = sealed.body.into_bytes();
        let cut = cut.index(body.len());
        let _ = opens(&sealed.query, &body[..cut]);
        body[cut] = with;
        let _ = opens(&sealed.query, &body);
    }

    #[test]
    fn no_correctly_encrypted_content_panics(inner in prop::collection::vec(any::<u8>(), 0..200)) {
        use wechat::callback::{cipher, signature::sign};
        let encrypt = cipher::encrypt(&AesKey::parse(KEY).unwrap(), [1; 16], &inner, "wx1");
        let signature = sign([b"token", b"1", b"2", encrypt.as_bytes()]);
        let query = format!("timestamp=1&nonce=2&msg_signature={}", std::str::from_utf8(&signature).unwrap());
        let body = format!("<xml><Encrypt>{encrypt}</Encrypt></xml>");
        let _ = opens(&query, body.as_bytes());
    }
}
