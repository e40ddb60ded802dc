//! What goes wrong: processes that hang or give up, connections that break, answers that are lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use cluster::state::{State, StateError, StateOptions};
use system::{clock::Stopwatch, secret::Secret};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    proxy::{Cut, Proxy, writable},
    server::{Database, number_of, set, with_tables},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_process_that_hangs_loses_its_turn() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let hanging = a.turn().await.unwrap();
        let elapsed = Stopwatch::start();
        let turn = timeout(Duration::from_secs(30), b.turn()).await.expect("the turn goes on").unwrap();
        assert!(elapsed.elapsed() >= Duration::from_millis(2500));
        drop(turn.commit(vec![set("x", "b")]).await.unwrap());
        let lost = hanging.commit(vec![set("x", "a"), set("y", "a")]).await;
        assert_eq!(lost.map(drop), Err(StateError::TurnLost));
        a.fresh().await.unwrap();
        assert_eq!((a.fact("x"), a.fact("y")), (Some(b"b".to_vec()), None));
        drop(a.turn().await.unwrap().commit(vec![set("x", "a")]).await.unwrap());
    })
    .await;
}

/// Futures are dropped at any moment. Each number that was acknowledged counts, nothing stays locked or open.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn whoever_gives_up_leaves_everything_in_order() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let mut tasks = JoinSet::new();
        for (task, state) in (0..4_u64).zip([&a, &b].into_iter().cycle()) {
            let state = state.clone();
            tasks.spawn(async move {
                let (mut acknowledged, mut given_up, mut round) = (0, 0, 0);
                // Patience grows, so that on a slow machine some do not give up.
                while acknowledged < 6 || given_up < 25 {
                    round += 1;
                    let most_us = if acknowledged < 6 { 12_000 + round * 200 } else { 12_000 };
                    let patience = Duration::from_micros((task * 7919 + round * 104_729) % most_us);
                    let work = async {
                        state.fresh().await.unwrap();
                        let turn = state.turn().await.unwrap();
                        let next = number_of(&state, "n") + 1;
                        drop(turn.commit(vec![set("n", &next.to_string())]).await.unwrap());
                    };
                    match timeout(patience, work).await {
                        Ok(()) => acknowledged += 1,
                        Err(_) => given_up += 1,
                    }
                }
                acknowledged
            });
        }
        let acknowledged: i64 = tasks.join_all().await.into_iter().sum();
        let work = async {
            for state in [&a, &b] {
                drop(state.turn().await.unwrap());
                state.fresh().await.unwrap();
            }
        };
        timeout(Duration::from_secs(3), work).await.expect("nothing is locked");
        assert_eq!(a.facts(""), b.facts(""));
        let (number, turns) = (number_of(&a, "n"), database.number("SELECT max(seq) FROM turn").await);
        assert_eq!(number, turns, "each committed turn has raised the number once");
        assert!(number >= acknowledged, "{number} of {acknowledged}");
        sleep(Duration::from_millis(1500)).await;
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'";
        assert_eq!(database.number(open).await, 0);
    })
    .await;
}

async fn through(proxy: &Proxy, database: &Database, name: &str) -> State {
    let options = StateOptions { url: Secret::new(proxy.address(&database.url)) };
    State::open(&options, name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    with_tables(|database| async move {
        let proxy = Proxy::to(&database.url).await;
        let (a, b) = (through(&proxy, &database, "a").await, database.open("b").await);
        for (round, cut) in [Cut::AfterCommit, Cut::BeforeCommit].into_iter().cycle().take(6).enumerate() {
            let key = format!("k/{round}");
            let turn = a.turn().await.unwrap();
            proxy.set(cut);
            let outcome = turn.commit(vec![set(&key, "1")]).await.map(drop);
            b.fresh().await.unwrap();
            a.fresh().await.unwrap();
            let is_stored = b.fact(&key).is_some();
            assert_eq!(is_stored, cut == Cut::AfterCommit);
            assert_eq!(outcome, if is_stored { Ok(()) } else { Err(StateError::TurnLost) });
            assert_eq!(a.facts(""), b.facts(""));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_commit_that_cannot_be_looked_up_is_unknown_until_the_next_fence() {
    with_tables(|database| async move {
        let proxy = Proxy::to(&database.url).await;
        let a = through(&proxy, &database, "a").await;
        let (sender, told) = std::sync::mpsc::channel();
        a.on_facts(Box::new(move |changes, _| drop(sender.send(changes.to_vec()))));
        let turn = a.turn().await.unwrap();
        proxy.set(Cut::AfterCommitForever);
        let outcome = turn.commit(vec![set("x", "1")]).await.map(drop);
        assert!(matches!(outcome, Err(StateError::OutcomeUnknown(_))), "{outcome:?}");
        assert!(matches!(a.fresh().await, Err(StateError::Unreachable(_))));
        assert_eq!(a.fact("x"), None);
        proxy.set(Cut::Never);
        a.fresh().await.unwrap();
        assert_eq!(told.try_recv().unwrap(), [set("x", "1")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_server_that_takes_connections_and_never_answers_is_passed_over() {
    with_tables(|database| async move {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (credentials, rest) = database.url.split_once('@').unwrap();
        let (good, path) = (writable(&database.url).await, rest.split_once('/').unwrap().1);
        let url = format!("{credentials}@{},{good}/{path}", silent.local_addr().unwrap());
        let state = State::open(&StateOptions { url: Secret::new(url) }, "a").await.unwrap();
        drop(state.turn().await.unwrap().commit(vec![set("x", "1")]).await.unwrap());
        let nobody =
            format!("{credentials}@{},127.0.0.1:1/db?connect_timeout=1", silent.local_addr().unwrap());
        let error =
            State::open(&StateOptions { url: Secret::new(nobody) }, "b").await.unwrap_err().to_string();
        assert!(error.contains("no answer within 1 s; 127.0.0.1:1: "), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn while_postgresql_is_away_calls_fail_and_later_they_work_again() {
    with_tables(|database| async move {
        let proxy = Proxy::to(&database.url).await;
        let a = through(&proxy, &database, "a").await;
        drop(a.turn().await.unwrap().commit(vec![set("x", "1")]).await.unwrap());
        let turn = a.turn().await.unwrap();
        proxy.set(Cut::Away);
        sleep(Duration::from_millis(100)).await;
        assert!(matches!(a.spend("wx", "i", 1, 5).await, Err(StateError::Unreachable(_))));
        assert!(matches!(a.mark(1, Some(1)).await, Err(StateError::Unreachable(_))));
        assert_eq!(turn.commit(vec![set("x", "2")]).await.map(drop), Err(StateError::TurnLost));
        assert!(matches!(a.fresh().await, Err(StateError::Unreachable(_))));
        assert!(matches!(a.turn().await.map(drop), Err(StateError::Unreachable(_))));
        proxy.set(Cut::Never);
        a.fresh().await.unwrap();
        assert_eq!(a.fact("x"), Some(b"1".to_vec()));
        drop(a.turn().await.unwrap().commit(vec![set("x", "3")]).await.unwrap());
        assert_eq!(a.spend("wx", "i", 1, 5).await, Ok(Some(1)));
    })
    .await;
}

/// All sessions are ended by the server, again and again, while others decide. Nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn sessions_that_the_server_ends_lose_nothing_that_was_acknowledged() {
    with_tables(|database| async move {
        let mut tasks = JoinSet::new();
        for name in ["a", "b"] {
            let state = database.open(name).await;
            for task in 0..2 {
                let (state, key) = (state.clone(), format!("{name}{task}"));
                tasks.spawn(async move {
                    let (mut acknowledged, mut failed) = (0, 0);
                    for _ in 0..150 {
                        let Ok(turn) = state.turn().await else {
                            failed += 1;
                            continue;
                        };
                        let next = number_of(&state, &key) + 1;
                        match turn.commit(vec![set(&key, &next.to_string())]).await {
                            Ok(committed) => drop(committed),
                            Err(_) => failed += 1,
                        }
                        acknowledged = number_of(&state, &key);
                    }
                    (state, key, acknowledged, failed)
                });
            }
        }
        let killer = database.session().await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..15 {
            sleep(Duration::from_millis(100)).await;
            killer.query(kill, &[]).await.unwrap();
        }
        let mut failures = 0;
        for (state, key, acknowledged, failed) in tasks.join_all().await {
            state.fresh().await.unwrap();
            assert!(number_of(&state, &key) >= acknowledged);
            failures += failed;
        }
        assert!(failures > 0, "nothing was interrupted: the test tests nothing");
        let session = database.session().await;
        let total: i64 = session
            .query_one("SELECT sum(convert_from(value, 'UTF8')::bigint)::bigint FROM fact", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(total, database.number("SELECT max(seq) FROM turn").await);
    })
    .await;
}

/// The failover is over, and: the test is.
const AFTER: u8 = 1;
const ENDED: u8 = 2;

/// A task that raises a number until it is told to end. Returns what was acknowledged last, how often it failed, and how
/// often it worked after the failover.
async fn raise(state: State, key: String, phase: Arc<AtomicU8>) -> (State, String, [i64; 3]) {
    let [mut acknowledged, mut failed, mut after] = [0; 3];
    loop {
        let begun_in = phase.load(Ordering::SeqCst);
        if begun_in == ENDED {
            return (state, key, [acknowledged, failed, after]);
        }
        let work = async {
            state.fresh().await?;
            let turn = state.turn().await?;
            let next = number_of(&state, &key) + 1;
            turn.commit(vec![set(&key, &next.to_string())]).await.map(|_| next)
        };
        if let Ok(next) = work.await {
            acknowledged = next;
            after += i64::from(begun_in == AFTER);
        } else {
            failed += 1;
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Set `MSGCUBE_TEST_FAILOVER` to a command that kills the primary and promotes its synchronous standby, or restarts
/// it. Run it alone: afterwards the servers are others.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn after_a_failover_everything_acknowledged_is_there_and_work_goes_on() {
    let Some(failover) = std::env::var_os("MSGCUBE_TEST_FAILOVER") else {
        println!("not run: MSGCUBE_TEST_FAILOVER is not set");
        return;
    };
    with_tables(|database| async move {
        let (mut tasks, phase) = (JoinSet::new(), Arc::new(AtomicU8::new(0)));
        for name in ["a", "b", "c"] {
            let state = database.open(name).await;
            for task in 0..2 {
                tasks.spawn(raise(state.clone(), format!("{name}{task}"), phase.clone()));
            }
        }
        sleep(Duration::from_secs(1)).await;
        let elapsed = Stopwatch::start();
        let status = std::process::Command::new("sh").arg("-c").arg(failover).status().unwrap();
        assert!(status.success());
        println!("the failover took {:?}", elapsed.elapsed());
        phase.store(AFTER, Ordering::SeqCst);
        sleep(Duration::from_secs(12)).await;
        phase.store(ENDED, Ordering::SeqCst);
        let mut all = None;
        for (state, key, [acknowledged, failed, after]) in tasks.join_all().await {
            state.fresh().await.unwrap();
            println!("{key}: {acknowledged} acknowledged, {failed} failed, {after} after the failover");
            assert!(number_of(&state, &key) >= acknowledged, "an acknowledged turn is lost");
            assert!(after > 0, "{key} did not work again");
            assert_eq!(*all.get_or_insert_with(|| state.facts("")), state.facts(""));
        }
        let sum = "SELECT sum(convert_from(value, 'UTF8')::bigint)::bigint FROM fact";
        assert_eq!(database.number(sum).await, database.number("SELECT max(seq) FROM turn").await);
    })
    .await;
}
