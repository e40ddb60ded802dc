//! Platforms of our own (role "serve") that ask any of the processes.

use super::*;
use crate::accounts::platform_issuer::{Approval, PlatformError, code::CodeKind, event};

fn approval(pre_auth_code: Option<String>) -> Approval {
    let (component, account) = (SERVES.to_owned(), CONFIGURED.to_owned());
    Approval { component, account, permission_sets: vec![1], pre_auth_code }
}

impl Process {
    async fn authorize(&self, pre_auth_code: Option<String>) -> Result<String, PlatformError> {
        let done = self.app.platforms.authorize(approval(pre_auth_code), self.app.authorization_context());
        done.await.map(|(code, _)| code)
    }

    async fn redeem(&self, code: &str) -> Result<String, PlatformError> {
        let issued = self.app.platforms.redeem(SERVES, code, self.app.authorization_context()).await;
        issued.map(|issued| issued.refresh_token)
    }

    async fn refresh(&self, refresh_token: &str) -> Result<String, PlatformError> {
        let context = self.app.authorization_context();
        let issued = self.app.platforms.refresh(SERVES, CONFIGURED, refresh_token, context).await;
        issued.map(|issued| issued.refresh_token)
    }
}

#[tokio::test]
async fn a_code_is_used_once_over_all_processes() {
    let mut scene = Scene::new(3, "");
    let (one, other) = (scene.start(), scene.start());
    for _ in 0..20 {
        let pre_auth_code = one.app.platforms.pre_auth_code(SERVES, NOW_S).unwrap();
        let (first, second) = tokio::join!(
            one.authorize(Some(pre_auth_code.clone())),
            other.authorize(Some(pre_auth_code.clone()))
        );
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1);
        let code = first.or(second).unwrap();
        let (first, second) = tokio::join!(one.redeem(&code), other.redeem(&code));
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1);
    }
    assert_eq!(one.described().await, other.described().await);
    let late = scene.start();
    assert_eq!(late.described().await, other.described().await);
    for process in [one, other, late] {
        process.stop().await;
    }
}

#[tokio::test]
async fn authorisations_and_refresh_tokens_follow_and_end_everywhere() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    let code = one.authorize(None).await.unwrap();
    let refresh_token = other.redeem(&code).await.unwrap();
    let rotated = one.refresh(&refresh_token).await.unwrap();
    assert_ne!(rotated, refresh_token);
    assert_eq!(other.refresh(&refresh_token).await.unwrap(), rotated, "in its grace");
    let again = other.refresh(&rotated).await.unwrap();
    assert_eq!(one.described().await, other.described().await);
    let context = other.app.authorization_context();
    assert!(other.app.platforms.withdraw(SERVES, CONFIGURED, context).await.unwrap().is_some());
    assert!(one.refresh(&again).await.is_err());
    assert_eq!(one.described().await, other.described().await);
    let code = other.authorize(None).await.unwrap();
    assert!(one.refresh(&again).await.is_err(), "it was of the former authorisation");
    assert!(one.redeem(&code).await.is_ok());
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_fact_that_is_told_twice_or_cannot_be_read_changes_nothing() {
    let mut scene = Scene::new(1, "");
    let one = scene.start();
    let code = one.authorize(None).await.unwrap();
    one.redeem(&code).await.unwrap();
    let before = one.described().await;
    for (key, value) in one.app.store.facts("") {
        one.app.platforms.apply_fact(&key, Some(&value));
    }
    for key in ["authorization/", "authorization/99/wx/wx", "authorization/é/a", "component-code/x", "other"]
    {
        assert_eq!(one.app.platforms.apply_fact(key, None), key != "other");
        one.app.platforms.apply_fact(key, Some(b"{"));
    }
    assert_eq!(one.described().await, before);
    let code = one.app.platforms.check_code(CodeKind::Auth, &code, SERVES, NOW_S);
    assert!(code.is_err(), "it was used");
    one.stop().await;
}

#[tokio::test]
async fn an_event_that_a_process_left_is_delivered_by_one_other() {
    let mut scene = Scene::new(3, "");
    let one = scene.start();
    // It dies before it queues the event.
    one.authorize(None).await.unwrap();
    let (second, third) = (scene.start(), scene.start());
    let claim = async |process: &Process, after_s| {
        let clock = Clock::starting_at(NOW_S + after_s);
        let app = &process.app;
        event::claim_left(&app.store, &app.key, &app.ingest, &clock).await.unwrap().len()
    };
    assert_eq!((claim(&second, 10).await, claim(&third, 10).await), (0, 0), "it may still be alive");
    assert_eq!((claim(&second, 40).await, claim(&third, 40).await), (1, 0));
    assert_eq!(claim(&third, 110).await, 1, "the second one died too");
    let event = event::undelivered(&third.app.store, &third.app.key).remove(0);
    third.app.ingest.submit_all(vec![event.delivered_fact(), event.claim_end()]).unwrap().await.unwrap();
    second.app.store.fresh().await.unwrap();
    assert!(second.app.store.facts("event").is_empty() && claim(&second, 200).await == 0);
    for process in [one, second, third] {
        process.stop().await;
    }
}
