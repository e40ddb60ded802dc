//! Stored results are never older than the rows.

use std::collections::HashMap;

use cluster::state::{ClosedPeriod, LateBatch, NewResult, ResultTicket, State};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::runtime::Handle;

use crate::server::{Database, with_tables};

const DAYS: usize = 7;

fn day(day: i32) -> ClosedPeriod {
    ClosedPeriod { granularity: 1, start: day, first_day: day, days: 1 }
}

fn week() -> ClosedPeriod {
    ClosedPeriod { granularity: 2, start: 0, first_day: 0, days: 7 }
}

/// One step of somebody. Writers and readers have several steps, and others come between.
#[derive(Clone, Debug)]
enum Step {
    Begin {
        writer: usize,
        days: Vec<i32>,
    },
    Insert {
        writer: usize,
    },
    End {
        writer: usize,
    },
    /// The process dies, and its time is over.
    Expire {
        writer: usize,
    },
    Ask {
        reader: usize,
    },
    Compute {
        reader: usize,
    },
    Store {
        reader: usize,
    },
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let writer = 0..3_usize;
    let reader = 0..3_usize;
    prop_oneof![
        2 => (writer.clone(), prop::collection::vec(0..7_i32, 1..3)).prop_map(|(writer, days)| Step::Begin { writer, days }),
        2 => writer.clone().prop_map(|writer| Step::Insert { writer }),
        2 => writer.clone().prop_map(|writer| Step::End { writer }),
        1 => writer.prop_map(|writer| Step::Expire { writer }),
        4 => reader.clone().prop_map(|reader| Step::Ask { reader }),
        3 => reader.clone().prop_map(|reader| Step::Compute { reader }),
        3 => reader.prop_map(|reader| Step::Store { reader }),
        1 => Just(Step::Tidy),
    ]
}

#[derive(Default)]
struct Writer {
    batch: Option<(LateBatch, Vec<i32>, bool)>,
}

#[derive(Default)]
struct Reader {
    tickets: Option<Vec<Option<ResultTicket>>>,
    computed: Option<Vec<i64>>,
}

struct World<'a> {
    database: &'a Database,
    states: &'a [State],
    appid: String,
    rows: [i64; DAYS],
    writers: HashMap<usize, Writer>,
    readers: HashMap<usize, Reader>,
    hits: usize,
}

impl World<'_> {
    fn periods() -> Vec<ClosedPeriod> {
        (0..7).map(day).chain([week()]).collect()
    }

    fn sums(&self) -> Vec<i64> {
        self.rows.iter().copied().chain([self.rows.iter().sum()]).collect()
    }

    fn state(&self, actor: usize) -> &State {
        &self.states[actor % self.states.len()]
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Begin { writer, days } => {
                if self.writers.entry(*writer).or_default().batch.is_none() {
                    let named: Vec<(String, i32)> =
                        days.iter().map(|day| (self.appid.clone(), *day)).collect();
                    let batch = self.state(*writer).begin_late(&named).await.unwrap();
                    self.writers.entry(*writer).or_default().batch = Some((batch, days.clone(), false));
                }
            }
            Step::Insert { writer } => {
                if let Some((_, days, is_inserted)) = &mut self.writers.entry(*writer).or_default().batch {
                    if !*is_inserted {
                        days.iter().for_each(|day| self.rows[usize::try_from(*day).unwrap()] += 1);
                    }
                    *is_inserted = true;
                }
            }
            Step::End { writer } => {
                if let Some((batch, ..)) = self.writers.entry(*writer).or_default().batch.take() {
                    self.state(*writer).end_late(&batch).await.unwrap();
                }
            }
            Step::Expire { writer } => {
                // The others' rows in `late` stay: they end with their own writers.
                if self.writers.entry(*writer).or_default().batch.take().is_some() {
                    self.expire().await;
                }
            }
            Step::Ask { reader } => self.ask(*reader).await,
            Step::Compute { reader } => {
                let sums = self.sums();
                self.readers.entry(*reader).or_default().computed = Some(sums);
            }
            Step::Store { reader } => self.store(*reader).await,
            Step::Tidy => self.states[0].tidy(0).await.unwrap(),
        }
    }

    /// Ends the time of the batches that nobody holds any more.
    async fn expire(&self) {
        let held: Vec<String> = self
            .writers
            .values()
            .filter_map(|writer| writer.batch.as_ref())
            .map(|held| format!("{:?}", held.0))
            .collect();
        let session = self.database.session().await;
        for row in
            session.query("SELECT DISTINCT batch FROM late WHERE appid = $1", &[&self.appid]).await.unwrap()
        {
            let batch: String = row.get(0);
            if !held.iter().any(|held| held.contains(&batch)) {
                let age = "UPDATE late SET until = clock_timestamp() - interval '2h' WHERE batch = $1";
                session.execute(age, &[&batch]).await.unwrap();
            }
        }
    }

    /// Every valid result must be what the rows say now, unless rows are on their way.
    async fn ask(&mut self, reader: usize) {
        let results = self.state(reader).results(&self.appid, &Self::periods()).await.unwrap();
        for (result, sum) in results.iter().zip(self.sums()) {
            if let Some(body) = &result.body {
                assert_eq!(
                    String::from_utf8_lossy(body),
                    sum.to_string(),
                    "an old result was taken as valid"
                );
                self.hits += 1;
            }
        }
        let tickets = results.iter().map(|result| result.ticket).collect();
        self.readers.insert(reader, Reader { tickets: Some(tickets), computed: None });
    }

    async fn store(&mut self, reader: usize) {
        let Reader { tickets: Some(tickets), computed: Some(computed) } =
            self.readers.remove(&reader).unwrap_or_default()
        else {
            return;
        };
        let new: Vec<NewResult> = Self::periods()
            .into_iter()
            .zip(tickets)
            .zip(computed)
            .filter_map(|((period, ticket), sum)| {
                Some(NewResult {
                    period,
                    ticket: ticket?,
                    not_before_s: 0,
                    body: sum.to_string().into_bytes(),
                })
            })
            .collect();
        self.state(reader).store_results(&self.appid, &new).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_valid_result_is_what_the_rows_say_however_steps_come_between() {
    with_tables(|database| async move {
        let states = vec![database.open("a").await, database.open("b").await];
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut runner =
                TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
            let (case, hits) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
            let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
                case.set(case.get() + 1);
                let mut world = World {
                    database: &database,
                    states: &states,
                    appid: format!("wx{}", case.get()),
                    rows: [0; DAYS],
                    writers: HashMap::new(),
                    readers: HashMap::new(),
                    hits: 0,
                };
                runtime.block_on(async {
                    for step in &steps {
                        world.take(step).await;
                    }
                    world.ask(0).await;
                });
                hits.set(hits.get() + world.hits);
                Ok(())
            });
            outcome.unwrap();
            assert!(hits.get() > 100, "only {} results were taken: the test tests nothing", hits.get());
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn a_process_whose_clock_is_ahead_stores_no_result_too_early() {
    with_tables(|database| async move {
        let state = database.open("a").await;
        let now_s = database.number("SELECT extract(epoch FROM clock_timestamp())::bigint").await;
        for (start, not_before_s, is_stored) in [(1, now_s + 60, false), (2, now_s - 60, true)] {
            let ticket = state.results("wx", &[day(start)]).await.unwrap()[0].ticket.unwrap();
            let new = NewResult { period: day(start), ticket, not_before_s, body: b"1".to_vec() };
            assert_eq!(state.store_results("wx", &[new]).await, Ok(usize::from(is_stored)));
            assert_eq!(state.results("wx", &[day(start)]).await.unwrap()[0].body.is_some(), is_stored);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: tests/cluster/run.sh"]
async fn results_come_in_the_order_of_the_question() {
    with_tables(|database| async move {
        let state = database.open("a").await;
        let periods: Vec<ClosedPeriod> = (0..400).map(day).rev().collect();
        let tickets = state.results("wx", &periods).await.unwrap();
        let even = periods.iter().zip(&tickets).filter(|(period, _)| period.start % 2 == 0);
        let new: Vec<NewResult> = even
            .map(|(period, empty)| NewResult {
                period: *period,
                ticket: empty.ticket.unwrap(),
                not_before_s: 0,
                body: period.start.to_string().into_bytes(),
            })
            .collect();
        assert_eq!(state.store_results("wx", &new).await, Ok(200));
        let results = state.results("wx", &periods).await.unwrap();
        for (period, result) in periods.iter().zip(results) {
            let expected = (period.start % 2 == 0).then(|| period.start.to_string().into_bytes());
            assert_eq!(result.body, expected);
            assert!(result.ticket.is_some());
        }
        assert!(state.results("other", &[day(2)]).await.unwrap()[0].body.is_none());
        assert!(state.results("wx", &vec![day(0); 1025]).await.is_err());
        assert!(state.results("wx", &[]).await.unwrap().is_empty());
    })
    .await;
}
