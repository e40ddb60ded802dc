//! Tests of accepting connections.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{config::Config, http::answer};
use storage::store::{Change, Memory, Store};
use system::{clock::Clock, data_key::DataKey};

#[derive(Default)]
struct CountingWatcher(AtomicUsize);

impl Watcher for CountingWatcher {
    fn accept_blocked(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn closing(&self) {}

    fn opening(&self, _: ListeningSocket) -> Opening<'_> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn while_no_permit_is_free_the_watcher_is_told_again_and_again_and_once_more_at_the_end() {
    let (permits, watcher) = (Arc::new(Semaphore::new(1)), CountingWatcher::default());
    let taken = connection_permit(&permits, &watcher).await.unwrap();
    let reported = || watcher.0.load(Ordering::Relaxed);
    assert_eq!(reported(), 0);
    let give_back = async {
        while reported() < 3 {
            tokio::time::sleep(ACCEPT_BLOCKED_EVERY / 4).await;
        }
        let before = reported();
        drop(taken);
        before
    };
    let waiting = tokio::time::timeout(ACCEPT_BLOCKED_EVERY * 100, give_back);
    let (found, before) = tokio::join!(connection_permit(&permits, &watcher), waiting);
    assert!(found.is_some() && before.unwrap() < reported());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_gaps_only_where_authentic_callbacks_come_from_the_same_address() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n";
    let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
    let key = DataKey::load_or_create(&config.data_key_file).unwrap();
    let (app, writer) =
        App::start_with(config, Clock::real(), Store::Memory(Memory::default()), key).unwrap();
    let account = app.accounts.all().first().unwrap().number;
    let now_s = Clock::real().now_s();
    let peer = Peer("192.0.2.7:1".parse().unwrap());
    let shares = ConnectionShares::new(app.config.get().proxies.clone());
    let share = shares.take(peer.address(), 0, now_s).unwrap();
    let covers = Change::Claim { account, from_s: now_s - 100, to_s: now_s };
    app.ingest.submit(covers).await.unwrap();
    let watcher = CountingWatcher::default();
    let refused = |at_s| shares.take(peer.address(), 0, at_s).unwrap_err();
    refuse(&app, &watcher, peer, refused(now_s - 50));
    record_callback(&app, &share, &answer::plain_text(StatusCode::UNAUTHORIZED, "wrong signature"));
    record_callback(&app, &share, &answer::no_answer());
    assert_eq!(watcher.0.load(Ordering::Relaxed), 0, "no authentic callback came from the address yet");
    let lost = async || {
        app.ingest.submit(Change::Fact { key: "a".to_owned(), value: None }).await.unwrap();
        !app.store.coverage(account, |coverage| coverage.touches(now_s - 50, now_s - 49, now_s))
    };
    assert!(!lost().await);
    record_callback(&app, &share, &answer::success());
    assert!(lost().await, "the callback shows that the address is WeChat's");
    refuse(&app, &watcher, peer, refused(now_s));
    assert_eq!(watcher.0.load(Ordering::Relaxed), 1);
    tokio::task::spawn_blocking(|| writer.stop()).await.unwrap();
}
