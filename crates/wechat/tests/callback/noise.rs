//! A field that is not read may hold anything without losing the message. A field that is read is read exactly, or the
//! message is refused.

use counting::{Content, Kind, Message};
use proptest::prelude::*;
use wechat::callback::{
    AccountKeys, KeySettings, Query, cipher, json::read_bulk_line, open, signature::sign,
};

use super::{KEY, NOW_S, TOKEN, settings};

/// Content that is not valid text but does not end the element. For XML outside CDATA.
const XML_NOISE: [&[u8]; 21] = [
    b"\xff",
    b"\xed\xa0\xbd",
    b"\xb5\xc4",
    b"\x00\x01\x14\x1b",
    b"&#0;",
    b"&nbsp;",
    b"&#xD83D;",
    b"&#xDE00;",
    b"&#x110000;",
    b"&",
    b"& b; &;",
    b"&amp",
    b"1 < 2 <",
    b"<b>",
    b"</b>",
    b"<br/>",
    b"<it's>",
    b"<FromUserName>another</FromUserName>",
    b"<MsgId/>",
    b"<![CDATA[<!DOCTYPE x></Content></xml>\xff&]]>",
    b"<!-- \xff -->",
];

/// Content that is not valid text but does not end a JSON string.
const JSON_NOISE: [&[u8]; 12] = [
    b"\xff",
    b"\xed\xa0\xbd",
    b"\xb5\xc4",
    b"\x00\x01\x14\x1b",
    b"\r\t",
    br"\ud83d",
    br"\ude00\ud83d",
    br"\u00",
    br"\x",
    br#"\"FromUserName\":\"x\""#,
    br"\\",
    b"{[}]",
];

/// Values of unread JSON fields that are no strings. Some are not valid JSON.
const JSON_ODD_VALUES: [&[u8]; 8] = [
    b"[[{\"FromUserName\":1}]]",
    b"{\"MsgId\":{}}",
    b"1e999",
    b"007",
    b"NaN",
    b"-",
    b"null",
    b"{\"\xff\":[\"}\"]}",
];

#[derive(Clone, Debug)]
struct Noise {
    name: String,
    pieces: Vec<usize>,
}

fn any_noise() -> impl Strategy<Value = Vec<Noise>> {
    let name = prop_oneof![
        Just("Content"),
        Just("Title"),
        Just("标题"),
        Just("FromUserNames"),
        Just("x:MsgId"),
        Just("Recognition")
    ];
    let noise = (name, prop::collection::vec(any::<usize>(), 0..6))
        .prop_map(|(name, pieces)| Noise { name: name.to_owned(), pieces });
    prop::collection::vec(noise, 0..6)
}

/// Blanks that programs put around values.
fn any_blanks() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\n"), Just("\r\n\t ")]
}

/// A message, and its fields with their values.
fn message(is_event: bool) -> (Message, Vec<(&'static str, &'static str)>) {
    let mut fields = vec![("ToUserName", "gh_1"), ("FromUserName", "o-1"), ("CreateTime", "1799999995")];
    let content = if is_event {
        fields.extend([("MsgType", "event"), ("Event", "SCAN"), ("EventKey", "k"), ("MsgID", "7")]);
        Content::Event { name: "SCAN".into(), key: "k".into(), msg_id: Some(7) }
    } else {
        fields.extend([("MsgType", "text"), ("MsgId", "18446744073709551615")]);
        Content::Message { kind: Kind::Text, msg_id: u64::MAX }
    };
    (Message { user: "o-1".into(), create_time: NOW_S - 5, content }, fields)
}

fn joined(pieces: &[usize], from: &[&[u8]]) -> Vec<u8> {
    pieces.iter().flat_map(|at| from[at % from.len()]).copied().collect()
}

fn xml(fields: &[(&str, &str)], noises: &[Noise], blanks: &str, is_cdata: bool) -> Vec<u8> {
    let mut body = b"<xml>".to_vec();
    let mut noises = noises.iter();
    for (name, value) in fields {
        if let Some(Noise { name, pieces }) = noises.next() {
            let noise = joined(pieces, &XML_NOISE);
            body.extend([b"<", name.as_bytes(), b">", &noise, b"</", name.as_bytes(), b">"].concat());
        }
        let value = if is_cdata { format!("<![CDATA[{value}]]>") } else { (*value).to_owned() };
        body.extend(format!("{blanks}<{name}>{blanks}{value}{blanks}</{name}>").into_bytes());
    }
    body.extend(b"</xml>");
    body
}

fn json(fields: &[(&str, &str)], noises: &[Noise], blanks: &str) -> Vec<u8> {
    let mut members: Vec<Vec<u8>> = Vec::new();
    let mut noises = noises.iter();
    for (name, value) in fields {
        if let Some(Noise { name, pieces }) = noises.next() {
            let odd = pieces
                .first()
                .filter(|at| *at % 3 == 0)
                .map(|at| JSON_ODD_VALUES[at / 3 % JSON_ODD_VALUES.len()]);
            let string = [b"\"", &joined(pieces, &JSON_NOISE)[..], b"\""].concat();
            let value = odd.map_or(string, <[u8]>::to_vec);
            members.push([b"\"", name.as_bytes(), b"\":", &value].concat());
        }
        members.push(format!("{blanks}\"{name}\"{blanks}:{blanks}\"{value}\"").into_bytes());
    }
    [b"{", &members.join(&b","[..])[..], b"}"].concat()
}

fn opens(settings: &KeySettings<'_>, query: &str, body: &[u8]) -> Option<Message> {
    let keys = AccountKeys::new(settings).unwrap();
    open(&keys, &Query::parse(query), body, NOW_S, Some(3600)).ok()
}

fn plain_query() -> String {
    let signature = sign([TOKEN, &NOW_S.to_string(), "7"].map(str::as_bytes));
    format!("signature={}&timestamp={NOW_S}&nonce=7", std::str::from_utf8(&signature).unwrap())
}

/// The query and the ciphertext of an encrypted message.
fn encrypted(inner: &[u8]) -> (String, String) {
    let key = cipher::AesKey::parse(KEY).unwrap();
    let encrypt = cipher::encrypt(&key, [7; 16], inner, "wx1");
    let signature = sign([TOKEN.as_bytes(), b"1", b"2", encrypt.as_bytes()]);
    let signature = std::str::from_utf8(&signature).unwrap();
    (format!("timestamp=1&nonce=2&msg_signature={signature}"), encrypt)
}

proptest! {
    #[test]
    fn noise_in_unread_fields_changes_nothing(
        is_event in any::<bool>(), inner in any_noise(), outer in any_noise(),
        blanks in any_blanks(), is_cdata in any::<bool>(), is_json in any::<bool>(),
    ) {
        let (message, fields) = message(is_event);
        let original_id = Some("gh_1");
        let settings = KeySettings { original_id, ..settings() };
        let body = if is_json { json(&fields, &inner, blanks) } else { xml(&fields, &inner, blanks, is_cdata) };
        let shown = String::from_utf8_lossy(&body).into_owned();
        prop_assert_eq!(opens(&settings, &plain_query(), &body), Some(message.clone()), "plain {}", shown);
        prop_assert_eq!(read_bulk_line(&body), Ok(message.clone()), "bulk {}", shown);

        let (query, encrypt) = encrypted(&body);
        let safe = [("ToUserName", "gh_1"), ("Encrypt", encrypt.as_str())];
        let compatible = [("FromUserName", "x"), ("Encrypt", encrypt.as_str()), ("MsgId", "x")];
        for fields in [&safe[..], &compatible] {
            let xml = xml(fields, &outer, blanks, is_cdata);
            prop_assert_eq!(opens(&settings, &query, &xml), Some(message.clone()), "XML {:?}", xml);
            let json = json(fields, &outer, blanks);
            prop_assert_eq!(opens(&settings, &query, &json), Some(message.clone()), "JSON {:?}", json);
        }
    }

    #[test]
    fn noise_in_a_read_field_is_refused(
        is_event in any::<bool>(), at in any::<prop::sample::Index>(), is_json in any::<bool>(),
        noise in prop::sample::select(vec!["\u{fffd}", "&#0;", "&nbsp;", "&#xD83D;", "a & b", "<b/>"]),
    ) {
        let (_, fields) = message(is_event);
        let at = at.index(fields.len());
        let settings = KeySettings { original_id: Some("gh_1"), ..settings() };
        let mut noisy = fields.clone();
        noisy[at].1 = noise;
        let body = if is_json { json(&noisy, &[], "") } else { xml(&noisy, &[], "", false) };
        // The replacement character stands for a byte that is not UTF-8.
        let body: Vec<u8> = if noise == "\u{fffd}" {
            let place = body.windows(3).position(|part| part == noise.as_bytes()).unwrap();
            [&body[..place], b"\xff", &body[place + 3..]].concat()
        } else if is_json {
            return Ok(());
        } else {
            body
        };
        // A nested element in one of these fields is tolerated, as in older versions: the message counts.
        let is_tolerated = noise == "<b/>" && ["EventKey", "MsgID"].contains(&fields[at].0);
        prop_assert_eq!(
            opens(&settings, &plain_query(), &body).is_some(), is_tolerated,
            "{}", String::from_utf8_lossy(&body)
        );
    }
}

#[test]
fn a_message_with_a_read_field_given_twice_is_refused() {
    for is_event in [false, true] {
        let (_, fields) = message(is_event);
        for (name, value) in &fields[1..] {
            let mut twice = fields.clone();
            twice.push((name, value));
            let noise = [Noise { name: "Content".to_owned(), pieces: vec![0, 9, 12] }];
            assert_eq!(opens(&settings(), &plain_query(), &xml(&twice, &noise, "", true)), None, "{name}");
            assert_eq!(opens(&settings(), &plain_query(), &json(&twice, &noise, "")), None, "{name}");
        }
    }
}

#[test]
fn blanks_in_cdata_and_in_json_strings_belong_to_the_value() {
    let (mut message, mut fields) = message(true);
    fields[5].1 = " a key ";
    message.content = Content::Event { name: "SCAN".into(), key: " a key ".into(), msg_id: Some(7) };
    let body = xml(&fields, &[], "\n", true);
    assert_eq!(opens(&settings(), &plain_query(), &body).as_ref(), Some(&message));
    assert_eq!(read_bulk_line(&json(&fields, &[], "")).as_ref(), Ok(&message));
    let pieces = String::from_utf8(body).unwrap().replace(
        "<![CDATA[ a key ]]>",
        "<!-- 1 --> <![CDATA[ a]]> <!-- 2 --> k<![CDATA[ey]]>&#32;<!-- 3 --> ",
    );
    message.content = Content::Event { name: "SCAN".into(), key: " a  key ".into(), msg_id: Some(7) };
    assert_eq!(opens(&settings(), &plain_query(), pieces.as_bytes()).as_ref(), Some(&message));
}

#[test]
fn blanks_around_the_ciphertext_are_ignored() {
    let (message, fields) = message(false);
    let (query, encrypt) = encrypted(&xml(&fields, &[], "", true));
    for body in [
        format!("<xml><Encrypt>\n {encrypt}\r\n</Encrypt></xml>"),
        format!("<xml><Encrypt>\n<![CDATA[\n{encrypt} ]]>\n</Encrypt></xml>"),
        format!("{{\"Encrypt\":\" {encrypt}\\n\"}}"),
    ] {
        assert_eq!(opens(&settings(), &query, body.as_bytes()).as_ref(), Some(&message), "{body}");
    }
}
