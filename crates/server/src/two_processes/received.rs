//! Accounts that platforms bring to any of the processes.

use counting::{Content, Kind, Message, day_of};
use proptest::prelude::*;
use serde_json::json;
use storage::store::{Change, NotDurable, Outcome, statistics::Span};
use wechat::callback::{Info, PlatformEvent};

use super::*;
use crate::accounts::{platform_receiver::Admission, registry::settings::Settings};

impl Process {
    /// Takes a message as the intake does: refused only with everything known.
    async fn message(&self, appid: &str, to_user: &str, id: u64) -> Option<Result<Outcome, NotDurable>> {
        let received = &self.app.platform_receiver;
        let mut admission = received.admit(RECEIVES, appid, to_user);
        if !matches!(admission, Admission::Accepted(_)) {
            received.fresh().await.unwrap();
            admission = received.admit(RECEIVES, appid, to_user);
        }
        let Admission::Accepted(account) = admission else { return None };
        let content = Content::Message { kind: Kind::Text, msg_id: id };
        let message = Message { user: "o1".into(), create_time: NOW_S, content };
        let change = Change::Message { account: account.number, message };
        Some(async { received.enqueue(RECEIVES, &account, to_user, change)?.await }.await)
    }

    async fn event(&self, create_time: i64, info: Info) -> bool {
        self.app.platform_receiver.apply_event(RECEIVES, PlatformEvent { create_time, info }).await.is_ok()
    }

    fn counted(&self, appid: &str) -> u64 {
        let number = self.app.store.reserve(appid);
        self.app.store.slice(number, Span::Days(day_of(NOW_S), day_of(NOW_S))).unwrap().messages_counted
    }
}

#[tokio::test]
async fn two_first_messages_at_once_bind_an_account_to_one_of_their_users() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    for number in 0..20 {
        let appid = format!("wx{number}");
        let (to_one, to_other) = (format!("gh_a{number}"), format!("gh_b{number}"));
        let (first, second) =
            tokio::join!(one.message(&appid, &to_one, 1), other.message(&appid, &to_other, 2));
        let taken = [&first, &second].iter().filter(|taken| matches!(taken, Some(Ok(_)))).count();
        assert_eq!(taken, 1, "{first:?} {second:?}");
        assert_eq!(one.counted(&appid), 1);
    }
    // The same user at once: both count.
    let (first, second) = tokio::join!(one.message("wx", "gh", 1), other.message("wx", "gh", 2));
    assert!(matches!((first, second), (Some(Ok(_)), Some(Ok(_)))));
    assert_eq!(other.counted("wx"), 2);
    assert_eq!(one.described().await, other.described().await);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_message_of_a_bound_account_needs_no_decision() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    assert!(matches!(one.message("wx", "gh", 1).await, Some(Ok(Outcome::Counted))));
    other.app.store.fresh().await.unwrap();
    let turn = one.app.store.decide().await.unwrap();
    assert!(matches!(other.message("wx", "gh", 2).await, Some(Ok(Outcome::Counted))));
    drop(turn);
    assert!(other.message("wx", "gh_other", 3).await.is_none(), "it is bound");
    let Store::Memory(store) = &*other.app.store else { panic!() };
    store.cut_off(true);
    assert!(matches!(other.message("wx", "gh", 4).await, Some(Ok(Outcome::Counted))));
    assert!(matches!(other.message("wxnew", "gh_new", 5).await, Some(Err(_))));
    store.cut_off(false);
    assert!(other.app.accounts.get("wxnew").is_none());
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_operator_takes_over_what_a_platform_brought_elsewhere() {
    let mut scene = Scene::new(2, "");
    let (one, other) = (scene.start(), scene.start());
    assert!(matches!(one.message("wx", "gh", 1).await, Some(Ok(_))));
    let own = json!({"appid": "wx", "secret": "s", "token": "t", "encoding_aes_key": KEY});
    let own: Settings = serde_json::from_value(own).unwrap();
    other.app.account_service().add(own.clone()).await.unwrap();
    assert_eq!(one.described().await, other.described().await);
    assert!(one.app.accounts.get("wx").unwrap().is_own());
    assert!(one.app.account_service().add(own).await.is_err());
    one.stop().await;
    other.stop().await;
}

#[derive(Clone, Debug)]
enum Step {
    Message { appid: usize, to: usize, id: u64 },
    Event { appid: usize, is_authorized: bool, at_s: i64 },
    Ticket { at_s: i64 },
    Add { appid: usize },
    Change { appid: usize, is_brought: bool },
    Remove { appid: usize },
}

fn any_step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        4 => (0..3_usize, 0..4_usize, 0..9_u64).prop_map(|(appid, to, id)| Step::Message { appid, to, id }),
        3 => (0..3_usize, any::<bool>(), 0..9_i64)
            .prop_map(|(appid, is_authorized, at_s)| Step::Event { appid, is_authorized, at_s }),
        1 => (0..9_i64).prop_map(|at_s| Step::Ticket { at_s }),
        2 => (0..3_usize).prop_map(|appid| Step::Add { appid }),
        2 => (0..3_usize, any::<bool>()).prop_map(|(appid, is_brought)| Step::Change { appid, is_brought }),
        2 => (0..3_usize).prop_map(|appid| Step::Remove { appid }),
    ];
    (0..2_usize, step)
}

async fn take(process: &Process, step: Step) {
    let service = process.app.account_service();
    match step {
        Step::Message { appid, to, id } => {
            drop(process.message(&format!("wx{appid}"), &format!("gh_{to}"), id).await);
        }
        Step::Event { appid, is_authorized, at_s } => {
            let appid = format!("wx{appid}");
            let info = if is_authorized { Info::Authorized(appid) } else { Info::Unauthorized(appid) };
            process.event(NOW_S + at_s, info).await;
        }
        Step::Ticket { at_s } => {
            process.event(NOW_S + at_s, Info::Ticket(format!("ticket {at_s}").into())).await;
        }
        Step::Add { appid } => {
            let own =
                json!({"appid": format!("wx{appid}"), "secret": "s", "token": "t", "encoding_aes_key": KEY});
            drop(service.add(serde_json::from_value(own).unwrap()).await);
        }
        Step::Change { appid, is_brought } => {
            let token = if is_brought { json!(null) } else { json!("t") };
            let key = if is_brought { json!(null) } else { json!(KEY) };
            let change = json!({"name": "shop", "token": token, "encoding_aes_key": key});
            drop(service.change(&format!("wx{appid}"), serde_json::from_value(change).unwrap()).await);
        }
        Step::Remove { appid } => drop(service.remove(&format!("wx{appid}")).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_process_holds_what_a_start_would_read(steps in prop::collection::vec(any_step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut scene = Scene::new(3, "");
            let processes = [scene.start(), scene.start()];
            for (at, step) in steps {
                take(&processes[at], step).await;
            }
            let held = [processes[0].described().await, processes[1].described().await];
            assert_eq!(held[0], held[1]);
            let late = scene.start();
            assert_eq!(late.described().await, held[0]);
            for process in processes.into_iter().chain([late]) {
                process.stop().await;
            }
        });
    }
}
