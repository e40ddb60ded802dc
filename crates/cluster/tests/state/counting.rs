//! What all processes count together.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};

use crate::server::with_tables;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn the_last_unit_of_a_quota_is_spent_once() {
    with_tables(|database| async move {
        let states = [database.open("a").await, database.open("b").await];
        for day in 0..10 {
            let mut calls = JoinSet::new();
            for (_, state) in (0..20).zip(states.iter().cycle()) {
                let state = state.clone();
                calls.spawn(async move { state.spend("wx1", "getupstreammsg", day, 7).await.unwrap() });
            }
            let mut used: Vec<u32> = calls.join_all().await.into_iter().flatten().collect();
            used.sort_unstable();
            assert_eq!(used, [1, 2, 3, 4, 5, 6, 7]);
        }
        let (a, b) = (&states[0], &states[1]);
        assert_eq!(a.spend("wx1", "getupstreammsg", 3, 8).await, Ok(Some(8)), "the limit was raised");
        assert_eq!(a.spend("wx1", "getupstreammsg", 3, 8).await, Ok(None));
        assert_eq!(b.spend("wx1", "getupstreammsg", 3, 0).await, Ok(Some(9)));
        assert_eq!(b.spend("wx2", "getupstreammsg", 3, 1).await, Ok(Some(1)));
        assert_eq!(a.used("wx1", 3).await, Ok(vec![("getupstreammsg".to_owned(), 9)]));
        a.tidy(4).await.unwrap();
        assert_eq!(a.used("wx1", 3).await, Ok(Vec::new()));
        assert_eq!(a.used("wx1", 4).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn tries_are_counted_for_all_processes_until_their_window_ends() {
    with_tables(|database| async move {
        let states = [database.open("a").await, database.open("b").await];
        let mut tasks = JoinSet::new();
        for (_, state) in (0..30).zip(states.iter().cycle()) {
            let state = state.clone();
            tasks.spawn(async move { state.try_count("sign-in", 60, 5).await.unwrap() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|is_allowed| *is_allowed).count(), 5);
        assert_eq!(states[0].try_count("other", 60, 5).await, Ok(true));
        assert_eq!(states[0].try_count("none", 60, 0).await, Ok(false));
        database.run("UPDATE attempt SET until = clock_timestamp() + interval '300ms'").await;
        assert_eq!(states[1].try_count("sign-in", 60, 5).await, Ok(false));
        sleep(Duration::from_millis(400)).await;
        for is_allowed in [true, true, false] {
            assert_eq!(states[1].try_count("sign-in", 60, 2).await, Ok(is_allowed));
        }
        states[0].tidy(0).await.unwrap();
        assert_eq!(database.number("SELECT count(*) FROM attempt").await, 1, "only the new window is left");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn the_newest_refused_calls_are_kept() {
    with_tables(|database| async move {
        let (a, b) = (database.open("a").await, database.open("b").await);
        assert_eq!(a.refused("r0").await, Ok(None));
        let body = vec![7; 1 << 20];
        for number in 0..55 {
            a.remember_refused(&format!("r{number}"), "wx", true, &body).await.unwrap();
            b.remember_refused(&format!("stranger {number}"), "wx", false, &body).await.unwrap();
        }
        for (is_by_owner, most) in [(true, 48), (false, 16)] {
            let sum =
                format!("SELECT sum(length(body))::bigint FROM refused WHERE is_by_owner = {is_by_owner}");
            let bytes = database.number(&sum).await;
            assert!(((most - 2) << 20..=most << 20).contains(&bytes), "{bytes}");
        }
        assert_eq!(b.refused("r0").await, Ok(None));
        assert!(b.refused("r20").await.unwrap().is_some(), "strangers displace strangers alone");
        assert_eq!(b.refused("stranger 20").await, Ok(None));
        let newest = b.refused("r54").await.unwrap().unwrap();
        assert_eq!((newest.appid.as_str(), newest.body.len()), ("wx", 1 << 20));
        a.remember_refused("huge", "wx", true, &vec![0; 65 << 20]).await.unwrap();
        assert_eq!(a.refused("huge").await, Ok(None));
        database.run("TRUNCATE refused; TRUNCATE refused_end").await;
        a.remember_refused("again", "wx", true, b"x").await.unwrap();
        assert!(
            b.refused("again").await.unwrap().is_some(),
            "it goes on after PostgreSQL has lost the table"
        );
    })
    .await;
}
