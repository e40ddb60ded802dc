//! Real tokens: one process fetches them, all use them.

use std::sync::Mutex;

use axum::{Router, extract::State, routing::post};
use serde_json::{Value, json};
use storage::store::Change;
use system::sync::lock;

use super::*;
use crate::forward::upstream_token::{TokenFailure, UpstreamToken};

/// What WeChat was asked, and what it answers.
#[derive(Debug, Default)]
struct Wechat {
    normal: usize,
    forced: usize,
    /// Milliseconds until it answers.
    pause_ms: u64,
    is_down: bool,
}

type SharedWechat = Arc<Mutex<Wechat>>;

async fn answer(State(wechat): State<SharedWechat>, body: String) -> String {
    let pause_ms = lock(&wechat).pause_ms;
    tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
    let mut wechat = lock(&wechat);
    if wechat.is_down {
        return json!({"errcode": -1, "errmsg": "system error"}).to_string();
    }
    let asked: Value = serde_json::from_str(&body).unwrap();
    if asked["force_refresh"] == json!(true) {
        wechat.forced += 1;
    } else {
        wechat.normal += 1;
    }
    json!({"access_token": format!("real{}", wechat.forced), "expires_in": 7200}).to_string()
}

/// WeChat, and two processes that ask it.
async fn scene() -> (SharedWechat, Scene) {
    let wechat = SharedWechat::default();
    let router = Router::new().route("/cgi-bin/stable_token", post(answer)).with_state(wechat.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!(
        "[upstream]\nbase = \"http://{}\"\nexpose_real_token = true\n",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    (wechat, Scene::new(3, &upstream))
}

impl Process {
    async fn real_token(&self, forced: bool) -> Result<UpstreamToken, TokenFailure> {
        let (upstream, account) = (self.app.upstream().unwrap(), self.app.accounts.get(CONFIGURED).unwrap());
        if forced { upstream.forced(&account).await } else { upstream.token(&account).await }
    }

    /// Whose token it is, once everything is known.
    async fn owner_of(&self, token: &UpstreamToken) -> Option<String> {
        self.app.store.fresh().await.unwrap();
        self.app.upstream().unwrap().appid_of(token.token.reveal(), NOW_S + 1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_need_a_token_at_once_fetch_one() {
    let (wechat, mut scene) = scene().await;
    let (one, other) = (scene.start(), scene.start());
    lock(&wechat).pause_ms = 300;
    let (first, second) = tokio::join!(one.real_token(false), other.real_token(false));
    assert_eq!(first.unwrap().hash, second.unwrap().hash);
    assert_eq!(lock(&wechat).normal, 1);
    let late = scene.start();
    late.real_token(false).await.unwrap();
    assert_eq!(lock(&wechat).normal, 1, "a start reads it");
    for process in [one, other, late] {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_clock_is_behind_uses_the_token_of_another() {
    let (wechat, mut scene) = scene().await;
    let (one, behind) = (scene.start(), scene.start_at(NOW_S - 2));
    let fetched = one.real_token(false).await.unwrap();
    assert_eq!(behind.real_token(false).await.unwrap().hash, fetched.hash);
    assert_eq!(lock(&wechat).normal, 1);
    for process in [one, behind] {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_token_counts_for_all_and_ends_the_old_one_everywhere() {
    let (wechat, mut scene) = scene().await;
    let (one, other) = (scene.start(), scene.start());
    let old = one.real_token(false).await.unwrap();
    other.real_token(false).await.unwrap();
    assert!(other.owner_of(&old).await.is_some());
    // Both force at once: WeChat gives one new token.
    let (first, second) = tokio::join!(one.real_token(true), other.real_token(true));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.hash == old.hash, first.hash == second.hash, lock(&wechat).forced), (false, true, 1));
    for process in [&one, &other] {
        assert!(process.owner_of(&old).await.is_none() && process.owner_of(&first).await.is_some());
    }
    // Another one within 30 s is not forced, at whatever process.
    let late = scene.start();
    for process in [&one, &other, &late] {
        assert_eq!(process.real_token(true).await.unwrap().hash, first.hash);
    }
    assert_eq!(lock(&wechat).forced, 1);
    other.app.upstream().unwrap().forget(CONFIGURED).await;
    assert!(one.owner_of(&first).await.is_none());
    for process in [one, other, late] {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_ends_the_lease_and_a_process_that_died_only_delays_the_others() {
    let (wechat, mut scene) = scene().await;
    let (one, other) = (scene.start(), scene.start());
    lock(&wechat).is_down = true;
    assert!(one.real_token(false).await.is_err());
    lock(&wechat).is_down = false;
    other.real_token(false).await.unwrap();
    other.app.upstream().unwrap().forget(CONFIGURED).await;
    // As a process leaves it that dies while it fetches.
    let lease = json!({"holder": "dead", "until_s": one.app.clock.now_s() + 2});
    let fact = Change::fact(format!("upstream_lease/{CONFIGURED}"), &lease);
    let decided = one.app.store.decide().await.unwrap().commit(&one.app.ingest, vec![fact]).await.unwrap();
    drop(decided);
    let before_s = other.app.clock.now_s();
    other.real_token(false).await.unwrap();
    assert!(other.app.clock.now_s() > before_s, "it waited for the lease to end");
    let Store::Memory(store) = &*one.app.store else { panic!() };
    store.cut_off(true);
    one.app.upstream().unwrap().apply_fact(&format!("upstream/{CONFIGURED}"), None);
    assert!(one.real_token(false).await.is_err(), "nothing is fetched that the others do not learn of");
    store.cut_off(false);
    one.stop().await;
    other.stop().await;
}
