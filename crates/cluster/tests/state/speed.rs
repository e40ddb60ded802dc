//! Prints how fast it is, if `MSGCUBE_TEST_SPEED` is set. Run it alone:
//! `cargo test -p cluster --test state speed -- --ignored --nocapture`.

use std::time::Duration;

use cluster::state::{ClosedPeriod, NewResult, State};
use system::clock::Stopwatch;
use tokio::task::JoinSet;

use crate::server::{set, with_tables};

const RUN: Duration = Duration::from_secs(3);

/// Repeats something in tasks of several processes. Prints how often a second, and the time of one.
async fn measure<F, T>(what: &str, states: &[State], tasks: usize, work: T)
where
    F: Future<Output = ()> + Send,
    T: Fn(State, usize) -> F + Clone + Send + 'static,
{
    let mut running = JoinSet::new();
    for (task, state) in (0..tasks * states.len()).zip(states.iter().cycle()) {
        let (state, work) = (state.clone(), work.clone());
        running.spawn(async move {
            let (whole, mut times) = (Stopwatch::start(), Vec::new());
            while whole.elapsed() < RUN {
                let one = Stopwatch::start();
                work(state.clone(), task).await;
                times.push(one.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!(
        "{what}: {} processes x {tasks} tasks: {:.0}/s, median {:.2} ms, 99 % {:.2} ms",
        states.len(),
        f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / RUN.as_secs_f64(),
        at(50).as_secs_f64() * 1000.0,
        at(99).as_secs_f64() * 1000.0,
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn how_fast_it_is() {
    if std::env::var_os("MSGCUBE_TEST_SPEED").is_none() {
        return;
    }
    with_tables(|database| async move {
        let all = [database.open("a").await, database.open("b").await, database.open("c").await];
        let one = &all[..1];
        let turn = |state: State, task: usize| async move {
            let turn = state.turn().await.unwrap();
            drop(turn.commit(vec![set(&format!("speed/{task}"), "1")]).await.unwrap());
        };
        measure("turns", one, 1, turn).await;
        measure("turns", one, 16, turn).await;
        measure("turns", &all, 16, turn).await;
        let fence = |state: State, _| async move { state.fresh().await.unwrap() };
        measure("fences", one, 1, fence).await;
        measure("fences", one, 64, fence).await;
        measure("fences", &all, 64, fence).await;
        let spend = |state: State, task: usize| async move {
            state.spend(&format!("wx{task}"), "i", 1, 1_000_000).await.unwrap();
        };
        measure("spend, own rows", one, 1, spend).await;
        measure("spend, own rows", one, 16, spend).await;
        let spend_one = |state: State, _| async move {
            state.spend("wx", "i", 1, 1_000_000).await.unwrap();
        };
        measure("spend, one row", &all, 16, spend_one).await;
        results(one).await;
    })
    .await;
}

async fn results(one: &[State]) {
    let period = |day| ClosedPeriod { granularity: 1, start: day, first_day: day, days: 1 };
    let state = &one[0];
    let late: Vec<(String, i32)> = (0..400).map(|day| ("wx".to_owned(), day)).collect();
    let batch = state.begin_late(&late).await.unwrap();
    state.end_late(&batch).await.unwrap();
    let periods: Vec<ClosedPeriod> = (0..400).map(period).collect();
    let tickets = state.results("wx", &periods).await.unwrap();
    let new: Vec<NewResult> = periods
        .iter()
        .zip(tickets)
        .map(|(period, result)| NewResult {
            not_before_s: 0,
            period: *period,
            ticket: result.ticket.unwrap(),
            body: vec![7; 400],
        })
        .collect();
    assert_eq!(state.store_results("wx", &new).await.unwrap(), 400);
    for count in [1, 31, 400] {
        measure(&format!("results of {count} periods"), one, 1, move |state: State, _| async move {
            let periods: Vec<ClosedPeriod> = (0..count).map(period).collect();
            let results = state.results("wx", &periods).await.unwrap();
            assert!(results.iter().all(|result| result.body.is_some()));
        })
        .await;
    }
    measure("begin and end of a late batch", one, 1, |state: State, _| async move {
        let batch = state.begin_late(&[("late".to_owned(), 5)]).await.unwrap();
        state.end_late(&batch).await.unwrap();
    })
    .await;
}
