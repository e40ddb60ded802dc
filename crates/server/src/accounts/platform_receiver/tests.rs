//! Random events, messages, replays, removals and restarts, compared with a plain model of authorization states.
#![allow(clippy::disallowed_methods, reason = "a test on a real folder, with a real clock")]

use std::{collections::BTreeMap, path::Path};

use counting::{Content, Kind, Message};
use proptest::prelude::*;
use storage::{
    metrics::Metrics,
    store::{Embedded, Options},
    writer::Writer,
};
use system::{clock::Clock, secret::Secret};

use super::*;
use crate::config::PlatformConfig;

const PLATFORM: &str = "wxplatform";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// Everything of one run of the program.
struct TestRun {
    received: Arc<Received>,
    accounts: Arc<Accounts>,
    store: Arc<Store>,
    writer: Writer,
}

impl TestRun {
    fn start(folder: &Path) -> TestRun {
        let key = DataKey::load_or_create(&folder.join("key")).unwrap();
        let store = Arc::new(Store::Embedded(Box::new(
            Embedded::open(&folder.join("data"), &Options::default()).unwrap(),
        )));
        let platform = PlatformConfig {
            appid: PLATFORM.to_owned(),
            secret: Secret::new("s"),
            token: Secret::new("t"),
            token_previous: None,
            encoding_aes_key: Secret::new(KEY),
            encoding_aes_key_previous: None,
            role: crate::config::Role::Receive,
            push_url: None,
            relay: None,
        };
        let platforms =
            crate::accounts::platform_issuer::Platforms::load(&[platform], key.clone(), &store).unwrap();
        let accounts = Arc::new(Accounts::default());
        let loaded = load(&store, &key, &platforms, &accounts).unwrap();
        let served = accounts.select(|account| loaded.is_active(&account.config.appid));
        let served = served.iter().map(|account| account.number).collect();
        let (ingest, writer) =
            Ingest::start(store.clone(), Clock::starting_at(1_000), Arc::new(Metrics::default()), served);
        let received = Received::new(loaded, store.clone(), ingest, key, accounts.clone());
        TestRun { received: Arc::new(received), accounts, store, writer }
    }

    fn stop(self) {
        let TestRun { received, accounts, store, writer } = self;
        drop((received, accounts));
        writer.stop();
        drop(store);
    }

    async fn message(&self, appid: &str, to_user: &str, id: u64) -> bool {
        let Admission::Accepted(account) = self.received.admit(PLATFORM, appid, to_user) else {
            return false;
        };
        let content = Content::Message { kind: Kind::Text, msg_id: id };
        let message = Message { user: "o1".into(), create_time: 1_400_000_000, content };
        let change = Change::Message { account: account.number, message };
        let done = async { self.received.enqueue(PLATFORM, &account, to_user, change)?.await };
        done.await.is_ok()
    }

    fn status(&self, appid: &str) -> Option<Status> {
        self.received.authorization_states(appid).first().map(|shown| shown.status)
    }

    fn counted(&self, appid: &str) -> u64 {
        let Some(account) = self.accounts.get(appid) else { return 0 };
        let day = counting::day_of(1_400_000_000);
        let span = storage::store::statistics::Span::Days(day, day);
        self.store.slice(account.number, span).unwrap().messages_counted
    }
}

#[derive(Clone, Debug)]
enum TestStep {
    Event { account: usize, status: Status, at_s: i64 },
    Message { account: usize, to: usize, id: u64 },
    Remove { account: usize, at_s: i64 },
    Restart,
}

fn any_step() -> impl Strategy<Value = TestStep> {
    let status = prop_oneof![Just(Status::Authorized), Just(Status::Unauthorized)];
    // Mostly its own ToUserName, sometimes another account's.
    let message = (0..3_usize, prop_oneof![5 => Just(0_usize), 1 => 1..4_usize], 0..4_u64);
    prop_oneof![
        4 => (0..3_usize, status, 0..5_i64).prop_map(|(account, status, at_s)| TestStep::Event { account, status, at_s }),
        6 => message.prop_map(|(account, off, id)| TestStep::Message { account, to: (account + off) % 4, id }),
        2 => (0..3_usize, 0..5_i64).prop_map(|(account, at_s)| TestStep::Remove { account, at_s }),
        1 => Just(TestStep::Restart),
    ]
}

/// The plain model of an account.
#[derive(Clone, Debug, Default)]
struct Plain {
    /// Each event since the last removal: its time, and whether it withdrew the authorization.
    events: Vec<(i64, bool)>,
    removed_s: Option<i64>,
    original_id: Option<String>,
    messages: std::collections::BTreeSet<u64>,
}

impl Plain {
    fn status(&self) -> Option<Status> {
        match self.events.iter().max() {
            Some((_, true)) => Some(Status::Unauthorized),
            Some((_, false)) => Some(Status::Authorized),
            None => self.original_id.is_some().then_some(Status::Pending),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accounts_stand_as_the_plain_model_says(steps in prop::collection::vec(any_step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut run = runtime.block_on(async { TestRun::start(folder.path()) });
        let mut model: BTreeMap<String, Plain> = BTreeMap::new();
        for step in steps {
            match step {
                TestStep::Event { account, status, at_s } => {
                    let appid = format!("wx{account}");
                    let info = match status {
                        Status::Unauthorized => Info::Unauthorized(appid.clone()),
                        _ => Info::Authorized(appid.clone()),
                    };
                    let event = PlatformEvent { create_time: at_s, info };
                    let plain = model.entry(appid).or_default();
                    let news = (at_s, status == Status::Unauthorized);
                    let is_news = plain.events.iter().all(|event| *event < news);
                    let learnt = runtime.block_on(run.received.apply_event(PLATFORM, event));
                    if plain.removed_s.is_some_and(|removed_s| at_s <= removed_s) {
                        prop_assert!(matches!(learnt, Err(EventError::Removed)), "{:?}", learnt);
                    } else {
                        prop_assert_eq!(learnt.unwrap() == EventEffect::Changed, is_news);
                        plain.events.push(news);
                    }
                }
                TestStep::Remove { account, at_s } => {
                    let appid = format!("wx{account}");
                    let plain = model.entry(appid.clone()).or_default();
                    let served = run.accounts.get(&appid);
                    prop_assert_eq!(served.is_some(), plain.status().is_some());
                    let Some(account) = served else { continue };
                    let removed = runtime.block_on(async {
                        let decision = run.store.decide().await.unwrap();
                        run.received.remove(decision, &account, at_s, Vec::new()).await
                    });
                    if plain.status() == Some(Status::Authorized) {
                        prop_assert!(removed.is_err());
                    } else {
                        prop_assert!(removed.is_ok());
                        let last_s = plain.events.drain(..).map(|(at_s, _)| at_s).max();
                        (plain.removed_s, plain.original_id) = (last_s.max(Some(at_s)), None);
                    }
                }
                TestStep::Message { account, to, id } => {
                    let (appid, to_user) = (format!("wx{account}"), format!("gh_{to}"));
                    let is_of_another = model.iter().any(|(other, plain)| {
                        *other != appid && plain.original_id.as_deref() == Some(&to_user)
                    });
                    let plain = model.get(&appid).cloned().unwrap_or_default();
                    let is_its_own = plain.original_id.as_ref().is_none_or(|bound| *bound == to_user);
                    let expected = is_its_own && !is_of_another;
                    prop_assert_eq!(runtime.block_on(run.message(&appid, &to_user, id)), expected);
                    if expected {
                        let plain = model.entry(appid).or_default();
                        plain.original_id = Some(to_user);
                        plain.messages.insert(id);
                    }
                }
                TestStep::Restart => {
                    runtime.block_on(async { run.stop() });
                    run = runtime.block_on(async { TestRun::start(folder.path()) });
                }
            }
            for account in 0..3 {
                let appid = format!("wx{account}");
                let plain = model.get(&appid).cloned().unwrap_or_default();
                prop_assert_eq!(run.status(&appid), plain.status(), "{}", appid);
                let is_active = plain.status().is_some_and(|status| status != Status::Unauthorized);
                prop_assert_eq!(run.received.is_active(&appid), is_active);
                let messages = if plain.status().is_some() { plain.messages.len() as u64 } else { 0 };
                prop_assert_eq!(run.counted(&appid), messages);
            }
        }
        runtime.block_on(async { run.stop() });
    }
}

#[test]
fn accounts_that_nothing_says_authorised_the_platform_are_fewer_than_all() {
    let account = Arc::new(
        ServedAccount::brought(storage::store::AccountNumber(0), "wx", &Accounts::default()).unwrap(),
    );
    let mut platform = platforms::ReceivedPlatform::default();
    for number in 0..platforms::PENDING_MAX {
        let verdict = platform.judge(&number.to_string(), &format!("gh_{number}"), None);
        let MessageVerdict::WithState(state) = verdict else { panic!("{number}: {verdict:?}") };
        platform.put(&number.to_string(), &account, state);
    }
    assert_eq!(platform.judge("more", "gh_more", None), MessageVerdict::TooMany);
    let authorized = AuthorizationState::pending().decided(Status::Authorized, 5).unwrap();
    assert!(!platform.has_no_room());
    platform.put("7", &account, authorized);
    assert!(
        matches!(platform.judge("more", "gh_more", None), MessageVerdict::WithState(_)),
        "one is not pending any more"
    );
    platform.remove("8");
    assert!(
        matches!(platform.judge("8", "gh_8", None), MessageVerdict::WithState(_)),
        "its ToUserName is free again"
    );
}
