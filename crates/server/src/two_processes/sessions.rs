//! Tokens, keys, sessions and clearings of quotas that any of the processes is asked for.

use datacube::INTERFACES;
use system::secret::Secret;

use super::*;
use crate::{
    auth::{
        api_keys::{Access, KeyHolder, Scope},
        sessions::{FACT_PREFIX, IDLE_MAX_S, csrf_token},
    },
    http::fence,
};

fn holder(id: &str) -> KeyHolder {
    KeyHolder::Key(id.to_owned())
}

impl Process {
    /// Signs in with a key.
    async fn sign_in(&self, key: &str, now_s: i64) -> Secret {
        self.app.sessions.open(holder(key), now_s).await.unwrap()
    }

    /// Whether the session works, once the process knows everything.
    async fn works(&self, id: &Secret, now_s: i64) -> bool {
        self.app.store.fresh().await.unwrap();
        self.app.sessions.use_now(id.reveal(), now_s, |_| Some(Access::everything())).is_some()
    }

    fn cut_off(&self, is_cut_off: bool) {
        let Store::Memory(store) = &*self.app.store else { panic!("it is in memory") };
        store.cut_off(is_cut_off);
    }
}

/// Two processes, and what must live as long as they.
fn two() -> (Process, Process, Scene) {
    let mut scene = Scene::new(3, "");
    (scene.start(), scene.start(), scene)
}

async fn stop(processes: impl IntoIterator<Item = Process>) {
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test]
async fn whoever_asks_two_processes_at_once_gets_one_stable_token() {
    let (one, other, _scene) = two();
    let stable = async |process: &Process| {
        let App { tokens, ingest, clock, .. } = &*process.app;
        process.app.store.fresh().await.unwrap();
        tokens.issue_stable(CONFIGURED, false, ingest, clock).await.unwrap().access_token
    };
    let (first, second) = tokio::join!(stable(&one), stable(&other));
    assert_eq!(first, second);
    assert_eq!(stable(&one).await, first);
    stop([one, other]).await;
}

#[tokio::test]
async fn a_session_works_at_every_process_and_ends_at_every_process() {
    let (one, other, mut scene) = two();
    let id = one.sign_in("k", NOW_S).await;
    let late = scene.start();
    for process in [&one, &other, &late] {
        assert!(process.works(&id, NOW_S).await);
    }
    let stored = one.app.store.facts(FACT_PREFIX);
    let text = format!("{stored:?}");
    assert!(stored.len() == 1 && !text.contains(id.reveal()) && !text.contains(&csrf_token(id.reveal())));
    let session = late.app.sessions.use_now(id.reveal(), NOW_S, |_| Some(Access::everything())).unwrap();
    late.app.sessions.end(&session.id_hash).await.unwrap();
    for process in [&one, &other, &late] {
        assert!(!process.works(&id, NOW_S).await);
    }
    stop([one, other, late]).await;
}

#[tokio::test]
async fn a_session_that_is_used_at_one_process_is_not_idle_for_the_others() {
    let (one, other, _scene) = two();
    let (used, unused) = (one.sign_in("k", NOW_S).await, one.sign_in("k", NOW_S).await);
    assert!(one.works(&used, NOW_S + 1000).await);
    // The others are told a little later.
    let before = one.app.store.facts(FACT_PREFIX);
    while one.app.store.facts(FACT_PREFIX) == before {
        tokio::task::yield_now().await;
    }
    assert!(other.works(&used, NOW_S + IDLE_MAX_S + 999).await);
    assert!(!other.works(&unused, NOW_S + IDLE_MAX_S + 999).await);
    stop([one, other]).await;
}

#[tokio::test]
async fn a_key_that_one_process_revokes_ends_its_sessions_at_the_others() {
    let (one, other, _scene) = two();
    let App { api_keys, ingest, sessions, store, .. } = &*other.app;
    let (key, text) = api_keys.add("k".to_owned(), vec![Scope::Admin], None, NOW_S, ingest).await.unwrap();
    let id = other.sign_in(&key.id, NOW_S).await;
    one.app.store.fresh().await.unwrap();
    assert!(one.app.api_keys.access(text.reveal(), NOW_S).is_some());
    one.app.api_keys.remove(&key.id, &one.app.ingest).await.unwrap();
    store.fresh().await.unwrap();
    assert!(api_keys.access(text.reveal(), NOW_S).is_none());
    let access = |holder: &KeyHolder| api_keys.access_of(&holder.to_string(), NOW_S);
    assert!(sessions.use_now(id.reveal(), NOW_S, access).is_none());
    while !store.facts(FACT_PREFIX).is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!one.works(&id, NOW_S).await);
    stop([one, other]).await;
}

#[tokio::test]
async fn the_limit_of_sessions_of_a_key_is_that_of_all_processes() {
    let (one, other, _scene) = two();
    let mut ids = Vec::new();
    for number in 0..60 {
        let (first, second) =
            tokio::join!(one.sign_in("k", NOW_S + number), other.sign_in("k", NOW_S + number));
        ids.extend([first, second]);
    }
    for process in [&one, &other] {
        let mut open = 0;
        for id in &ids {
            open += usize::from(process.works(id, NOW_S + 60).await);
        }
        assert_eq!(open, 100);
    }
    stop([one, other]).await;
}

#[tokio::test]
async fn ten_clearings_a_month_are_those_of_all_processes() {
    let (one, other, _scene) = two();
    let clear = async |process: &Process| {
        let App { accounts, store, ingest, clock, .. } = &*process.app;
        let calls = accounts.get(CONFIGURED).unwrap().calls.clone();
        calls.clear(&INTERFACES, store, ingest, clock).await.is_ok()
    };
    let mut cleared = 0;
    for _ in 0..8 {
        let (first, second) = tokio::join!(clear(&one), clear(&other));
        cleared += u8::from(first) + u8::from(second);
    }
    assert_eq!(cleared, 10);
    stop([one, other]).await;
}

#[tokio::test]
async fn a_process_that_is_cut_off_answers_nothing_from_memory_and_decides_nothing() {
    let (one, other, _scene) = two();
    let id = one.sign_in("k", NOW_S).await;
    assert!(other.works(&id, NOW_S).await);
    other.cut_off(true);
    let App { api_keys, ingest, tokens, clock, sessions, .. } = &*other.app;
    for path in ["/v1/keys", "/ui/", "/callback/wx1", "/cgi-bin/token"] {
        assert!(fence::pass(&other.app, path, true).await.is_err(), "{path}");
    }
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert!(fence::pass(&other.app, path, true).await.is_ok(), "{path}");
    }
    assert!(fence::pass(&other.app, "/metrics", false).await.is_ok(), "the operator's address");
    assert!(fence::check(&other.app).await.is_err());
    assert!(api_keys.add("k".to_owned(), vec![Scope::Admin], None, NOW_S, ingest).await.is_err());
    assert!(tokens.issue_stable(CONFIGURED, false, ingest, clock).await.is_err());
    assert!(sessions.open(holder("k"), NOW_S).await.is_err());
    other.cut_off(false);
    assert!(api_keys.all().is_empty() && other.works(&id, NOW_S).await);
    stop([one, other]).await;
}
