//! Certificates of the authority, checked by a verifier.

use super::*;

/// 2026-11-23.
const NOW_S: i64 = 1_795_400_000;

fn hosts(names: &[&str]) -> Vec<CertificateHost> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn authority(names: &[&str]) -> Authority {
    Authority::make(KeyPair::generate().unwrap(), &hosts(names), NOW_S).unwrap()
}

fn check(authority: &Authority, names: &[&str], now_s: i64) -> Result<(), webpki::Error> {
    let key = KeyPair::generate().unwrap();
    let until = date(NOW_S).unwrap().saturating_add(397.days());
    let server = authority.issue(&key, &hosts(names), NOW_S, until).unwrap();
    authority.check(&server, &hosts(names), now_s)
}

#[test]
fn it_vouches_for_its_hosts_and_a_verifier_refuses_all_others() {
    let cases: [(&[&str], &[&str], bool); 13] = [
        (&["api.weixin.qq.com"], &["api.weixin.qq.com"], true),
        (&["api.weixin.qq.com"], &["mp.weixin.qq.com"], false),
        (&["api.weixin.qq.com"], &["weixin.qq.com"], false),
        (&["api.weixin.qq.com"], &["api.weixin.qq.com", "example.com"], false),
        (&["api.weixin.qq.com"], &["127.0.0.1"], false),
        (&["api.weixin.qq.com"], &["::1"], false),
        (&["a.example", "b.example"], &["b.example"], true),
        (&["10.0.0.1"], &["10.0.0.1"], true),
        (&["10.0.0.1"], &["10.0.0.2"], false),
        (&["10.0.0.1"], &["::1"], false),
        (&["10.0.0.1"], &["example.com"], false),
        (&["a.example", "::1"], &["a.example", "::1"], true),
        (&["a.example", "::1"], &["::2"], false),
    ];
    for (made_for, asked, allowed) in cases {
        let expected = if allowed { Ok(()) } else { Err(webpki::Error::NameConstraintViolation) };
        assert_eq!(check(&authority(made_for), asked, NOW_S), expected, "{made_for:?}, {asked:?}");
    }
}

#[test]
fn another_authority_is_not_believed() {
    let (one, other) = (authority(&["a.example"]), authority(&["a.example"]));
    let key = KeyPair::generate().unwrap();
    let server = one.issue(&key, &hosts(&["a.example"]), NOW_S, one.until()).unwrap();
    assert_eq!(other.check(&server, &hosts(&["a.example"]), NOW_S), Err(webpki::Error::UnknownIssuer));
}

#[test]
fn a_certificate_holds_from_a_day_before_until_its_last_day() {
    const DAY_S: i64 = 86_400;
    let authority = authority(&["a.example"]);
    for (later_days, allowed) in [(-2, false), (-1, true), (0, true), (396, true), (397, false)] {
        let said = check(&authority, &["a.example"], NOW_S + later_days * DAY_S);
        assert_eq!(said.is_ok(), allowed, "{later_days}: {said:?}");
    }
}

#[test]
fn the_issuer_is_bound_by_itself_for_clients_that_look_at_no_constraints_of_a_root() {
    let mut authority = authority(&["a.example"]);
    let until = authority.until();
    let key = KeyPair::generate().unwrap();
    let server = authority.issue(&key, &hosts(&["b.example"]), NOW_S, until).unwrap();
    let trust = |authority: &Authority| authority.check(&server, &hosts(&["b.example"]), NOW_S);
    assert_eq!(trust(&authority), Err(webpki::Error::NameConstraintViolation));
    let root_key = KeyPair::generate().unwrap();
    let mut free = ca_params("root", &root_key);
    free.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    set_times(&mut free, NOW_S, until).unwrap();
    let mut issuer = ca_params(ISSUER, &authority.key);
    constrain(&mut issuer, 0, &hosts(&["a.example"]));
    set_times(&mut issuer, NOW_S, until).unwrap();
    authority.root = Certificate::of(&free.self_signed(&root_key).unwrap(), until);
    let signed = issuer.signed_by(&authority.key, &Issuer::new(free, root_key)).unwrap();
    authority.issuer = Certificate::of(&signed, until);
    assert_eq!(trust(&authority), Err(webpki::Error::NameConstraintViolation));
    assert_eq!(check(&authority, &["a.example"], NOW_S), Ok(()));
}

#[test]
fn it_is_found_again_by_its_key_and_certificates_with_its_end() {
    let made = authority(&["a.example"]);
    let key = || KeyPair::from_pem(&made.key.serialize_pem()).unwrap();
    let again = Authority::load(key(), &made.issuer.pem, &made.root.pem).unwrap();
    assert_eq!(again.until(), made.until());
    assert_eq!(again.until(), date(NOW_S).unwrap().saturating_add(10.years()));
    assert_eq!(check(&again, &["a.example"], NOW_S), Ok(()));
    let other = authority(&["a.example"]);
    assert!(Authority::load(key(), &other.issuer.pem, &made.root.pem).is_none());
    assert!(Authority::load(key(), "no certificate", &made.root.pem).is_none());
    let mixed = Authority::load(key(), &made.issuer.pem, &other.root.pem).unwrap();
    assert_eq!(check(&mixed, &["a.example"], NOW_S), Err(webpki::Error::UnknownIssuer));
}

#[test]
fn the_refused_hosts_are_named_one_by_one() {
    let authority = authority(&["a.example", "10.0.0.1"]);
    let key = KeyPair::generate().unwrap();
    let asked = hosts(&["a.example", "b.example", "10.0.0.1", "10.0.0.2"]);
    let refused = authority.disallowed_hosts(&key, &asked, NOW_S).unwrap();
    assert_eq!(refused, hosts(&["b.example", "10.0.0.2"]));
}

#[test]
fn a_renewed_certificate_of_the_same_key_has_another_number() {
    let authority = authority(&["a.example"]);
    let key = KeyPair::generate().unwrap();
    let issue = || authority.issue(&key, &hosts(&["a.example"]), NOW_S, authority.until()).unwrap().der;
    let (one, other) = (issue(), issue());
    let number = |der| EndEntityCert::try_from(der).unwrap().serial().to_vec();
    assert_ne!(number(&one), number(&other));
}
