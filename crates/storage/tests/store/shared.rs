//! The store that several processes share, on real servers. One process, or three that are asked in turn, must answer
//! like the plain model. `tests/cluster/run.sh` starts the servers and runs these tests.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use counting::{Content, Kind, Message, Period, Reason, start_of_day_s};
use datacube::Day;
use proptest::{prelude::*, test_runner::TestRunner};
use storage::store::{
    AccountNumber, Change, ClickHouseOptions, Outcome, Shared, SharedOptions, StateOptions, Store,
    prepare_shared, statistics::Span,
};
use system::{clock::Clock, secret::Secret};

use crate::{
    changes::{APPIDS, any_batch},
    model::Model,
};

const CASES: u32 = 4;

/// Databases of their own on both servers.
struct Servers {
    messages: ClickHouseOptions,
    state: StateOptions,
}

impl Servers {
    /// `urls` names the variable with the addresses of ClickHouse.
    fn new(urls: &str, cluster: Option<String>) -> Servers {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = format!("suite_{}_{number}", std::process::id());
        let postgres = variable("MSGCUBE_TEST_POSTGRES");
        create_database(&postgres, &database);
        let messages = ClickHouseOptions {
            urls: variable(urls).split(',').map(str::to_owned).collect(),
            user: variable("MSGCUBE_TEST_CLICKHOUSE_USER"),
            password: Secret::new(variable("MSGCUBE_TEST_CLICKHOUSE_PASSWORD")),
            database: database.clone(),
            cluster,
        };
        let (server, _) = postgres.rsplit_once('/').unwrap();
        let state = StateOptions { url: Secret::new(format!("{server}/{database}")) };
        prepare_shared(&messages, &state).unwrap();
        Servers { messages, state }
    }

    fn single() -> Servers {
        Servers::new("MSGCUBE_TEST_CLICKHOUSE_SINGLE", None)
    }

    fn cluster() -> Servers {
        let name = variable("MSGCUBE_TEST_CLICKHOUSE_CLUSTER_NAME");
        Servers::new("MSGCUBE_TEST_CLICKHOUSE_CLUSTER", Some(name))
    }

    fn open(&self, folder: &std::path::Path) -> Store {
        self.open_at(folder, Clock::real())
    }

    fn open_at(&self, folder: &std::path::Path, clock: Clock) -> Store {
        let (messages, state) = (self.messages.clone(), self.state.clone());
        let options = SharedOptions { messages, state, folder: folder.to_owned() };
        let store = Store::Shared(Box::new(Shared::open(options, clock).unwrap()));
        for (number, appid) in (0..).zip(APPIDS) {
            assert_eq!(store.reserve(appid).0, number);
        }
        store
    }
}

#[allow(clippy::disallowed_methods, reason = "the addresses of servers that run for the tests")]
fn variable(name: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "the servers of the tests are named by the environment")]
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/cluster/run.sh"))
}

fn create_database(url: &str, database: &str) {
    run_sql(url, &format!("CREATE DATABASE {database}"));
}

fn run_sql(url: &str, statements: &str) {
    wait_for(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
    });
}

fn wait_for<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    /// One of the processes ends and starts again.
    Reopen,
    Check,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any_batch().prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Check),
    ]
}

/// Processes that are asked in turn.
struct Processes {
    servers: Servers,
    folders: Vec<tempfile::TempDir>,
    stores: Vec<Store>,
    next: usize,
    model: Model,
}

impl Processes {
    fn start(servers: Servers, count: usize) -> Processes {
        let folders: Vec<_> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        let stores = folders.iter().map(|folder| servers.open(folder.path())).collect();
        Processes { servers, folders, stores, next: 0, model: Model::of_shared_store() }
    }

    fn turn(&mut self) -> usize {
        self.next += 1;
        self.next % self.stores.len()
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let turn = self.turn();
            match step {
                Step::Commit(changes) => self.commit(turn, changes),
                Step::Reopen => {
                    // The folder is locked while the former one is open.
                    drop(self.stores.remove(turn));
                    self.stores.insert(turn, self.servers.open(self.folders[turn].path()));
                }
                Step::Check => self.check(turn),
            }
        }
        let turn = self.turn();
        self.check(turn);
        // Results of periods that are over are stored by now, and repeats change none of them.
        for step in steps {
            if let Step::Commit(changes) = step {
                let is_message =
                    |change: &&Change| matches!(change, Change::Message { .. } | Change::Quarantine { .. });
                let repeats: Vec<Change> = changes
                    .iter()
                    .filter(is_message)
                    .filter(|change| !repeats_a_former_version(change))
                    .cloned()
                    .collect();
                let turn = self.turn();
                self.stores[turn].commit(&repeats).unwrap();
            }
        }
        (0..self.stores.len()).for_each(|turn| self.check(turn));
    }

    fn commit(&mut self, turn: usize, changes: &[Change]) {
        let changes: Vec<Change> =
            changes.iter().filter(|change| !repeats_a_former_version(change)).cloned().collect();
        let outcomes = self.stores[turn].commit(&changes).unwrap();
        let expected = self.model.commit(&changes);
        // Repeats of former batches are not looked up.
        let alike = |outcome: &Outcome| match outcome {
            Outcome::Counted | Outcome::Repeat | Outcome::Noted => true,
            Outcome::Failed(_) => false,
        };
        let found: Vec<bool> = outcomes.iter().map(alike).collect();
        assert_eq!(found, expected.iter().map(alike).collect::<Vec<_>>(), "{changes:?}");
    }

    fn check(&self, turn: usize) {
        wait_for(self.stores[turn].fresh()).unwrap();
        if let Some(difference) = self.model.difference(&self.stores[turn]) {
            panic!("process {turn}: {difference}");
        }
    }
}

/// That an event with a MsgID repeats one without holds only for data of former versions, which this store never had.
fn repeats_a_former_version(change: &Change) -> bool {
    match change {
        Change::Message { message, .. } => {
            matches!(message.content, Content::Event { msg_id: None, .. })
        }
        Change::Quarantine { message, .. } => message.event.is_some() && message.msg_id.is_none(),
        _ => false,
    }
}

fn answers_like_the_rollup(servers: fn() -> Servers, processes: usize) {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 8,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(any_step(), 1..12);
    let run = TestRunner::new(config).run(&steps, |steps| {
        Processes::start(servers(), processes).run(&steps);
        Ok(())
    });
    run.unwrap();
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn one_process_without_replication_answers_like_the_rollup() {
    answers_like_the_rollup(Servers::single, 1);
}

#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn three_processes_on_a_cluster_answer_like_the_rollup() {
    answers_like_the_rollup(Servers::cluster, 3);
}

/// Rows of the current day are not announced, so results of its hours must not be stored.
#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn hours_of_the_current_day_take_late_messages() {
    let (servers, folder) = (Servers::single(), tempfile::tempdir().unwrap());
    let day = Day::from_days_since_1970(20_500);
    let noon_s = start_of_day_s(day) + 12 * 3600;
    let store = servers.open_at(folder.path(), Clock::starting_at(noon_s));
    let account = AccountNumber(0);
    for msg_id in 1..=10 {
        let content = Content::Message { kind: Kind::Text, msg_id };
        let message = Message { user: "o".into(), create_time: noon_s - 5400, content };
        store.commit(&[Change::Message { account, message }]).unwrap();
        let hour = store.slice(account, Span::Period(Period::hour(day, 10))).unwrap();
        assert_eq!(hour.messages_counted, msg_id);
        // A result that was stored would be used by the next question.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// PostgreSQL without a standby loses its last turn with its machine. Processes that knew the turn forget it, too.
#[test]
#[ignore = "needs servers: tests/cluster/run.sh"]
fn after_postgresql_lost_a_turn_all_have_the_coverage_that_is_stored() {
    let (servers, folders) = (Servers::single(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let [one, other] = [0, 1].map(|at| servers.open(folders[at].path()));
    let account = AccountNumber(0);
    let lose = |from_s: i64| {
        let (to_s, reason) = (from_s + 1, Reason::NotDurable);
        one.commit(&[Change::Lose { account, from_s, to_s, reason }]).unwrap();
        wait_for(other.fresh()).unwrap();
        other.coverage(account, Clone::clone)
    };
    let stored = lose(1000);
    let sql = |statements: &str| run_sql(servers.state.url.reveal(), statements);
    sql("CREATE TABLE kept AS SELECT * FROM msgcube.fact");
    assert_ne!(lose(2000), stored);
    sql("DELETE FROM msgcube.turn WHERE seq > (SELECT max(seq) FROM kept);
         INSERT INTO msgcube.turn (seq, id) SELECT max(seq) + 1, 'other' FROM kept;
         DELETE FROM msgcube.fact; INSERT INTO msgcube.fact SELECT * FROM kept");
    for store in [&one, &other] {
        wait_for(store.fresh()).unwrap();
        assert_eq!(store.coverage(account, Clone::clone), stored);
    }
}
