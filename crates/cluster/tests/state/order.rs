//! One order for all processes: turns, fences, pruning.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use cluster::state::{InitOutcome, State, StateError};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::server::{Database, number_of, set, with_database, with_tables};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn tables_are_made_once_and_others_are_refused() {
    with_database(|database| async move {
        let options = database.options();
        assert_eq!(State::open(&options, "a").await.map(drop), Err(StateError::NotInitialized));
        assert_eq!(State::init(&options, 2).await, Ok(InitOutcome::Created));
        assert_eq!(State::init(&options, 2).await, Ok(InitOutcome::Existed));
        assert!(matches!(State::init(&options, 3).await, Err(StateError::Mismatch(_))));
        let state = database.open("a").await;
        assert_eq!(state.shards(), 2);
        assert!(state.is_blank());
        let findings = State::check(&options).await.unwrap();
        assert!(findings.iter().all(|finding| finding.level != cluster::FindingLevel::Bad), "{findings:?}");
        database.run("UPDATE installation SET version = 99").await;
        assert!(matches!(State::open(&options, "a").await.map(drop), Err(StateError::Mismatch(_))));
        assert!(matches!(State::init(&options, 2).await, Err(StateError::Mismatch(_))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn tables_made_by_two_processes_at_one_moment_are_made_once() {
    with_database(|database| async move {
        let (one, two) = (database.options(), database.options());
        let (one, two) = tokio::join!(State::init(&one, 2), State::init(&two, 2));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        database.open("a").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn of_many_tries_exactly_one_wins() {
    with_tables(|database| async move {
        let states = [database.open("a").await, database.open("b").await, database.open("c").await];
        for round in 0..30 {
            let mut tries = JoinSet::new();
            for (number, state) in (0..12).zip(states.iter().cycle()) {
                let state = state.clone();
                tries.spawn(async move {
                    let key = format!("winner/{round}");
                    let turn = state.turn().await.unwrap();
                    if state.fact(&key).is_some() {
                        return false;
                    }
                    drop(turn.commit(vec![set(&key, &number.to_string())]).await.unwrap());
                    true
                });
            }
            let winners = tries.join_all().await.into_iter().filter(|has_won| *has_won).count();
            assert_eq!(winners, 1);
        }
    })
    .await;
}

/// Writers raise numbers in turns, and tell what they committed. Readers look at what was told, then fence, and must
/// find at least that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_fence_sees_every_commit_that_ended_before_it() {
    with_tables(|database| async move {
        let told: Arc<Vec<AtomicI64>> = Arc::new((0..4).map(|_| AtomicI64::new(0)).collect());
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
        for name in ["a", "b", "c"] {
            let state = database.open(name).await;
            for writer in 0..3 {
                writers.spawn(raise(state.clone(), told.clone(), writer));
                readers.spawn(read(state.clone(), told.clone(), is_over.clone()));
            }
        }
        writers.join_all().await;
        is_over.store(true, Ordering::SeqCst);
        let reads: usize = readers.join_all().await.into_iter().sum();
        assert!(reads > 100, "only {reads} reads");
        let state = database.open("d").await;
        let sum: i64 = (0..4).map(|key| number_of(&state, &format!("n/{key}"))).sum();
        assert_eq!(sum, 3 * 3 * 40, "a turn was lost or counted twice");
    })
    .await;
}

async fn raise(state: State, told: Arc<Vec<AtomicI64>>, writer: usize) {
    for round in 0..40 {
        let number = (writer + round) % 4;
        let key = format!("n/{number}");
        let turn = state.turn().await.unwrap();
        let next = number_of(&state, &key) + 1;
        let committed = turn.commit(vec![set(&key, &next.to_string())]).await.unwrap();
        assert_eq!(number_of(&state, &key), next);
        drop(committed);
        told[number].fetch_max(next, Ordering::SeqCst);
    }
}

async fn read(state: State, told: Arc<Vec<AtomicI64>>, is_over: Arc<AtomicBool>) -> usize {
    let mut reads = 0;
    while !is_over.load(Ordering::SeqCst) {
        let floor: Vec<i64> = told.iter().map(|number| number.load(Ordering::SeqCst)).collect();
        state.fresh().await.unwrap();
        for (key, floor) in floor.into_iter().enumerate() {
            assert!(number_of(&state, &format!("n/{key}")) >= floor, "a fence missed a commit");
        }
        reads += 1;
    }
    reads
}

type Map = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

fn apply(map: &Map, changes: &[(String, Option<Vec<u8>>)]) {
    let mut map = map.lock().unwrap();
    for (key, value) in changes {
        match value {
            Some(value) => drop(map.insert(key.clone(), value.clone())),
            None => drop(map.remove(key)),
        }
    }
}

/// A map that is fed as the server feeds its own: others' changes by the listener, own ones before `Committed` ends.
fn listening(state: &State) -> Map {
    listening_to_reloads(state).0
}

/// Also counts how often all facts were read again.
fn listening_to_reloads(state: &State) -> (Map, Arc<AtomicI64>) {
    let (map, reloads) = (Map::default(), Arc::<AtomicI64>::default());
    let (fed, counted) = (map.clone(), reloads.clone());
    state.on_facts(Box::new(move |changes, is_reload| {
        counted.fetch_add(i64::from(is_reload), Ordering::SeqCst);
        apply(&fed, changes);
    }));
    (map, reloads)
}

fn stored(state: &State) -> BTreeMap<String, Vec<u8>> {
    state.facts("").into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn maps_of_all_processes_go_through_the_same_order() {
    with_tables(|database| async move {
        let mut tasks = JoinSet::new();
        let mut all = Vec::new();
        for name in ["a", "b", "c"] {
            let state = database.open(name).await;
            let map = listening(&state);
            all.push((state, map));
        }
        for (state, map) in &all {
            for task in 0..4 {
                let (state, map) = (state.clone(), map.clone());
                tasks.spawn(async move {
                    for round in 0..25 {
                        if (task + round) % 3 == 0 {
                            state.fresh().await.unwrap();
                        }
                        let turn = state.turn().await.unwrap();
                        assert_eq!(stored(&state), *map.lock().unwrap(), "the map is behind in a turn");
                        let seq = turn.seq();
                        let changes = vec![
                            set(&format!("k/{}", (task + round) % 5), &format!("{seq}")),
                            (format!("k/{}", (task + round + 1) % 5), None),
                        ];
                        let committed = turn.commit(changes.clone()).await.unwrap();
                        tokio::task::yield_now().await;
                        apply(&map, &changes);
                        drop(committed);
                    }
                });
            }
        }
        tasks.join_all().await;
        for (state, map) in &all {
            state.fresh().await.unwrap();
            assert_eq!(stored(state), *map.lock().unwrap());
            assert_eq!(stored(state), stored(&all[0].0));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_turn_that_writes_nothing_or_is_dropped_leaves_nothing() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let first = a.turn().await.unwrap().seq();
        drop(a.turn().await.unwrap().commit(Vec::new()).await.unwrap());
        let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let before_us = database.number(clock).await;
        let turn = b.turn().await.unwrap();
        assert_eq!(turn.seq(), first);
        assert!((before_us..=database.number(clock).await).contains(&turn.now_us()));
        assert_eq!(turn.now_s(), turn.now_us() / 1_000_000);
        drop(turn.commit(vec![set("x", "1"), set("x", "2")]).await.unwrap());
        assert_eq!(b.fact("x"), Some(b"2".to_vec()));
        a.fresh().await.unwrap();
        assert_eq!(a.fact("x"), Some(b"2".to_vec()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn while_a_commit_is_held_its_process_learns_of_nothing_later() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let committed = a.turn().await.unwrap().commit(vec![set("x", "a")]).await.unwrap();
        drop(b.turn().await.unwrap().commit(vec![set("x", "b")]).await.unwrap());
        let waiting = a.clone();
        let fence = tokio::spawn(async move { waiting.fresh().await });
        sleep(Duration::from_millis(50)).await;
        assert_eq!(a.fact("x"), Some(b"a".to_vec()));
        drop(committed);
        fence.await.unwrap().unwrap();
        assert_eq!(a.fact("x"), Some(b"b".to_vec()));
    })
    .await;
}

/// What the pruning needs: all turns until now were an hour ago.
async fn age(database: &Database) {
    database.run("UPDATE turn SET at = at - interval '2h'").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn removed_facts_are_pruned_and_a_process_that_was_away_reads_all_again() {
    with_tables(|database| async move {
        let (a, away) = (database.open("a").await, database.open("away").await);
        drop(a.turn().await.unwrap().commit(vec![set("stays", "1"), set("goes", "1")]).await.unwrap());
        let map = listening(&away);
        away.fresh().await.unwrap();
        drop(a.turn().await.unwrap().commit(vec![("goes".to_owned(), None)]).await.unwrap());
        a.tidy(0).await.unwrap();
        assert_eq!(database.number("SELECT count(*) FROM fact WHERE value IS NULL").await, 1);
        drop(a.turn().await.unwrap().commit(vec![set("new", "1")]).await.unwrap());
        age(&database).await;
        a.tidy(0).await.unwrap();
        assert_eq!(database.number("SELECT count(*) FROM fact").await, 2);
        assert_eq!(database.number("SELECT count(*) FROM turn").await, 1, "the newest turn stays");
        away.fresh().await.unwrap();
        assert_eq!(away.fact("goes"), None);
        assert_eq!(stored(&away), stored(&a));
        assert_eq!(*map.lock().unwrap(), stored(&a));
        drop(away.turn().await.unwrap().commit(vec![set("own", "1")]).await.unwrap());
        a.fresh().await.unwrap();
        assert!(a.fact("own").is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_process_that_was_away_can_take_a_turn_at_once() {
    with_tables(|database| async move {
        let (a, away) = (database.open("a").await, database.open("away").await);
        for value in ["1", "2"] {
            drop(a.turn().await.unwrap().commit(vec![set("x", value)]).await.unwrap());
        }
        age(&database).await;
        a.tidy(0).await.unwrap();
        let turn = away.turn().await.unwrap();
        assert_eq!(away.fact("x"), Some(b"2".to_vec()));
        drop(turn);
        drop(timeout(Duration::from_secs(2), a.turn()).await.unwrap().unwrap());
    })
    .await;
}

/// As if a standby without the last turn was promoted, and others decided on it since.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_history_that_lost_turns_is_noticed() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        drop(a.turn().await.unwrap().commit(vec![set("x", "1")]).await.unwrap());
        drop(a.turn().await.unwrap().commit(vec![set("x", "lost"), set("lost", "1")]).await.unwrap());
        let (map, reloads) = listening_to_reloads(&b);
        b.fresh().await.unwrap();
        assert_eq!(reloads.load(Ordering::SeqCst), 0);
        database
            .run(
                "DELETE FROM turn WHERE seq = 2; DELETE FROM fact WHERE key = 'lost';
                 UPDATE fact SET value = 'other', seq = 2 WHERE key = 'x'; INSERT INTO turn (seq, id) VALUES (2, 'o'), (3, 'p')",
            )
            .await;
        b.fresh().await.unwrap();
        assert_eq!(reloads.load(Ordering::SeqCst), 1, "numbers of turns mean something else now");
        assert_eq!((b.fact("x"), b.fact("lost")), (Some(b"other".to_vec()), None));
        assert_eq!(*map.lock().unwrap(), stored(&b));
        assert_eq!(a.turn().await.unwrap().seq(), 4);
        assert_eq!(stored(&a), stored(&b));
    })
    .await;
}
