//! Recorded calls of wx-server-sdk 4.0.2 (chunks joined), signed with the keys of the scene. Also altered versions of them.

use axum::{body::Body, http::Request};
use proptest::{prelude::*, sample::Index, test_runner::TestCaseError};
use serde_json::json;
use wechat::cloud::signature::Tc3Authorization;

use crate::cloud::scene::{ReceivedAnswer, Scene};

const MONTH: &[u8] = include_bytes!("../../data/cloud/month.http");
const OTHER_ACCOUNT: &[u8] = include_bytes!("../../data/cloud/other_account.http");
const FIRST_ACCOUNT: &[u8] = include_bytes!("../../data/cloud/first_account.http");
const FOREIGN_ACCOUNT: &[u8] = include_bytes!("../../data/cloud/foreign_account.http");
const UNKNOWN_INTERFACE: &[u8] = include_bytes!("../../data/cloud/unknown_interface.http");

/// Time of the recording. Unix seconds.
const NOW_S: i64 = 1_795_513_200;

/// The parts of a recorded call.
#[derive(Clone)]
struct RecordedCall {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl RecordedCall {
    fn read(bytes: &[u8]) -> RecordedCall {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let (first, lines) = head.split_once("\r\n").unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        RecordedCall {
            target: first.split(' ').nth(1).unwrap().to_owned(),
            headers: lines.split("\r\n").map(header).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(found, _)| found == name).unwrap().1
    }

    /// `None` if the altered call is not valid HTTP.
    fn request(&self) -> Option<Request<Body>> {
        let request = Request::post(&self.target);
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.body(Body::from(self.body.clone())).ok()
    }

    async fn send(&self, scene: &Scene) -> ReceivedAnswer {
        scene.send(self.request().unwrap()).await
    }
}

#[tokio::test]
async fn calls_of_the_sdk_are_answered() {
    let scene = Scene::at(NOW_S).await;
    let month = json!({"list":[{"ref_date":"2026-02-01","msg_type":1,"msg_user":1,"msg_count":2}]});
    assert_eq!(RecordedCall::read(MONTH).send(&scene).await.inner_json(), month);
    let day = json!({"list":[{"ref_date":"2026-02-02","msg_type":1,"msg_user":1,"msg_count":12}]});
    assert_eq!(RecordedCall::read(OTHER_ACCOUNT).send(&scene).await.inner_json(), day);
    let week = json!({"list":[{"ref_date":"2026-02-02","count_interval":1,"msg_user":1}]});
    assert_eq!(RecordedCall::read(FIRST_ACCOUNT).send(&scene).await.inner_json(), week);
    let (code, message) = RecordedCall::read(FOREIGN_ACCOUNT).send(&scene).await.cloud_error().unwrap();
    assert_eq!(code, "INVALID_COMMON_PARAM");
    assert!(message.starts_with("wx api error: -605108, appid unauthorized; "), "{message}");
    assert_eq!(RecordedCall::read(UNKNOWN_INTERFACE).send(&scene).await.answer().error_code, -604_100);
    assert_eq!(scene.refused("appid_not_allowed").await, 1);
    assert_eq!(scene.refused("unknown_api").await, 1);
}

#[tokio::test]
async fn a_call_with_a_wrong_time_is_refused_and_counted() {
    let made_s: i64 = RecordedCall::read(MONTH).header("x-timestamp").parse().unwrap();
    // The clock already runs while the server is prepared.
    for (now_s, is_timely) in [(540, true), (601, false), (-600, true), (-660, false)] {
        let scene = Scene::at(made_s + now_s).await;
        let answer = RecordedCall::read(MONTH).send(&scene).await;
        match answer.cloud_error() {
            None => assert!(is_timely, "{now_s}"),
            Some((code, message)) => {
                assert!(!is_timely && code == "SIGN_PARAM_INVALID", "{now_s} {message}");
                assert!(message.starts_with("signature is expired; "), "{message}");
                assert_eq!(scene.refused("clock").await, 1);
            }
        }
    }
}

#[test]
fn a_call_is_valid_for_ten_minutes_before_and_after_its_time_on_the_same_day() {
    let mut call = RecordedCall::read(MONTH);
    let made_s: i64 = call.header("x-timestamp").parse().unwrap();
    let request = call.request().unwrap();
    let authorization = Tc3Authorization::read(request.headers()).unwrap();
    for (age_s, is_timely) in [(600, true), (601, false), (-600, true), (-601, false)] {
        assert_eq!(authorization.is_fresh(made_s + age_s), is_timely, "{age_s}");
    }
    *call.header("x-timestamp") = (made_s + 86_400).to_string();
    let request = call.request().unwrap();
    assert!(!Tc3Authorization::read(request.headers()).unwrap().is_fresh(made_s + 86_400));
}

#[tokio::test]
async fn a_shorter_validity_is_respected_and_a_longer_one_is_ignored() {
    let made_s: i64 = RecordedCall::read(MONTH).header("x-timestamp").parse().unwrap();
    for (expires, age_s, is_timely) in [("60", 61, false), ("60", 0, true), ("4000000000", 601, false)] {
        let scene = Scene::at(made_s + age_s).await;
        let mut call = RecordedCall::read(MONTH);
        *call.header("x-signature-expires") = expires.to_owned();
        assert_eq!(call.send(&scene).await.cloud_error().is_none(), is_timely, "{expires} {age_s}");
    }
}

#[tokio::test]
async fn the_signature_covers_the_path_the_query_and_each_signed_header() {
    let scene = Scene::at(NOW_S).await;
    let signed = ["host", "user-agent", "x-client-timestamp", "x-sdk-version", "x-tcb-source"];
    for name in signed {
        let mut altered = RecordedCall::read(MONTH);
        altered.header(name).push('1');
        refused(&altered, &scene, "SIGN_PARAM_INVALID").await;
        let mut absent = RecordedCall::read(MONTH);
        absent.headers.retain(|(found, _)| found != name);
        refused(&absent, &scene, "SIGN_PARAM_INVALID").await;
        let mut twice = RecordedCall::read(MONTH);
        let value = twice.header(name).clone();
        twice.headers.push((name.to_owned(), value));
        refused(&twice, &scene, "SIGN_PARAM_INVALID").await;
    }
    let mut other = RecordedCall::read(MONTH);
    other.target = other.target.replace("env-one", "env-two");
    refused(&other, &scene, "SIGN_PARAM_INVALID").await;
    for name in ["authorization", "x-timestamp"] {
        let mut absent = RecordedCall::read(MONTH);
        absent.headers.retain(|(found, _)| found != name);
        refused(&absent, &scene, "SIGN_PARAM_INVALID").await;
    }
    assert_eq!(scene.refused("no_authorization").await, 2);
}

async fn refused(call: &RecordedCall, scene: &Scene, code: &str) {
    let answer = call.send(scene).await;
    assert_eq!(answer.cloud_error().map(|(code, _)| code).as_deref(), Some(code));
}

#[tokio::test]
async fn a_body_too_large_is_refused() {
    let scene = Scene::at(NOW_S).await;
    let mut call = RecordedCall::read(MONTH);
    call.body.resize((1 << 20) + 1, b' ');
    refused(&call, &scene, "EXCEED_REQUEST_SIZE_LIMIT").await;
    assert_eq!(scene.refused("body_too_large").await, 1);
}

/// Checks that an altered call is refused, or gets the same answer as the original.
async fn same_or_refused(
    scene: &Scene,
    call: &RecordedCall,
    untouched: &serde_json::Value,
) -> Result<(), TestCaseError> {
    let Some(request) = call.request() else { return Ok(()) };
    let answer = scene.send(request).await;
    prop_assert_eq!(answer.head.status, 200);
    if answer.cloud_error().is_none() {
        prop_assert_eq!(&answer.inner_json(), untouched);
    }
    Ok(())
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop::collection::vec((any::<Index>(), 0u8..4, any::<u8>()), 1..4)
}

/// Replaces, removes, inserts or repeats bytes.
fn edit(bytes: &mut Vec<u8>, edits: &[(Index, u8, u8)]) {
    for (at, kind, byte) in edits {
        let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match kind {
            0 => bytes[at] = *byte,
            1 => drop(bytes.drain(at..(at + 1 + usize::from(byte % 40)).min(bytes.len()))),
            2 => bytes.insert(at, *byte),
            _ => {
                let piece = bytes[at..(at + 1 + usize::from(*byte)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
}

#[test]
fn an_altered_call_is_refused_or_has_the_same_meaning() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::at(NOW_S));
    let untouched = runtime.block_on(RecordedCall::read(MONTH).send(&scene)).inner_json();
    let strategy = (edits(), any::<bool>(), any::<Index>());
    proptest!(|((edits, in_body, which) in strategy)| {
        let mut call = RecordedCall::read(MONTH);
        if in_body {
            edit(&mut call.body, &edits);
        } else {
            let (_, value) = &mut call.headers[which.index(9)];
            let mut bytes = value.clone().into_bytes();
            edit(&mut bytes, &edits);
            *value = String::from_utf8_lossy(&bytes).into_owned();
        }
        runtime.block_on(same_or_refused(&scene, &call, &untouched))?;
    });
}

#[test]
fn every_bit_of_the_signature_is_checked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::at(NOW_S));
    let mut call = RecordedCall::read(MONTH);
    let whole = call.header("authorization").clone();
    let (start, signature) = whole.split_once("Signature=").unwrap();
    for at in 0..signature.len() {
        let digit = u8::from_str_radix(&signature[at..=at], 16).unwrap() ^ 1;
        let altered = format!("{}{digit:x}{}", &signature[..at], &signature[at + 1..]);
        *call.header("authorization") = format!("{start}Signature={altered}");
        runtime.block_on(refused(&call, &scene, "SIGN_PARAM_INVALID"));
    }
    for short in ["", "00", &signature[..63], &format!("{signature}0")] {
        *call.header("authorization") = format!("{start}Signature={short}");
        runtime.block_on(refused(&call, &scene, "SIGN_PARAM_INVALID"));
    }
}
