//! ClickHouse and PostgreSQL for the wire cases. `tests/cluster/run.sh` starts both and sets the variables that are read here.

use std::sync::atomic::{AtomicU32, Ordering};

use storage::store::{ClickHouseOptions, StateOptions, prepare_shared};
use system::secret::Secret;
use tokio_postgres::NoTls;
use toml::{Table, Value};

/// Databases for the cases of a file, which follow each other.
#[derive(Debug, PartialEq, Eq)]
pub struct SharedServers {
    urls: Vec<String>,
    user: String,
    password: String,
    cluster: Option<String>,
    database: String,
    state: String,
    processes: usize,
}

impl SharedServers {
    /// One process, on one ClickHouse server.
    pub fn single() -> &'static SharedServers {
        SharedServers::new("MSGCUBE_TEST_CLICKHOUSE_SINGLE", None, 1)
    }

    /// Three processes, on a cluster.
    pub fn cluster() -> &'static SharedServers {
        let name = variable("MSGCUBE_TEST_CLICKHOUSE_CLUSTER_NAME");
        SharedServers::new("MSGCUBE_TEST_CLICKHOUSE_CLUSTER", Some(name), 3)
    }

    /// `urls` names the variable with the addresses of ClickHouse.
    fn new(urls: &str, cluster: Option<String>, processes: usize) -> &'static SharedServers {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("wire_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let postgres = variable("MSGCUBE_TEST_POSTGRES");
        sql(&postgres, &format!("CREATE DATABASE {database}"));
        let servers = SharedServers {
            urls: variable(urls).split(',').map(str::to_owned).collect(),
            user: variable("MSGCUBE_TEST_CLICKHOUSE_USER"),
            password: variable("MSGCUBE_TEST_CLICKHOUSE_PASSWORD"),
            cluster,
            state: format!("{}/{database}", postgres.rsplit_once('/').unwrap().0),
            database,
            processes,
        };
        let messages = ClickHouseOptions {
            urls: servers.urls.clone(),
            user: servers.user.clone(),
            password: Secret::new(servers.password.clone()),
            database: servers.database.clone(),
            cluster: servers.cluster.clone(),
        };
        prepare_shared(&messages, &StateOptions { url: Secret::new(servers.state.clone()) }).unwrap();
        Box::leak(Box::new(servers))
    }

    /// A data folder for each process.
    pub fn data_folders(&self) -> &'static [&'static str] {
        &["data", "data-of-the-second", "data-of-the-third"][..self.processes]
    }

    /// The section `[store]` of the configuration.
    pub fn section(&self) -> Value {
        let mut section = Table::new();
        let mut set = |name: &str, value: Value| drop(section.insert(name.to_owned(), value));
        set("kind", "clickhouse".into());
        set("urls", self.urls.iter().map(|url| Value::from(url.as_str())).collect::<Vec<_>>().into());
        for (name, value) in [
            ("user", &self.user),
            ("password", &self.password),
            ("database", &self.database),
            ("state", &self.state),
        ] {
            set(name, value.as_str().into());
        }
        if let Some(cluster) = &self.cluster {
            set("cluster", cluster.as_str().into());
        }
        section.into()
    }

    /// Removes what the case before left. Quicker than databases for each case.
    pub fn clear(&self) {
        sql(
            &self.state,
            "DO $$ DECLARE name text; BEGIN
               FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'msgcube'
                 AND tablename NOT IN ('installation', 'turn_lock', 'refused_end')
               LOOP EXECUTE 'DELETE FROM msgcube.' || quote_ident(name); END LOOP;
               INSERT INTO msgcube.turn (seq, id) VALUES (0, gen_random_uuid()::text);
             END $$",
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = crate::harness::client();
        for (url, table) in self.urls.iter().flat_map(|url| [(url, "raw"), (url, "aside")]) {
            let query = format!("TRUNCATE TABLE {}.{table} SETTINGS alter_sync = 2", self.database);
            let request = http.post(url).basic_auth(&self.user, Some(&self.password)).body(query);
            let answer = runtime.block_on(async { request.send().await?.error_for_status() });
            answer.unwrap();
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/cluster/run.sh"))
}

fn sql(url: &str, query: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(query).await.unwrap();
    });
}
