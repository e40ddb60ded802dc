//! Connections to PostgreSQL. What a connection has begun never reaches its next user: it is rolled back, or closed.

use std::time::Duration;

use deadpool::{
    Runtime,
    managed::{Object, Pool},
};
use deadpool_postgres::ClientWrapper;
use system::secret::Secret;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{Row, types::ToSql};

use super::{
    address,
    address::StateAddress,
    connecting::{PostgresConnector, ServerRun, within},
    error::StateError,
};

/// Connections a process uses for turns, fences and marks, and for all else.
const ORDER_CONNECTIONS: usize = 4;
const WORK_CONNECTIONS: usize = 8;
const WAIT_LIMIT: Duration = Duration::from_secs(8);
/// A little longer than the server's own limit of 10 s, so that its error is seen.
const ANSWER_LIMIT: Duration = Duration::from_secs(11);
const SLOW_ANSWER_LIMIT: Duration = Duration::from_secs(121);
/// How long a server may take to confirm a write. Nothing is decided with one that takes longer.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);

/// Parameters of a statement.
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The connections of a process.
pub struct Pools {
    /// For turns, fences and marks, so that nothing else makes them wait.
    order: Pool<PostgresConnector>,
    work: Pool<PostgresConnector>,
    runtime: Handle,
}

impl Pools {
    /// Prepares connections; makes none yet. They belong to the runtime on which this is called. Each is to a server that takes
    /// writes.
    pub fn open(url: &Secret) -> Result<Pools, StateError> {
        Pools::new(&address::read(url)?, false)
    }

    /// Like `open`. Each is to a server that confirmed a write on this connection.
    pub fn open_confirmed(url: &Secret) -> Result<Pools, StateError> {
        Pools::new(&address::read(url)?, true)
    }

    fn new(address: &StateAddress, must_confirm: bool) -> Result<Pools, StateError> {
        let connector = PostgresConnector::new(address, must_confirm)?;
        let pool = |size| {
            Pool::builder(connector.clone())
                .max_size(size)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT_LIMIT))
                .create_timeout(Some(WAIT_LIMIT))
                .recycle_timeout(Some(WAIT_LIMIT))
                .build()
                .map_err(|error| StateError::Unreachable(error.to_string()))
        };
        Ok(Pools {
            order: pool(ORDER_CONNECTIONS)?,
            work: pool(WORK_CONNECTIONS)?,
            runtime: Handle::current(),
        })
    }

    /// The runtime that the connections belong to.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A connection for a turn or a fence.
    pub async fn for_order(&self) -> Result<Lent, StateError> {
        Ok(Lent { object: Some(self.order.get().await?), runtime: self.runtime.clone() })
    }

    /// A connection for all else.
    pub async fn for_work(&self) -> Result<Lent, StateError> {
        Ok(Lent { object: Some(self.work.get().await?), runtime: self.runtime.clone() })
    }

    /// Runs one statement, which is a transaction of its own.
    pub async fn ask(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StateError> {
        self.ask_on(self.for_work().await?, statement, parameters).await
    }

    /// Runs one statement that must not wait behind the others.
    pub async fn ask_at_once(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StateError> {
        self.ask_on(self.for_order().await?, statement, parameters).await
    }

    async fn ask_on(
        &self,
        lent: Lent,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StateError> {
        let answer = lent.ask(statement, parameters).await;
        // A refusal leaves the connection as it was.
        match &answer {
            Err(error) if error.is_of_connection() => self.forget_idle(),
            _ => lent.give_back(),
        }
        answer
    }

    /// Which server it is, once it has stored a write safely.
    pub async fn confirm(&self) -> Result<ServerRun, StateError> {
        let lent = self.for_order().await?;
        let confirmed = self.order.manager().confirm(lent.client()?, CONFIRM_LIMIT).await;
        match &confirmed {
            Ok(_) => lent.give_back(),
            Err(_) => self.forget_idle(),
        }
        confirmed
    }

    /// Closes idle connections after one was lost: the others may lead to the same dead machine.
    pub fn forget_idle(&self) {
        for pool in [&self.order, &self.work] {
            pool.retain(|_, _| false);
        }
    }
}

/// A connection in use. If it is dropped before `give_back`, it is closed, and the server rolls back.
pub struct Lent {
    object: Option<Object<PostgresConnector>>,
    runtime: Handle,
}

impl Lent {
    /// The connection.
    pub fn client(&self) -> Result<&ClientWrapper, StateError> {
        self.object
            .as_deref()
            .ok_or_else(|| StateError::Unreachable("the connection was given back".to_owned()))
    }

    /// Runs one statement.
    pub async fn ask(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StateError> {
        let client = self.client()?;
        within(ANSWER_LIMIT, async {
            let prepared = client.prepare_cached(statement).await?;
            client.query(&prepared, parameters).await
        })
        .await
    }

    /// Runs one statement whose answer may be long.
    pub async fn ask_slowly(&self, statement: &str) -> Result<Vec<Row>, StateError> {
        within(SLOW_ANSWER_LIMIT, self.client()?.query(statement, &[])).await
    }

    /// Runs statements without parameters.
    pub async fn run(&self, statements: &str) -> Result<(), StateError> {
        within(ANSWER_LIMIT, self.client()?.batch_execute(statements)).await
    }

    /// Nothing is open on the connection; another may use it.
    pub fn give_back(mut self) {
        drop(self.object.take());
    }

    /// Rolls back in the background, then gives the connection back.
    pub fn roll_back(self) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            let done = timeout(ROLLBACK_LIMIT, self.run("ROLLBACK")).await;
            if matches!(done, Ok(Ok(()))) {
                self.give_back();
            }
        });
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}
