//! `msgcube serve`: from a configuration to open sockets, and back down at the end without losing anything.

use std::{io, io::Write as _, net::SocketAddr, sync::Arc};

use server::{
    config::{Config, Flaw},
    http::{
        self, Watcher,
        state::{App, StartError},
    },
    key_binding::OtherKey,
    net::{
        sockets::{HandedOver, SocketError},
        tls::{Tls, TlsError},
    },
    reload::Source,
};
use storage::{planned_stop::ListeningSocket, writer::Writer};
use system::clock::Clock;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::output::Screen;

/// Why the program ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It could not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// Calls would come back to us.
    #[error("{0}")]
    Loop(#[from] Flaw),
    /// HTTPS.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A listening socket.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// Something of the system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT, on the sockets that were handed over where there are any. At each `hangup` the configuration is read again from `source`.
pub async fn run(
    config: Config,
    clock: Clock,
    other_key: OtherKey,
    sockets: HandedOver,
    source: Source,
    mut hangup: Signal,
) -> Result<(), ServerError> {
    // Opening replays the log, which takes its time; the runtime has nothing else to do yet.
    let (app, writer) = App::start(config, clock, other_key)?;
    let app = Arc::new(app);
    let _ = app.source.set(source);
    let shared = app.clone();
    let mut reloading = None;
    let ready = |_| {
        let reload = async move {
            while hangup.recv().await.is_some() {
                // Whether it went well stands in the log.
                let _ = shared.reload().run().await;
            }
        };
        reloading = Some(tokio::spawn(reload));
        Ok(())
    };
    let result = serve(app.clone(), sockets, ready).await;
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    stop(app, writer).await?;
    result
}

/// Binds the addresses, says so, and serves until a signal. `ready` is told the public address.
pub async fn serve(
    app: Arc<App>,
    sockets: HandedOver,
    ready: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> Result<(), ServerError> {
    let config = app.config.get();
    let tls = config.tls.as_ref().map(Tls::start).transpose()?.map(Arc::new);
    if let Some(tls) = &tls {
        let _ = app.tls.set(tls.clone());
    }
    let (listener, admin) = sockets.listeners(config.listen, config.admin_listen)?;
    let listener = listener.with_tls(tls.clone());
    // On this very machine nobody listens in, and no certificate names it.
    let is_private = config.admin_listen.is_some_and(|address| address.ip().is_loopback());
    let admin = admin.map(|admin| admin.with_tls(tls.filter(|_| !is_private)));
    let address = listener.address()?;
    check_loops(&app, address)?;
    app.copies.start();
    http::push::start(&app);
    // Before the address is said: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut out = Screen::default();
    writeln!(out, "listening on {}://{address}", listener.scheme())?;
    if let Some(admin) = &admin {
        writeln!(out, "admin on {}://{}", admin.scheme(), admin.address()?)?;
    }
    out.flush()?;
    ready(address)?;
    let (end, ended) = watch::channel(false);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("ending: answering what is in flight");
        // Fails only when nobody serves any more.
        let _ = end.send(true);
        next().await;
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

/// Only now the port is known for certain.
fn check_loops(app: &App, address: SocketAddr) -> Result<(), Flaw> {
    let _ = app.address.set(address);
    let accounts = app.accounts.all();
    let configs: Vec<_> = accounts.iter().map(|account| &account.config).collect();
    app.config.get().check_loops(&configs, Some(address))
}

/// Nothing is lost that does not reach the operator's address.
struct Nobody;

impl Watcher for Nobody {
    async fn opening(&self, _: ListeningSocket) {}

    fn deaf(&self) {}

    fn closing(&self) {}
}

/// Makes everything durable and ends the writer.
pub async fn stop(app: Arc<App>, writer: Writer) -> io::Result<()> {
    // Before the writer ends, which writes it.
    app.accounts.quotas.keep(&app.ingest, &app.clock).await;
    tokio::task::spawn_blocking(move || writer.stop()).await?;
    Ok(())
}
