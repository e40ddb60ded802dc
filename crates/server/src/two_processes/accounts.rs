//! Accounts that an operator adds, changes and removes at any of the processes.

use serde_json::{Value, json};

use super::*;
use crate::accounts::{
    registry::{AccountError, settings::Settings},
    service::Rotated,
};

fn settings(value: Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

fn full(appid: &str) -> Settings {
    settings(json!({"appid": appid, "secret": "s", "token": "t", "encoding_aes_key": KEY}))
}

#[tokio::test]
async fn an_account_appears_changes_and_disappears_at_every_process() {
    let mut scene = Scene::new(3, "");
    let (one, other) = (scene.start(), scene.start());
    one.app.account_service().add(full("wx1")).await.unwrap();
    assert!(other.app.accounts.get("wx1").is_none(), "it was not told yet");
    let number = one.app.accounts.get("wx1").unwrap().number;
    assert_eq!(one.described().await, other.described().await);
    assert!(other.app.ingest.served().contains(&number), "its writer serves it too");
    let exists = other.app.account_service().add(full("wx1")).await;
    assert!(matches!(exists, Err(AccountError::Exists(_))));
    other.app.account_service().change("wx1", settings(json!({"name": "shop"}))).await.unwrap();
    one.app.account_service().rotate("wx1", Rotated::Token).await.unwrap();
    assert_eq!(one.described().await, other.described().await);
    let now = other.app.accounts.get("wx1").unwrap();
    assert_eq!((now.config.name.as_str(), now.config.token_previous.is_some()), ("shop", true));
    let late = scene.start();
    assert_eq!(late.described().await, other.described().await, "a start reads the same");
    other.app.account_service().remove("wx1").await.unwrap();
    for process in [&one, &late] {
        assert_eq!(process.described().await, other.described().await);
        assert!(process.app.accounts.get("wx1").is_none() && !process.app.ingest.served().contains(&number));
    }
    for process in [one, other, late] {
        process.stop().await;
    }
}

#[tokio::test]
async fn of_two_that_add_the_same_account_at_once_one_adds_it() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    for number in 0..20 {
        let appid = format!("wx{number}");
        let (first, second) = (one.app.account_service(), other.app.account_service());
        let (first, second) = tokio::join!(first.add(full(&appid)), second.add(full(&appid)));
        assert_eq!(u8::from(first.is_ok()) + u8::from(second.is_ok()), 1, "{appid}");
    }
    assert_eq!(one.described().await, other.described().await);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_account_of_the_configuration_file_is_not_replaced_by_what_another_process_stores() {
    let mut scene = Scene::new(2, "");
    let one = scene.start();
    let before = one.described().await;
    let sealed = crate::accounts::registry::settings::settings_fact(
        CONFIGURED,
        &settings(json!({"appid": CONFIGURED, "name": "other", "token": "t"})),
        &one.app.key,
    );
    let storage::store::Change::Fact { key, value } = sealed.unwrap() else { panic!() };
    for value in [value.as_deref(), Some(b"not sealed".as_slice()), None] {
        assert!(one.app.platform_receiver.apply_fact(&key, value));
        assert_eq!(one.described().await, before);
    }
    one.stop().await;
}

#[tokio::test]
async fn what_cannot_be_decided_changes_nothing() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    one.app.account_service().add(full("wx1")).await.unwrap();
    let before = other.described().await;
    let Store::Memory(store) = &*other.app.store else { panic!() };
    store.cut_off(true);
    let service = other.app.account_service();
    assert!(matches!(service.add(full("wx2")).await, Err(AccountError::NotDurable(_))));
    assert!(matches!(service.remove("wx1").await, Err(AccountError::NotDurable(_))));
    let change = service.change("wx1", settings(json!({"name": "shop"}))).await;
    assert!(matches!(change, Err(AccountError::NotDurable(_))));
    store.cut_off(false);
    assert_eq!(other.described().await, before);
    assert_eq!(one.described().await, before);
    one.stop().await;
    other.stop().await;
}
