//! The servers of the tests, and a database for each test.

use std::{env, sync::Arc, time::Duration};

use clickhouse::Client;
use cluster::messages::{ClickHouse, ClickHouseOptions, MessageId, MessageRow};
use counting::{Content, Message};
use system::{random, secret::Secret};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

/// A database on one server, or on all servers of a cluster. It is removed in the end.
pub struct Servers {
    pub options: ClickHouseOptions,
    pub runtime: Runtime,
    clients: Vec<Client>,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/cluster/run.sh"))
}

impl Servers {
    pub fn single() -> Servers {
        Servers::of(&variable("MSGCUBE_TEST_CLICKHOUSE_SINGLE"), None)
    }

    pub fn cluster() -> Servers {
        let urls = variable("MSGCUBE_TEST_CLICKHOUSE_CLUSTER");
        Servers::of(&urls, Some(variable("MSGCUBE_TEST_CLICKHOUSE_CLUSTER_NAME")))
    }

    fn of(urls: &str, cluster: Option<String>) -> Servers {
        let options = ClickHouseOptions {
            urls: urls.split(',').map(ToOwned::to_owned).collect(),
            user: variable("MSGCUBE_TEST_CLICKHOUSE_USER"),
            password: Secret::new(variable("MSGCUBE_TEST_CLICKHOUSE_PASSWORD")),
            database: format!("test_{}", random::hexadecimal(6).unwrap()),
            cluster,
        };
        let client = |url: &String| {
            let client = Client::default().with_url(url);
            client.with_user(&options.user).with_password(options.password.reveal())
        };
        let clients = options.urls.iter().map(client).collect();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Servers { options, runtime, clients }
    }

    /// Makes the tables, and connects.
    pub fn connect(&self) -> ClickHouse {
        self.runtime.block_on(async {
            ClickHouse::init(&self.options).await.unwrap();
            ClickHouse::connect(&self.options).await.unwrap()
        })
    }

    /// Runs a statement on one server, in the database.
    pub fn run_on(&self, server: usize, sql: &str) {
        let client = self.clients[server].clone().with_database(&self.options.database);
        self.runtime.block_on(client.query(sql).execute()).unwrap();
    }

    /// Runs a statement on each server, in the database.
    pub fn run(&self, sql: &str) {
        (0..self.clients.len()).for_each(|server| self.run_on(server, sql));
    }

    /// A number from one server.
    pub fn number(&self, server: usize, sql: &str) -> u64 {
        let client = self.clients[server].clone().with_database(&self.options.database);
        self.runtime.block_on(client.query(sql).fetch_one()).unwrap()
    }

    /// A number from the first server, without the database.
    pub fn number_anywhere(&self, sql: &str) -> u64 {
        self.runtime.block_on(self.clients[0].query_raw(sql).fetch_one()).unwrap()
    }

    pub fn insert(&self, store: &ClickHouse, rows: Vec<MessageRow>) {
        self.runtime.block_on(store.insert(rows, soon())).unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for client in &self.clients {
            let drop = client.query("DROP DATABASE IF EXISTS ? SYNC");
            let drop = drop.bind(clickhouse::sql::Identifier(&self.options.database));
            let _ = self.runtime.block_on(drop.execute());
        }
    }
}

/// Enough time for an insert on a busy machine.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

pub fn row(appid: &Arc<str>, message: &Message, received_us: u64) -> MessageRow {
    let (id, event) = match &message.content {
        Content::Message { msg_id, .. } => (MessageId::of_message(*msg_id), ""),
        Content::Event { name, key, msg_id } => (MessageId::of_event(name, key, *msg_id), name.as_ref()),
    };
    MessageRow {
        appid: appid.clone(),
        user: message.user.clone(),
        create_time: message.create_time.try_into().unwrap(),
        id,
        kind: message.kind(),
        event: event.into(),
        received_us,
    }
}
