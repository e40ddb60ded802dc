//! The store is asked by threads that may wait, and talks to its servers on a runtime of its own.

use std::sync::mpsc;

use tokio::{
    runtime::{Builder, Handle, Runtime, RuntimeFlavor},
    sync::oneshot,
};

use crate::store::StoreError;

/// Threads that talk to the servers.
const THREADS: usize = 2;

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
pub struct OwnRuntime(Option<Runtime>);

/// The task of a question ended without an answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store is ending")]
pub struct Ending;

impl OwnRuntime {
    /// Starts its threads.
    pub fn start() -> Result<OwnRuntime, StoreError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("store").enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Servers(format!("no threads: {error}")))?;
        Ok(OwnRuntime(Some(runtime)))
    }

    /// Runs a task and blocks until it is done. On a thread of another runtime, that runtime goes on with its other
    /// tasks.
    pub fn wait<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Ending> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.spawn(async move { drop(sender.send(task.await)) });
        let answer = move || receiver.recv().map_err(|_| Ending);
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(answer),
            _ => answer(),
        }
    }

    /// Runs a task and waits until it is done. Blocks no thread.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Ending> {
        let (sender, receiver) = oneshot::channel();
        self.spawn(async move { drop(sender.send(task.await)) });
        receiver.await.map_err(|_| Ending)
    }

    /// Runs a task. Nobody waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            drop(runtime.spawn(task));
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl From<Ending> for StoreError {
    fn from(error: Ending) -> StoreError {
        StoreError::Servers(error.to_string())
    }
}
