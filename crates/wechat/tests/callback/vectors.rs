//! Published test vectors of WeChat's callbacks. Every value of each vector is checked.

use base64::Engine as _;
use counting::{Content, Kind};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use wechat::callback::{
    AccountKeys, Info, KeySettings, Proof, Query, cipher, open, open_envelope, open_event,
    open_platform_message, signature::sign, verify_get,
};

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../data/crypto_vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn vector(id: &str) -> Value {
    vectors().into_iter().find(|vector| vector["id"] == id).unwrap()
}

fn text<'a>(vector: &'a Value, field: &str) -> Option<&'a str> {
    vector.get(field)?.as_str()
}

/// Whether the vector was verified to be right in this respect. Only then it is checked here.
fn is_verified(vector: &Value, check: &str) -> bool {
    vector["verified"][check] == true
}

/// The random bytes are published as text: each character is one byte.
fn random_bytes(vector: &Value) -> [u8; 16] {
    let bytes: Vec<u8> = vector["random_16"].as_str().unwrap().chars().map(|c| c as u8).collect();
    bytes.try_into().unwrap()
}

fn keys(vector: &Value) -> AccountKeys {
    AccountKeys::new(&KeySettings {
        appid: text(vector, "appid_in_cipher").or(text(vector, "appid")).unwrap_or("wx0"),
        token: text(vector, "token").unwrap(),
        encoding_aes_key: text(vector, "encoding_aes_key"),
        ..KeySettings::default()
    })
    .unwrap()
}

fn query(vector: &Value) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["signature", "msg_signature", "timestamp", "nonce", "echostr"] {
        text(vector, name).map(|value| query.append_pair(name, value));
    }
    query.finish()
}

/// The published body, or one made in safe mode from the published ciphertext.
fn body(vector: &Value) -> String {
    let safe = || format!("<xml><Encrypt><![CDATA[{}]]></Encrypt></xml>", text(vector, "encrypt").unwrap());
    text(vector, "body").map_or_else(safe, ToOwned::to_owned)
}

#[test]
fn every_signature_is_reproduced() {
    let mut checked = 0;
    for vector in vectors() {
        let part = |name| text(&vector, name).unwrap().as_bytes();
        if is_verified(&vector, "signature") {
            let signature = sign([part("token"), part("timestamp"), part("nonce")]);
            assert_eq!(&signature, part("signature"), "{}", vector["id"]);
            checked += 1;
        }
        if is_verified(&vector, "msg_signature") {
            let signature = sign([part("token"), part("timestamp"), part("nonce"), part("encrypt")]);
            assert_eq!(&signature, part("msg_signature"), "{}", vector["id"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 10 + 22, "a vector is missing");
}

#[test]
fn every_ciphertext_opens_and_is_reproduced_byte_for_byte() {
    let mut checked = 0;
    for vector in vectors().iter().filter(|vector| is_verified(vector, "decrypt_ok")) {
        let id = &vector["id"];
        let key = cipher::AesKey::parse(text(vector, "encoding_aes_key").unwrap()).unwrap();
        let encrypt = text(vector, "encrypt").unwrap();
        let opened = cipher::decrypt(&key, &cipher::decode(encrypt.as_bytes()).unwrap()).unwrap();
        let appid = text(vector, "appid_in_cipher").unwrap();
        assert_eq!(
            std::str::from_utf8(opened.message()).unwrap(),
            text(vector, "plaintext").unwrap(),
            "{id}"
        );
        assert_eq!(std::str::from_utf8(opened.appid()).unwrap(), appid, "{id}");
        assert_eq!(opened.message().len(), vector["msg_len"], "{id}");
        let sealed = cipher::encrypt(&key, random_bytes(vector), opened.message(), appid);
        assert_eq!(sealed, encrypt, "{id}");
        let padded = base64::engine::general_purpose::STANDARD.decode(&sealed).unwrap().len();
        assert_eq!(padded, vector["padded_len"], "{id}");
        checked += 1;
    }
    assert_eq!(checked, 22, "a vector is missing");
}

#[test]
fn pushed_messages_open_in_safe_and_compatible_mode() {
    for (id, kind, msg_id) in [
        ("tencent-csharp-sample-decrypt", Kind::Text, 4_561_255_354_251_345_929),
        ("tencent-python-sample", Kind::Text, 0),
        ("tencent-cpp-sample", Kind::Text, 0),
        ("powerwechat-decrypt", Kind::Text, 6_972_028_683_187_026_694),
        ("senparc-compat-mode", Kind::Text, 6_074_746_557_628_292_943),
        ("senparc-file-msg-compat", Kind::File, 6_526_133_992_738_756_795),
    ] {
        let vector = vector(id);
        let query = query(&vector);
        let opened = open(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes(), 0, Some(3600));
        let message = opened.unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
        assert_eq!(message.kind(), kind, "{id}");
        let Content::Message { msg_id: found, .. } = message.content else { panic!("{id}") };
        assert!(msg_id == 0 || found == msg_id, "{id}: {found}");
    }
}

#[test]
fn json_and_platform_pushes_of_the_documentation_open() {
    for id in ["doc-safe-push-json", "doc-open-safe-push-xml"] {
        let vector = vector(id);
        let query = query(&vector);
        let json = format!(r#"{{"ToUserName":"gh_1","Encrypt":"{}"}}"#, text(&vector, "encrypt").unwrap());
        for body in [body(&vector), json] {
            let opened = open(&keys(&vector), &Query::parse(&query), body.as_bytes(), 0, None);
            let message = opened.unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
            assert_eq!(message.kind(), Kind::Event, "{id}");
        }
    }
}

#[test]
fn a_platform_callback_opens_only_with_the_appid_of_the_platform() {
    let vector = vector("doc-open-safe-push-xml");
    let (query, body) = (query(&vector), body(&vector));
    let platform = text(&vector, "appid_in_cipher").unwrap();
    let keys = |appid| {
        AccountKeys::new(&KeySettings {
            appid,
            token: text(&vector, "token").unwrap(),
            encoding_aes_key: text(&vector, "encoding_aes_key"),
            ..KeySettings::default()
        })
        .unwrap()
    };
    let refusal = open(&keys("wxaccount"), &Query::parse(&query), body.as_bytes(), 0, None).unwrap_err();
    assert_eq!((refusal.reason(), refusal.proof()), ("wrong_appid", Proof::Signature));
    assert!(open(&keys(platform), &Query::parse(&query), body.as_bytes(), 0, None).is_ok());
}

#[test]
fn platform_tickets_and_replies_are_authentic_but_no_messages() {
    for id in ["senparc-open-unauthorized", "senparc-open-ticket", "go-decrypt"] {
        let vector = vector(id);
        let query = query(&vector);
        let refusal =
            open(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes(), 0, None).unwrap_err();
        assert_eq!((refusal.reason(), refusal.is_authentic()), ("malformed", true), "{id}: {refusal}");
        let envelope =
            open_envelope(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes()).unwrap();
        assert_eq!(envelope.message(), text(&vector, "plaintext").unwrap().as_bytes(), "{id}");
    }
}

#[test]
fn the_negative_vector_is_refused() {
    let vector = vector("senparc-safe-mode");
    let query = query(&vector);
    let refusal = open(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes(), 0, None).unwrap_err();
    assert_eq!(refusal.reason(), "wrong_signature");
    let key = cipher::AesKey::parse(text(&vector, "encoding_aes_key").unwrap()).unwrap();
    let ciphertext = cipher::decode(text(&vector, "encrypt").unwrap().as_bytes()).unwrap();
    assert!(cipher::decrypt(&key, &ciphertext).is_err());
}

#[test]
fn another_nonce_is_refused() {
    let mut vector = vector("wechatpy-verify-url");
    let part = |name| text(&vector, name).unwrap().as_bytes();
    let wrong = sign([part("token"), part("timestamp"), b"437374424", part("encrypt")]);
    assert_ne!(&wrong, part("msg_signature"));
    vector["nonce"] = "437374424".into();
    let query = query(&vector);
    let refusal = open(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes(), 0, None).unwrap_err();
    assert_eq!((refusal.reason(), refusal.status(), refusal.is_authentic()), ("wrong_signature", 401, false));
}

#[test]
fn published_address_checks_get_their_echostr() {
    for id in ["doc-verify-url-plain", "weixin4j-signature-1"] {
        let vector = vector(id);
        let query = query(&vector);
        let echostr = verify_get(&keys(&vector), &Query::parse(&query)).unwrap();
        assert_eq!(echostr, text(&vector, "echostr").unwrap().as_bytes(), "{id}");
    }
}

#[test]
fn published_platform_events_are_read() {
    let read = |id: &str| {
        let vector = vector(id);
        let query = query(&vector);
        open_event(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes()).unwrap()
    };
    let event = read("senparc-open-unauthorized");
    assert_eq!(event.create_time, 1_436_876_196);
    assert!(matches!(&event.info, Info::Unauthorized(appid) if appid == "wx570bc396a51b8ff8"), "{event:?}");
    let event = read("senparc-open-ticket");
    assert_eq!(event.create_time, 1_436_881_222);
    assert!(
        matches!(&event.info, Info::Ticket(ticket) if ticket.expose_secret().starts_with("ticket@@@hXh2446N"))
    );
    assert!(!format!("{event:?}").contains("hXh2446N"), "a ticket is not shown");
}

#[test]
fn a_message_through_a_platform_names_its_account() {
    let vector = vector("doc-open-safe-push-xml");
    let query = query(&vector);
    let opened = open_platform_message(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes());
    let (message, to_user) = opened.unwrap();
    assert_eq!((&*to_user, &*message.user), ("gh_97417a04a28d", "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"));
    // A message is not accepted as an event of the platform.
    let refusal = open_event(&keys(&vector), &Query::parse(&query), body(&vector).as_bytes()).unwrap_err();
    assert_eq!((refusal.reason(), refusal.may_be_relayed()), ("malformed", true));
}
