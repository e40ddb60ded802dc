//! Makes connections, to the first server of the address that is of use.

use std::{future::poll_fn, time::Duration};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    address::{StateAddress, host_name},
    error::StateError,
    tls,
};

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
/// When the server was started, as SQL. It is different for each server.
macro_rules! server_run {
    () => {
        "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"
    };
}
pub(super) use server_run;

/// Writes a message that changes nothing.
const CONFIRM: &str = concat!("SELECT pg_logical_emit_message(true, 'msgcube', ''), ", server_run!());
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

/// One server of the address, in one of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerRun(pub i64);

/// Makes connections on one runtime, whichever runtime asks for them: a connection ends with its runtime.
#[derive(Clone)]
pub struct PostgresConnector {
    hosts: Vec<Config>,
    tls: MakeRustlsConnect,
    runtime: Handle,
    must_confirm: bool,
}

impl PostgresConnector {
    /// For an address, on the runtime on which this is called. With `must_confirm`, a server that confirms no write is passed
    /// over: it hangs, or it is a former primary that was started again.
    pub fn new(address: &StateAddress, must_confirm: bool) -> Result<PostgresConnector, StateError> {
        let (hosts, tls) = (address.each_host(), tls::connector(address)?);
        Ok(PostgresConnector { hosts, tls, runtime: Handle::current(), must_confirm })
    }

    /// Tries the servers in their order.
    async fn connect(&self) -> Result<ClientWrapper, StateError> {
        let mut failures: Vec<(String, StateError)> = Vec::new();
        for host in &self.hosts {
            match self.connect_to(host).await {
                Ok(client) => return Ok(client),
                Err(error) => failures.push((host_name(host), error)),
            }
        }
        Err(StateError::of_hosts(failures))
    }

    async fn connect_to(&self, host: &Config) -> Result<ClientWrapper, StateError> {
        let limit = host.get_connect_timeout().copied().unwrap_or_default();
        // The library itself limits only the time of the TCP connection.
        let client = within(limit, self.session(host)).await?;
        if self.must_confirm {
            self.confirm(&client, limit).await?;
        }
        Ok(client)
    }

    async fn session(&self, host: &Config) -> Result<ClientWrapper, tokio_postgres::Error> {
        let (client, connection) = host.connect(self.tls.clone()).await?;
        let driver = self.runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        let client = ClientWrapper::new(client, driver);
        client.batch_execute(SESSION).await?;
        if let Err(error) = client.batch_execute(NOTICE_LOST_CLIENTS).await {
            tracing::debug!(%error, "PostgreSQL cannot notice lost clients early");
        }
        Ok(client)
    }

    /// Waits until the server has stored a write as safely as it stores decisions: on its standby, if it has one.
    pub async fn confirm(&self, client: &Client, limit: Duration) -> Result<ServerRun, StateError> {
        let cancel = client.cancel_token();
        if let Ok(answer) = timeout(limit, client.query_one(CONFIRM, &[])).await {
            return Ok(ServerRun(answer?.try_get(1)?));
        }
        let tls = self.tls.clone();
        // Otherwise the session would wait for the standby after its connection has ended.
        drop(self.runtime.spawn(timeout(CANCEL_LIMIT, async move { cancel.cancel_query(tls).await })));
        Err(StateError::NotConfirmed(limit.as_secs()))
    }
}

impl Manager for PostgresConnector {
    type Type = ClientWrapper;
    type Error = StateError;

    async fn create(&self) -> Result<ClientWrapper, StateError> {
        let mut connecting = Box::pin(self.connect());
        poll_fn(|context| {
            let _entered = self.runtime.enter();
            connecting.as_mut().poll(context)
        })
        .await
    }

    async fn recycle(&self, client: &mut ClientWrapper, _: &Metrics) -> RecycleResult<StateError> {
        if client.is_closed() { Err(RecycleError::message("it is closed")) } else { Ok(()) }
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
