//! Which callbacks open, to what, and which are refused for what: one table a rule.

use msgcube::callback::seal::{Draft, Encryption, Envelope, Sealed};
use msgcube::callback::{AccountKeys, Cause, KeySettings, Proof, Query, Refusal, cipher, open, verify_get};
use msgcube::callback::{json::bulk_line, signature::sign};
use msgcube_cube::{Content, Kind, Message};

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
    Envelope { token: TOKEN, timestamp: NOW_S, nonce: "7" }.plain(&draft())
}

fn encrypted(key: &str, appid: &str, compatible: bool) -> Sealed {
    let key = cipher::AesKey::parse(key).unwrap();
    let encryption = Encryption { key: &key, appid, random: *b"0123456789abcdef", compatible };
    Envelope { token: TOKEN, timestamp: 1, nonce: "7" }.encrypted(&encryption, &draft())
}

/// Any body, plain, with the right signature.
fn with_body(body: &str) -> Sealed {
    Sealed { body: body.to_owned(), ..plain() }
}

/// Any text, encrypted rightly, as XML or as JSON.
fn with_inner(inner: &str, outer: impl Fn(&str) -> String) -> Sealed {
    let key = cipher::AesKey::parse(KEY).unwrap();
    let encrypt = cipher::encrypt(&key, [7; 16], inner.as_bytes(), "wx1");
    let signature = sign([TOKEN.as_bytes(), b"1", b"2", encrypt.as_bytes()]);
    let signature = std::str::from_utf8(&signature).unwrap();
    Sealed { query: format!("timestamp=1&nonce=2&msg_signature={signature}"), body: outer(&encrypt) }
}

fn safe(encrypt: &str) -> String {
    format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")
}

fn opened(settings: KeySettings<'_>, sealed: &Sealed) -> Result<Message, Refusal> {
    let keys = AccountKeys::new(&settings).unwrap();
    open(&keys, &Query::parse(&sealed.query), sealed.body.as_bytes(), NOW_S, Some(3600))
}

fn reason(settings: KeySettings<'_>, sealed: &Sealed) -> (&'static str, u16, Proof) {
    let refusal = opened(settings, sealed).unwrap_err();
    assert!(Refusal::REASONS.contains(&refusal.reason()), "{refusal}");
    (refusal.reason(), refusal.status(), refusal.proof())
}

#[test]
fn every_mode_gives_the_same_message() {
    for sealed in [plain(), encrypted(KEY, "wx1", false), encrypted(KEY, "wx1", true)] {
        assert_eq!(opened(settings(), &sealed), Ok(message()), "{}", sealed.body);
    }
    assert_eq!(opened(without_key(), &plain()), Ok(message()));
    let required = KeySettings { require_encryption: true, ..settings() };
    assert_eq!(opened(required, &encrypted(KEY, "wx1", true)), Ok(message()));
}

#[test]
fn json_is_read_like_xml_outside_and_inside() {
    let inner = r#" {"ToUserName":"gh_1","FromUserName":"openid","CreateTime":1799999995,
        "MsgType":"text","Content":"<!DOCTYPE x>","MsgId":"18446744073709551615","x":[{"MsgId":1.5}]} "#;
    let outer = |encrypt: &str| format!(r#"{{"ToUserName":"gh_1","Encrypt":"{encrypt}"}}"#);
    assert_eq!(opened(settings(), &with_body(inner)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(inner, outer)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(inner, safe)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(&draft().xml(), outer)), Ok(message()));
    assert_eq!(bulk_line(inner.as_bytes()), Ok(message()));
}

#[test]
fn previous_tokens_and_keys_are_accepted() {
    let rotated = KeySettings {
        token: "token-next",
        token_previous: Some(TOKEN),
        encoding_aes_key: Some(KEY),
        encoding_aes_key_previous: Some(OLD_KEY),
        ..settings()
    };
    for sealed in [plain(), encrypted(KEY, "wx1", false), encrypted(OLD_KEY, "wx1", true)] {
        assert_eq!(opened(rotated, &sealed), Ok(message()));
    }
    let gone = KeySettings { token_previous: None, ..rotated };
    assert_eq!(reason(gone, &plain()), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn of_a_compatible_body_only_the_decrypted_message_is_used() {
    let sealed = encrypted(KEY, "wx1", true);
    let body = sealed.body.replacen("openid", "someone else", 1).replacen(
        "<MsgType>",
        "<MsgId>x</MsgId><MsgType>",
        1,
    );
    assert_eq!(opened(settings(), &Sealed { body, ..sealed }), Ok(message()));
}

#[test]
fn a_body_with_encrypt_is_encrypted_whatever_the_query_says() {
    let sealed = Sealed { query: plain().query, ..encrypted(KEY, "wx1", true) };
    assert_eq!(reason(settings(), &sealed), ("wrong_signature", 401, Proof::Nothing));
    let escaped =
        with_body(r#"{"\u0045ncrypt":"AA==","FromUserName":"a","CreateTime":1,"MsgType":"text","MsgId":1}"#);
    assert_eq!(reason(settings(), &escaped), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn a_query_that_says_encrypted_needs_a_ciphertext() {
    for more in ["&encrypt_type=aes", "&msg_signature=0"] {
        let sealed = Sealed { query: plain().query + more, ..plain() };
        assert_eq!(reason(settings(), &sealed), ("no_ciphertext", 400, Proof::Nothing));
    }
}

#[test]
fn an_account_without_a_key_takes_clear_fields_under_the_rules_for_plain() {
    let fresh = |compatible| Sealed { query: plain().query, ..encrypted(KEY, "wx1", compatible) };
    assert_eq!(opened(without_key(), &fresh(true)), Ok(message()));
    assert_eq!(reason(without_key(), &fresh(false)), ("key_missing", 400, Proof::Full));
    assert!(opened(without_key(), &fresh(false)).unwrap_err().to_string().contains("encoding_aes_key"));
    // These were signed for the year 1970.
    assert_eq!(reason(without_key(), &encrypted(KEY, "wx1", true)), ("stale_timestamp", 403, Proof::Full));
    let unsigned = Sealed { query: "encrypt_type=aes".to_owned(), ..fresh(true) };
    assert_eq!(reason(without_key(), &unsigned), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn plain_is_refused_where_encryption_is_required_and_the_refusal_knows_when() {
    let required = KeySettings { require_encryption: true, ..settings() };
    assert_eq!(reason(required, &plain()), ("encryption_required", 403, Proof::Full));
    assert_eq!(opened(required, &plain()).unwrap_err().create_time(), Some(NOW_S - 5));
    let unsigned = Sealed { query: String::new(), ..plain() };
    assert_eq!(reason(required, &unsigned), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn age_limits_plain_callbacks_in_both_directions() {
    let keys = AccountKeys::new(&settings()).unwrap();
    let check = |now_s, max_age_s| {
        let sealed = plain();
        open(&keys, &Query::parse(&sealed.query), sealed.body.as_bytes(), now_s, max_age_s).is_ok()
    };
    for (offset_s, is_fresh) in [(-61, false), (-60, true), (0, true), (60, true), (61, false)] {
        assert_eq!(check(NOW_S + offset_s, Some(60)), is_fresh, "{offset_s} s");
    }
    assert!(check(i64::MIN, None) && check(i64::MAX, Some(0)));
    assert!(!check(i64::MIN, Some(u32::MAX)));
}

#[test]
fn wrong_keys_and_appids_are_told_apart_from_wrong_signatures() {
    assert_eq!(reason(settings(), &encrypted(KEY, "wx2", false)), ("wrong_appid", 403, Proof::Signature));
    let other_key = reason(settings(), &encrypted(OLD_KEY, "wx1", false));
    assert_eq!(other_key, ("undecryptable", 400, Proof::Signature));
    let garbage = Sealed { body: safe("AAAA"), ..encrypted(KEY, "wx1", false) };
    assert_eq!(reason(settings(), &garbage), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn another_receiver_is_refused_if_the_original_id_is_known() {
    for (original_id, is_right) in [("gh_1", true), ("gh_2", false)] {
        let known = KeySettings { original_id: Some(original_id), ..settings() };
        for sealed in [plain(), encrypted(KEY, "wx1", false)] {
            assert_eq!(opened(known, &sealed).is_ok(), is_right);
        }
    }
    let known = KeySettings { original_id: Some("gh_2"), ..settings() };
    assert_eq!(reason(known, &plain()), ("wrong_to_user", 403, Proof::Full));
}

#[test]
fn document_types_are_refused_outside_and_inside_and_never_relayed() {
    let declared = |declaration: &str| format!("<?xml version='1.0'?>{declaration}{}", draft().xml());
    for declaration in
        ["<!DOCTYPE xml [<!ENTITY a 'b'>]>", "<!doctype xml>", "<!DOCTYPE xml SYSTEM 'file:///x'>"]
    {
        for sealed in [with_body(&declared(declaration)), with_inner(&declared(declaration), safe)] {
            let refusal = opened(settings(), &sealed).unwrap_err();
            assert_eq!(refusal.cause(), &Cause::DocumentType, "{declaration}");
            assert!(refusal.authentic() && !refusal.may_be_relayed());
        }
        let outer = |encrypt: &str| format!("{declaration}{}", safe(encrypt));
        let sealed = with_inner(&draft().xml(), outer);
        assert_eq!(reason(settings(), &sealed), ("document_type", 400, Proof::Nothing));
    }
    let after = with_body(&(draft().xml() + "<!DOCTYPE xml"));
    assert_eq!(reason(settings(), &after), ("document_type", 400, Proof::Full));
}

/// A plain XML callback of these children.
fn children(children: &str) -> Result<Message, Refusal> {
    opened(settings(), &with_body(&format!("<xml>{children}</xml>")))
}

#[test]
fn predefined_and_numeric_references_are_decoded_and_others_refused() {
    let user = |user: &str| {
        children(&format!(
            "<FromUserName>{user}</FromUserName><CreateTime> 5 </CreateTime><MsgType>te&#x78;t</MsgType><MsgId>6</MsgId>"
        ))
    };
    let decoded = user("&lt;&amp;&gt;&quot;&apos;&#24494;<![CDATA[&lt;]]>&#x4FE1;").unwrap();
    assert_eq!(&*decoded.user, "<&>\"'微&lt;信");
    assert_eq!(decoded.kind(), Kind::Text);
    for reference in ["&nbsp;", "&#0;", "&#xD800;", "&#x110000;", "&#;", "&", "&lt"] {
        assert_eq!(user(reference).unwrap_err().reason(), "malformed", "{reference}");
    }
}

const WHO: &str = "<FromUserName>u</FromUserName><CreateTime>5</CreateTime>";

#[test]
fn events_are_told_apart_by_name_and_key_and_need_no_msg_id() {
    let event = |rest: &str| children(&format!("{WHO}<MsgType>event</MsgType>{rest}"));
    let scan = event("<Event>SCAN</Event><EventKey><![CDATA[12]]></EventKey><MsgID>9</MsgID>").unwrap();
    assert_eq!(scan.content, Content::Event { name: "SCAN".into(), key: "12".into() });
    let bare = event("<Event>unsubscribe</Event><EventKey/><MsgId>x</MsgId>").unwrap();
    assert_eq!(bare.content, Content::Event { name: "unsubscribe".into(), key: "".into() });
    for rest in ["", "<Event></Event>", "<Event>a</Event><Event>b</Event>", "<Event><b>a</b></Event>"] {
        assert_eq!(event(rest).unwrap_err().reason(), "malformed", "{rest}");
    }
}

#[test]
fn nested_elements_of_a_fields_name_are_not_that_field() {
    let nested = "<List><MsgId>1</MsgId><CreateTime>x</CreateTime></List>";
    let message = children(&format!("{nested}{WHO}<MsgType>text</MsgType><MsgId>6</MsgId>{nested}")).unwrap();
    assert_eq!(message.content, Content::Message { kind: Kind::Text, msg_id: 6 });
}

#[test]
fn what_is_no_message_is_malformed_but_authentic() {
    let deep = format!("<xml>{}{}</xml>", "<a>".repeat(40), "</a>".repeat(40));
    let very_deep = "<a>".repeat(20_000);
    let deep_json = format!("{{\"a\":{}", "[".repeat(60_000));
    for body in [
        "",
        " ",
        "hello",
        "<xml>",
        "<xml></xml>",
        "<xml></a>",
        "<xml/><xml/>",
        "<xml/>x",
        "<xml>&",
        "<!ELEMENT x>",
        "[]",
        "{",
        "{}",
        "{} {}",
        "{\"FromUserName\":1}",
        &deep,
        &very_deep,
        &deep_json,
    ] {
        assert_eq!(reason(settings(), &with_body(body)), ("malformed", 400, Proof::Full), "{body:.30}");
    }
    let keys = AccountKeys::new(&settings()).unwrap();
    let refusal = open(&keys, &Query::parse(&plain().query), b"<xml>\xff</xml>", NOW_S, None).unwrap_err();
    assert_eq!(refusal.to_string(), "the body is no callback message: not UTF-8");
    let large = with_body(&" ".repeat(64 * 1024 + 1));
    assert_eq!(reason(settings(), &large), ("body_too_large", 413, Proof::Nothing));
}

#[test]
fn refusals_for_content_keep_the_create_time() {
    let refusal = children(&format!("{WHO}<MsgType>text</MsgType>")).unwrap_err();
    assert_eq!((refusal.create_time(), refusal.may_be_relayed()), (Some(5), true));
    assert_eq!(refusal.to_string(), "the body is no callback message: MsgId is missing");
}

/// A bulk line with these two values as they are.
fn line(create_time: &str, msg_id: &str) -> Result<Message, String> {
    let line = format!(
        r#"{{"FromUserName":"u","CreateTime":{create_time},"MsgType":"text","MsgId":{msg_id},"Content":null,"y":1e999}}"#
    );
    bulk_line(line.as_bytes()).map_err(|flaw| flaw.to_string())
}

/// The same two values in XML, where everything is text.
fn element(create_time: &str, msg_id: &str) -> Result<Message, Refusal> {
    children(&format!(
        "<FromUserName>u</FromUserName><CreateTime>{create_time}</CreateTime><MsgType>text</MsgType><MsgId>{msg_id}</MsgId>"
    ))
}

#[test]
fn numbers_are_whole_and_exact_to_their_last_digit() {
    for (create_time, msg_id, is_right) in [
        ("5", "0", true),
        ("-5", "18446744073709551615", true),
        ("5", "9007199254740993", true),
        ("-9223372036854775808", "1", true),
        ("9223372036854775807", "1", true),
        ("9223372036854775808", "1", false),
        ("5", "18446744073709551616", false),
        ("5", "-1", false),
        ("5.0", "1", false),
        ("5", "1e3", false),
        ("5", "1.5", false),
    ] {
        let bare = line(create_time, msg_id);
        assert_eq!(bare.is_ok(), is_right, "{create_time} {msg_id}: {bare:?}");
        assert_eq!(line(&format!("{create_time:?}"), &format!("{msg_id:?}")), bare, "as text");
        assert_eq!(element(create_time, msg_id).ok(), bare.ok(), "as XML");
    }
    for odd in ["\"\"", "\"+1\"", "\"1 2\"", "\"0x1\"", "null", "true", "[1]", "{}", "\"１\""] {
        assert_eq!(line("5", odd).unwrap_err(), "MsgId is not an unsigned 64-bit number", "{odd}");
        assert_eq!(line(odd, "5").unwrap_err(), "CreateTime is not an integer", "{odd}");
    }
}

#[test]
fn bulk_lines_need_what_counting_needs() {
    for (line, complaint) in [
        (r#"["u",5,"text",6]"#, "not a JSON object"),
        (r#""text""#, "not a JSON object"),
        ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
        (r#"{"CreateTime":5,"MsgType":"text","MsgId":6}"#, "FromUserName is missing"),
        (r#"{"FromUserName":7,"CreateTime":5,"MsgType":"text","MsgId":6}"#, "FromUserName is not text"),
        (r#"{"FromUserName":"","CreateTime":5,"MsgType":"text"}"#, "FromUserName is not 1 to 128 bytes long"),
        (r#"{"FromUserName":"u","MsgType":"text","MsgId":6}"#, "CreateTime is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgId":6}"#, "MsgType is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"","MsgId":6}"#, "MsgType is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"text"}"#, "MsgId is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"event"}"#, "Event is missing"),
        (r#"{"FromUserName":"u","FromUserName":"u","CreateTime":5}"#, "FromUserName is there twice"),
    ] {
        assert_eq!(bulk_line(line.as_bytes()).unwrap_err().to_string(), complaint, "{line}");
    }
    assert_eq!(bulk_line(b"\xff").unwrap_err().to_string(), "not UTF-8");
    let user = |user: &str| format!(r#"{{"FromUserName":"{user}","CreateTime":5,"MsgType":"x","MsgId":6}}"#);
    assert_eq!(bulk_line(user(&"a".repeat(128)).as_bytes()).unwrap().kind(), Kind::Other);
    assert!(bulk_line(user(&"微".repeat(43)).as_bytes()).is_err(), "129 bytes");
    assert_eq!(&*bulk_line(user("\\u5fae\\n").as_bytes()).unwrap().user, "微\n");
}

#[test]
fn an_address_check_gets_its_echostr_byte_for_byte_or_401() {
    let keys = AccountKeys::new(&settings()).unwrap();
    let signed = plain().query;
    let get = |more: &str| verify_get(&keys, &Query::parse(&format!("{signed}{more}")));
    assert_eq!(get("&echostr=%00%ff%2B+%E5%BE%AE&echostr=x").unwrap(), b"\x00\xff+ \xe5\xbe\xae");
    assert_eq!(get("").unwrap_err().status(), 401);
    let unsigned = verify_get(&keys, &Query::parse("echostr=1&timestamp=1&nonce=1&signature="));
    assert_eq!(unsigned.unwrap_err().reason(), "wrong_signature");
}
