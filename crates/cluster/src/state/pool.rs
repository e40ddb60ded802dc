//! Connections to PostgreSQL. What a connection has begun never reaches its next user: it is rolled back, or closed.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    time::Duration,
};

use deadpool_postgres::{
    ClientWrapper, Connect, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, Row, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{address, address::StateAddress, error::StateError, tls};

/// Connections a process uses for turns, fences and marks, and for all else.
const ORDER_CONNECTIONS: usize = 4;
const WORK_CONNECTIONS: usize = 8;
const WAIT_LIMIT: Duration = Duration::from_secs(8);
/// A little longer than the server's own limit of 10 s, so that its error is seen.
const ANSWER_LIMIT: Duration = Duration::from_secs(11);
const SLOW_ANSWER_LIMIT: Duration = Duration::from_secs(121);
const ROLLBACK_LIMIT: Duration = Duration::from_secs(2);

/// Each session's settings. A process that stops in the middle of a turn loses it after 3 s.
const SESSION: &str = "
SET search_path = msgcube;
SET statement_timeout = '10s';
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '3s';
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply'";
/// Without it, a session whose process is gone waits on for its turn. Not every operating system has it.
const NOTICE_LOST_CLIENTS: &str = "SET client_connection_check_interval = '1s'";

/// Parameters of a statement.
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The connections of a process.
pub struct Pools {
    /// For turns, fences and marks, so that nothing else makes them wait.
    order: Pool,
    work: Pool,
    runtime: Handle,
}

impl Pools {
    /// Prepares connections; makes none yet. They belong to the runtime on which this is called.
    pub fn new(address: &StateAddress) -> Result<Pools, StateError> {
        let runtime = Handle::current();
        let tls = tls::connector(address)?;
        let pool = |size| {
            let connector = InRuntime { tls: tls.clone(), runtime: runtime.clone() };
            let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            Pool::builder(Manager::from_connect(address.config.clone(), connector, how))
                .max_size(size)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT_LIMIT))
                .create_timeout(Some(WAIT_LIMIT))
                .recycle_timeout(Some(WAIT_LIMIT))
                .post_create(Hook::async_fn(|client: &mut ClientWrapper, _| {
                    Box::pin(async move { prepare_session(client).await.map_err(HookError::Backend) })
                }))
                .build()
                .map_err(|error| StateError::Unreachable(error.to_string()))
        };
        Ok(Pools { order: pool(ORDER_CONNECTIONS)?, work: pool(WORK_CONNECTIONS)?, runtime })
    }

    /// Connections for an address.
    pub fn open(url: &system::secret::Secret) -> Result<Pools, StateError> {
        Pools::new(&address::read(url)?)
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

    /// Closes idle connections after one was lost: the others may lead to the same dead machine.
    pub fn forget_idle(&self) {
        for pool in [&self.order, &self.work] {
            pool.retain(|_, _| false);
        }
    }
}

async fn prepare_session(client: &ClientWrapper) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(SESSION).await?;
    if let Err(error) = client.batch_execute(NOTICE_LOST_CLIENTS).await {
        tracing::debug!(%error, "PostgreSQL cannot notice lost clients early");
    }
    Ok(())
}

/// A connection in use. If it is dropped before `give_back`, it is closed, and the server rolls back.
pub struct Lent {
    object: Option<Object>,
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

/// Waits for an answer of PostgreSQL for a limited time.
pub async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StateError> {
    match timeout(limit, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StateError::Unreachable(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// Makes connections on one runtime, whichever runtime asks for them: a connection ends with its runtime.
struct InRuntime {
    tls: MakeRustlsConnect,
    runtime: Handle,
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>>;

impl Connect for InRuntime {
    fn connect(&self, config: &Config) -> Connecting<'_> {
        let (config, runtime) = (config.clone(), self.runtime.clone());
        let mut connecting = Box::pin(async move { config.connect(self.tls.clone()).await });
        let socket = poll_fn(move |context| {
            let _entered = runtime.enter();
            connecting.as_mut().poll(context)
        });
        Box::pin(async move {
            let (client, connection) = socket.await?;
            let driver = self.runtime.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to PostgreSQL ended");
                }
            });
            Ok((client, driver))
        })
    }
}
