//! Rows of processes: marks, ends, clocks that are off.

use std::sync::{Arc, Mutex};

use cluster::state::{MarkOutcome, State};

use crate::server::{Database, set, with_tables};

async fn begin(state: &State, at_s: i64) {
    let mut turn = state.turn().await.unwrap();
    turn.begin_process(at_s).await.unwrap();
    drop(turn.commit(Vec::new()).await.unwrap());
}

async fn clock_us(database: &Database) -> i64 {
    database.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn marks_are_written_only_by_the_process_that_runs_now_and_with_a_right_clock() {
    with_tables(|database| async move {
        let a = database.open("a").await;
        let now_us = clock_us(&database).await;
        let now_s = now_us / 1_000_000;
        assert_eq!(a.mark(now_s, Some(now_us)).await, Ok(MarkOutcome::Replaced), "it never began");
        begin(&a, now_s - 5).await;
        assert!(matches!(a.mark(now_s, Some(now_us)).await, Ok(MarkOutcome::Written { database_us }) if database_us >= now_us));
        for off_us in [-4_000_000, 4_000_000] {
            let now_us = clock_us(&database).await;
            let outcome = a.mark(now_s + 100, Some(now_us + off_us)).await.unwrap();
            let MarkOutcome::ClockOff { database_us } = outcome else { panic!("{outcome:?}") };
            assert!(database_us >= now_us, "{database_us}");
        }
        assert_eq!(database.number("SELECT marked_s FROM process").await, now_s);
        let again = database.open("a").await;
        begin(&again, now_s).await;
        assert_eq!(a.mark(now_s, Some(clock_us(&database).await)).await, Ok(MarkOutcome::Replaced));
        a.end_process(now_s).await.unwrap();
        assert!(matches!(again.mark(now_s, Some(clock_us(&database).await)).await, Ok(MarkOutcome::Written { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_process_sees_whether_others_are_alive() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        begin(&a, 100).await;
        assert_eq!(a.service_mark(), None);
        assert!(a.others().await.unwrap().is_empty());
        let seen = b.others().await.unwrap();
        assert!(
            seen.len() == 1 && seen[0].is_alive() && seen[0].marked_s == 100 && seen[0].ended_s.is_none()
        );
        a.mark(120, Some(clock_us(&database).await)).await.unwrap();
        assert_eq!(a.service_mark(), Some(120));
        b.fresh().await.unwrap();
        assert_eq!(b.service_mark(), Some(120), "the fence tells the mark, without any turn");
        database.run("UPDATE process SET seen = seen - interval '11s'").await;
        assert!(!b.others().await.unwrap()[0].is_alive());
        a.end_process(125).await.unwrap();
        let seen = b.others().await.unwrap();
        assert!(!seen[0].is_alive() && seen[0].ended_s == Some(125) && seen[0].marked_s == 125);
        assert_eq!(
            a.mark(130, Some(clock_us(&database).await)).await,
            Ok(MarkOutcome::Replaced),
            "it has ended"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn rows_of_processes_are_stored_with_the_turn_or_not_at_all() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let mut turn = a.turn().await.unwrap();
        turn.begin_process(7).await.unwrap();
        assert_eq!(turn.processes().await.unwrap().len(), 1);
        drop(turn);
        let mut turn = b.turn().await.unwrap();
        assert!(turn.processes().await.unwrap().is_empty(), "a dropped turn leaves no row");
        turn.begin_process(8).await.unwrap();
        drop(turn.commit(vec![set("service/1", "serve")]).await.unwrap());
        let mut turn = a.turn().await.unwrap();
        assert_eq!(turn.processes().await.unwrap()[0].started_s, 8);
        turn.remove_process("b").await.unwrap();
        drop(turn.commit(vec![set("service/2", "lose")]).await.unwrap());
        assert!(a.others().await.unwrap().is_empty());
        b.fresh().await.unwrap();
        assert_eq!(b.facts("service/").len(), 2);
    })
    .await;
}

/// Otherwise, time in which nobody served counts as covered until the fact that says so is known.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_mark_is_known_only_after_the_facts_before_it() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        let (seen_by, seen) = (b.clone(), Arc::new(Mutex::new(Vec::new())));
        let list = seen.clone();
        b.on_facts(Box::new(move |_, _| list.lock().unwrap().push(seen_by.service_mark())));
        for at_s in [100, 200] {
            let mut turn = a.turn().await.unwrap();
            turn.begin_process(at_s).await.unwrap();
            drop(turn.commit(vec![set("service", "again")]).await.unwrap());
            a.mark(at_s + 3, None).await.unwrap();
            b.fresh().await.unwrap();
            assert_eq!(b.service_mark(), Some(at_s + 3));
        }
        assert_eq!(*seen.lock().unwrap(), [None, Some(103)]);
    })
    .await;
}
