//! `msgcube serve`: from a configuration to open sockets, and back down at the end without losing anything.

use std::{io, io::Write as _, net::SocketAddr, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    app::{App, StartError},
    clock::Clock,
    config::Config,
    http::{self, Listener, Watcher},
    ingest::Writer,
};

/// Why the program ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It could not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    /// Something of the system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config, clock: Clock) -> Result<(), ServerError> {
    // Opening replays the log, which takes its time; the runtime has nothing else to do yet.
    let (app, writer) = App::start(config, clock)?;
    let app = Arc::new(app);
    let result = serve(app.clone(), |_| Ok(())).await;
    stop(app, writer).await?;
    result
}

/// Binds the addresses, says so, and serves until a signal. `ready` is told the public address.
pub async fn serve(
    app: Arc<App>,
    ready: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> Result<(), ServerError> {
    let listener = bind(app.config.listen).await?;
    let admin = match app.config.admin_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let address = listener.address()?;
    let mut out = io::stdout();
    writeln!(out, "listening on http://{address}")?;
    if let Some(admin) = &admin {
        writeln!(out, "admin on http://{}", admin.address()?)?;
    }
    out.flush()?;
    ready(address)?;
    let (end, ended) = watch::channel(false);
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("ending: answering what is in flight");
        // Fails only when nobody serves any more.
        let _ = end.send(true);
        wait_for_signal().await;
        tracing::warn!("ending at once; the next start goes on from the disk");
        std::process::exit(1);
    });
    let wait = |mut ended: watch::Receiver<bool>| async move { drop(ended.wait_for(|end| *end).await) };
    let public = http::serve(listener, http::router(app.clone()), app.as_ref(), wait(ended.clone()));
    match admin {
        Some(admin) => drop(tokio::join!(
            public,
            http::serve(admin, http::admin_router(app.clone()), &Nobody, wait(ended))
        )),
        None => public.await,
    }
    Ok(())
}

/// Nothing is lost that does not reach the operator's address.
struct Nobody;

impl Watcher for Nobody {
    fn deaf(&self) {}

    fn closing(&self) {}
}

/// Makes everything durable and ends the writer.
pub async fn stop(app: Arc<App>, writer: Writer) -> io::Result<()> {
    tokio::task::spawn_blocking(move || writer.stop()).await?;
    drop(app);
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<Listener, ServerError> {
    Listener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

async fn wait_for_signal() {
    let next = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => {
                tracing::warn!(%error, "a signal cannot be waited for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = next(SignalKind::terminate()) => {}
        () = next(SignalKind::interrupt()) => {}
    }
}
