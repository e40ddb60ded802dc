//! Which callbacks are accepted: modes, signatures, keys, age, receiver.

use wechat::callback::{Cause, json::read_bulk_line, verify_get};

use super::*;

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
fn json_and_xml_give_the_same_message_inside_and_outside_the_encryption() {
    let inner = r#" {"ToUserName":"gh_1","FromUserName":"openid","CreateTime":1799999995,
        "MsgType":"text","Content":"<!DOCTYPE x>","MsgId":"18446744073709551615","x":[{"MsgId":1.5}]} "#;
    let outer = |encrypt: &str| format!(r#"{{"ToUserName":"gh_1","Encrypt":"{encrypt}"}}"#);
    assert_eq!(opened(settings(), &with_body(inner)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(inner, outer)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(inner, safe_xml)), Ok(message()));
    assert_eq!(opened(settings(), &with_inner(&draft().xml(), outer)), Ok(message()));
    assert_eq!(read_bulk_line(inner.as_bytes()), Ok(message()));
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
fn in_compatible_mode_only_the_decrypted_message_is_used() {
    let sealed = encrypted(KEY, "wx1", true);
    let body = sealed.body.replacen("openid", "someone else", 1).replacen(
        "<MsgType>",
        "<MsgId>x</MsgId><MsgType>",
        1,
    );
    assert_eq!(opened(settings(), &Sealed { body, ..sealed }), Ok(message()));
}

#[test]
fn a_body_with_a_ciphertext_is_checked_as_encrypted_even_if_the_query_says_plain() {
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
fn an_account_without_a_key_reads_the_clear_fields_of_compatible_mode_like_a_plain_callback() {
    let fresh = |compatible| Sealed { query: plain().query, ..encrypted(KEY, "wx1", compatible) };
    assert_eq!(opened(without_key(), &fresh(true)), Ok(message()));
    assert_eq!(reason(without_key(), &fresh(false)), ("key_missing", 400, Proof::Full));
    assert!(opened(without_key(), &fresh(false)).unwrap_err().to_string().contains("encoding_aes_key"));
    // Its timestamp is in the year 1970.
    assert_eq!(reason(without_key(), &encrypted(KEY, "wx1", true)), ("stale_timestamp", 401, Proof::Stale));
    let unsigned = Sealed { query: "encrypt_type=aes".to_owned(), ..fresh(true) };
    assert_eq!(reason(without_key(), &unsigned), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn a_plain_callback_is_refused_where_encryption_is_required_and_the_refusal_has_the_create_time() {
    let required = KeySettings { require_encryption: true, ..settings() };
    assert_eq!(reason(required, &plain()), ("encryption_required", 401, Proof::Full));
    assert_eq!(opened(required, &plain()).unwrap_err().create_time(), Some(NOW_S - 5));
    let unsigned = Sealed { query: String::new(), ..plain() };
    assert_eq!(reason(required, &unsigned), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn a_body_that_a_plain_signature_does_not_prove_is_never_relayed_and_is_a_loss_only_if_fresh() {
    let refusal = |settings, body: &str, now_s| {
        let keys = AccountKeys::new(&settings).unwrap();
        open(&keys, &Query::parse(&plain().query), body.as_bytes(), now_s, Some(3600)).unwrap_err()
    };
    let required = KeySettings { require_encryption: true, ..settings() };
    for body in [&*plain().body, "<xml/>", "no xml", &safe_xml("AAAA"), "<!DOCTYPE x><xml/>", "{", ""] {
        let old = NOW_S + 864_000;
        let cases = [
            (without_key(), old, "stale_timestamp"),
            (required, old, if body.contains("AAAA") { "wrong_signature" } else { "encryption_required" }),
            (required, NOW_S, if body.contains("AAAA") { "wrong_signature" } else { "encryption_required" }),
        ];
        for (keys, now_s, reason) in cases {
            let refusal = refusal(keys, body, now_s);
            assert_eq!((refusal.reason(), refusal.status()), (reason, 401), "{body}");
            assert!(!refusal.may_be_relayed(), "{body}");
            assert_eq!(refusal.is_authentic(), now_s == NOW_S && reason != "wrong_signature", "{body}");
        }
    }
    let malformed = refusal(settings(), "no xml", NOW_S);
    assert!(malformed.is_authentic() && malformed.may_be_relayed());
}

#[test]
fn an_empty_msg_signature_is_ignored() {
    for more in ["&msg_signature=", "&msg_signature", "&encrypt_type=raw&msg_signature="] {
        let sealed = Sealed { query: plain().query + more, ..plain() };
        assert_eq!(opened(settings(), &sealed), Ok(message()), "{more}");
        let encrypted = Sealed { query: plain().query + more, ..encrypted(KEY, "wx1", true) };
        assert_eq!(reason(settings(), &encrypted), ("wrong_signature", 401, Proof::Nothing), "{more}");
    }
}

#[test]
fn plain_callbacks_that_are_too_old_or_too_far_ahead_are_refused() {
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
fn wrong_keys_wrong_appids_and_wrong_signatures_have_different_reasons() {
    assert_eq!(reason(settings(), &encrypted(KEY, "wx2", false)), ("wrong_appid", 403, Proof::Signature));
    let other_key = reason(settings(), &encrypted(OLD_KEY, "wx1", false));
    assert_eq!(other_key, ("undecryptable", 400, Proof::Signature));
    let garbage = Sealed { body: safe_xml("AAAA"), ..encrypted(KEY, "wx1", false) };
    assert_eq!(reason(settings(), &garbage), ("wrong_signature", 401, Proof::Nothing));
}

#[test]
fn another_receiver_is_refused_if_the_original_id_is_configured() {
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
fn document_types_are_refused_inside_and_outside_the_encryption_and_never_relayed() {
    let declared = |declaration: &str| format!("<?xml version='1.0'?>{declaration}{}", draft().xml());
    for declaration in
        ["<!DOCTYPE xml [<!ENTITY a 'b'>]>", "<!doctype xml>", "<!DOCTYPE xml SYSTEM 'file:///x'>"]
    {
        for sealed in [with_body(&declared(declaration)), with_inner(&declared(declaration), safe_xml)] {
            let refusal = opened(settings(), &sealed).unwrap_err();
            assert_eq!(refusal.cause(), &Cause::DocumentType, "{declaration}");
            assert!(refusal.is_authentic() && !refusal.may_be_relayed());
        }
        let outer = |encrypt: &str| format!("{declaration}{}", safe_xml(encrypt));
        let sealed = with_inner(&draft().xml(), outer);
        assert_eq!(reason(settings(), &sealed), ("document_type", 400, Proof::Nothing));
    }
    let after = with_body(&(draft().xml() + "<!DOCTYPE xml"));
    assert_eq!(reason(settings(), &after), ("document_type", 400, Proof::Full));
}

#[test]
fn an_address_check_gets_its_exact_echostr_or_401() {
    let keys = AccountKeys::new(&settings()).unwrap();
    let signed = plain().query;
    let get = |more: &str| verify_get(&keys, &Query::parse(&format!("{signed}{more}")));
    assert_eq!(get("&echostr=%00%ff%2B+%E5%BE%AE&echostr=x").unwrap(), b"\x00\xff+ \xe5\xbe\xae");
    assert_eq!(get("").unwrap_err().status(), 401);
    let unsigned = verify_get(&keys, &Query::parse("echostr=1&timestamp=1&nonce=1&signature="));
    assert_eq!(unsigned.unwrap_err().reason(), "wrong_signature");
}
