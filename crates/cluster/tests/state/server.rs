//! Databases for tests, and what looks into them directly.

use std::panic::resume_unwind;

use cluster::state::{State, StateOptions};
use system::{random, secret::Secret};
use tokio_postgres::{Client, NoTls};

/// A database that only one test uses.
#[derive(Clone)]
pub struct Database {
    pub url: String,
}

impl Database {
    pub fn options(&self) -> StateOptions {
        StateOptions { url: Secret::new(&self.url) }
    }

    pub async fn open(&self, name: &str) -> State {
        State::open(&self.options(), name).await.expect("the state opens")
    }

    /// A session beside those of the state.
    pub async fn session(&self) -> Client {
        let client = connect(&self.url).await;
        client.batch_execute("SET search_path = msgcube").await.expect("a setting");
        client
    }

    pub async fn run(&self, statements: &str) {
        self.session().await.batch_execute(statements).await.expect("statements of the test");
    }

    pub async fn number(&self, query: &str) -> i64 {
        self.session().await.query_one(query, &[]).await.expect("a query of the test").get(0)
    }
}

/// The address of a database on the server of the tests.
fn address(database: &str) -> String {
    let url = std::env::var_os("MSGCUBE_TEST_POSTGRES").expect("MSGCUBE_TEST_POSTGRES is not set");
    let url = url.into_string().expect("an address");
    let path_begins = url.find("//").map_or(0, |slashes| slashes + 2);
    let slash = path_begins + url[path_begins..].find('/').expect("a database in the address");
    let path_ends = url.find('?').unwrap_or(url.len());
    if database.is_empty() {
        url.clone()
    } else {
        format!("{}/{database}{}", &url[..slash], &url[path_ends..])
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    tokio::spawn(connection);
    client
}

/// Runs a test with a database in which the tables are made.
pub async fn with_tables<F, T>(test: T)
where
    F: Future<Output = ()> + Send + 'static,
    T: FnOnce(Database) -> F + Send + 'static,
{
    with_database(|database| async move {
        State::init(&database.options(), 2).await.expect("the tables are made");
        test(database).await;
    })
    .await;
}

/// Runs a test with an empty database, which is dropped even if the test fails.
pub async fn with_database<F, T>(test: T)
where
    F: Future<Output = ()> + Send + 'static,
    T: FnOnce(Database) -> F + Send + 'static,
{
    let name = format!("test_{}", random::hexadecimal(8).expect("random bytes"));
    let admin = connect(&address("")).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    let database = Database { url: address(&name) };
    let outcome = tokio::spawn(async move { test(database).await }).await;
    // Another session: a test may have ended the first one.
    let admin = connect(&address("")).await;
    admin
        .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
        .await
        .expect("the database is dropped");
    if let Err(panicked) = outcome {
        resume_unwind(panicked.into_panic());
    }
}

pub fn set(key: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (key.to_owned(), Some(value.as_bytes().to_vec()))
}

pub fn number_of(state: &State, key: &str) -> i64 {
    state.fact(key).map_or(0, |value| String::from_utf8_lossy(&value).parse().expect("a number"))
}
