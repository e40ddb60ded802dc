//! The content of a message: fields, numbers and character references, in XML, JSON and bulk lines.

use counting::{Content, Kind, Message};
use wechat::callback::{Proof, Refusal, json::read_bulk_line};

use super::{opened, reason, settings, with_body};

/// Opens a plain XML callback with these child elements.
fn open_elements(children: &str) -> Result<Message, Refusal> {
    opened(settings(), &with_body(&format!("<xml>{children}</xml>")))
}

#[test]
fn predefined_and_numeric_references_are_decoded_and_others_refused() {
    let user = |user: &str| {
        open_elements(&format!(
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
fn events_differ_by_name_and_key_and_need_no_msg_id() {
    let event = |rest: &str| open_elements(&format!("{WHO}<MsgType>event</MsgType>{rest}"));
    let scan = event("<Event>SCAN</Event><EventKey><![CDATA[12]]></EventKey><MsgID>9</MsgID>").unwrap();
    assert_eq!(scan.content, Content::Event { name: "SCAN".into(), key: "12".into(), msg_id: Some(9) });
    let bare = event("<Event>unsubscribe</Event><EventKey/><MsgId>x</MsgId>").unwrap();
    assert_eq!(bare.content, Content::Event { name: "unsubscribe".into(), key: "".into(), msg_id: None });
    assert_eq!(event("<Event>unsubscribe</Event><MsgID> </MsgID>").unwrap().content, bare.content);
    for rest in [
        "",
        "<Event></Event>",
        "<Event>a</Event><Event>b</Event>",
        "<Event><b>a</b></Event>",
        "<Event>a</Event><MsgID>x</MsgID>",
        "<Event>a</Event><MsgID>-1</MsgID>",
        "<Event>a</Event><MsgID>1</MsgID><MsgID>1</MsgID>",
        "<Event>a</Event><EventKey>b&nbsp;</EventKey>",
    ] {
        assert_eq!(event(rest).unwrap_err().reason(), "malformed", "{rest}");
    }
}

#[test]
fn a_nested_element_with_the_name_of_a_field_is_ignored() {
    let nested = "<List><MsgId>1</MsgId><CreateTime>x</CreateTime></List>";
    let message =
        open_elements(&format!("{nested}{WHO}<MsgType>text</MsgType><MsgId>6</MsgId>{nested}")).unwrap();
    assert_eq!(message.content, Content::Message { kind: Kind::Text, msg_id: 6 });
}

#[test]
fn a_signed_body_that_is_no_message_is_malformed_but_authentic() {
    let deep = format!("<xml>{}{}</xml>", "<a>".repeat(40), "</a>".repeat(40));
    let very_deep = "<a>".repeat(20_000);
    let endless = "<!--<?<a \"<".repeat(5_000);
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
        &endless,
        &deep_json,
    ] {
        assert_eq!(reason(settings(), &with_body(body)), ("malformed", 400, Proof::Full), "{body:.30}");
    }
    let large = with_body(&" ".repeat(64 * 1024 + 1));
    assert_eq!(reason(settings(), &large), ("body_too_large", 413, Proof::Nothing));
}

#[test]
fn a_refusal_for_its_content_has_the_create_time() {
    let refusal = open_elements(&format!("{WHO}<MsgType>text</MsgType>")).unwrap_err();
    assert_eq!((refusal.create_time(), refusal.may_be_relayed()), (Some(5), true));
    assert_eq!(refusal.to_string(), "the body is not a callback message: MsgId is missing");
}

/// Reads a bulk line with these two values, unquoted.
fn read_line(create_time: &str, msg_id: &str) -> Result<Message, String> {
    let line = format!(
        r#"{{"FromUserName":"u","CreateTime":{create_time},"MsgType":"text","MsgId":{msg_id},"Content":null,"y":1e999}}"#
    );
    read_bulk_line(line.as_bytes()).map_err(|flaw| flaw.to_string())
}

/// Reads an XML callback with these two values.
fn read_xml(create_time: &str, msg_id: &str) -> Result<Message, Refusal> {
    open_elements(&format!(
        "<FromUserName>u</FromUserName><CreateTime>{create_time}</CreateTime><MsgType>text</MsgType><MsgId>{msg_id}</MsgId>"
    ))
}

#[test]
fn numbers_must_be_whole_and_are_read_exactly() {
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
        let bare = read_line(create_time, msg_id);
        assert_eq!(bare.is_ok(), is_right, "{create_time} {msg_id}: {bare:?}");
        assert_eq!(read_line(&format!("{create_time:?}"), &format!("{msg_id:?}")), bare, "as text");
        assert_eq!(read_xml(create_time, msg_id).ok(), bare.ok(), "as XML");
    }
    for odd in ["\"\"", "\"+1\"", "\"1 2\"", "\"0x1\"", "null", "true", "[1]", "{}", "\"１\""] {
        assert_eq!(read_line("5", odd).unwrap_err(), "MsgId is not an unsigned 64-bit number", "{odd}");
        assert_eq!(read_line(odd, "5").unwrap_err(), "CreateTime is not an integer", "{odd}");
    }
}

#[test]
fn bulk_lines_without_a_field_that_counting_needs_are_refused() {
    for (line, complaint) in [
        (r#"["u",5,"text",6]"#, "not a JSON object"),
        (r#""text""#, "not a JSON object"),
        ("{", "not JSON: it ends early"),
        (r#"{"FromUserName":"u" "CreateTime":5}"#, "not JSON: no comma between two fields"),
        (r#"{"a":[1}]}"#, "not JSON: brackets that do not fit"),
        ("<xml><a></xml>", "not well-formed XML: it ends early"),
        ("no JSON", "not a JSON object"),
        (r#"{"CreateTime":5,"MsgType":"text","MsgId":6}"#, "FromUserName is missing"),
        (r#"{"FromUserName":7,"CreateTime":5,"MsgType":"text","MsgId":6}"#, "FromUserName is not text"),
        (r#"{"FromUserName":"","CreateTime":5,"MsgType":"text"}"#, "FromUserName is not 1 to 128 bytes long"),
        (r#"{"FromUserName":"u","MsgType":"text","MsgId":6}"#, "CreateTime is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgId":6}"#, "MsgType is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"","MsgId":6}"#, "MsgType is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"text"}"#, "MsgId is missing"),
        (r#"{"FromUserName":"u","CreateTime":5,"MsgType":"event"}"#, "Event is missing"),
        (r#"{"FromUserName":"u","FromUserName":"u","CreateTime":5}"#, "FromUserName appears twice"),
    ] {
        assert_eq!(read_bulk_line(line.as_bytes()).unwrap_err().to_string(), complaint, "{line}");
    }
    assert_eq!(read_bulk_line(b"\xff").unwrap_err().to_string(), "not UTF-8");
    let user = |user: &str| format!(r#"{{"FromUserName":"{user}","CreateTime":5,"MsgType":"x","MsgId":6}}"#);
    assert_eq!(read_bulk_line(user(&"a".repeat(128)).as_bytes()).unwrap().kind(), Kind::Other);
    assert!(read_bulk_line(user(&"微".repeat(43)).as_bytes()).is_err(), "129 bytes");
    assert_eq!(&*read_bulk_line(user("\\u5fae\\n").as_bytes()).unwrap().user, "微\n");
}
