//! `msgcube serve`: starts the server from a configuration, and stops it without losing a message.

use std::{io, io::Write as _, net::SocketAddr, sync::Arc};

use server::{
    config::{Config, ConfigFlaw},
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
    shared_servers,
};
use storage::{planned_stop::ListeningSocket, writer::Writer};
use system::clock::Clock;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::output::Screen;

/// Why the server could not start or run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store or the accounts could not be opened.
    #[error("{0}")]
    Start(#[from] StartError),
    /// A configured address leads back to this server.
    #[error("{0}")]
    Loop(#[from] ConfigFlaw),
    /// The TLS certificate or key cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A listening socket cannot be used.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// A call of the system failed.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT. Uses the sockets of `sockets`, if there are any. At each `hangup` (SIGHUP) the
/// configuration is read again from `source`.
pub async fn run(
    config: Config,
    clock: Clock,
    other_key: OtherKey,
    sockets: HandedOver,
    source: Source,
    mut hangup: Signal,
) -> Result<(), ServerError> {
    // Opening replays the log, which takes time. Blocking is fine: the runtime has nothing else to do yet.
    let shared_store = config.store.clone();
    let (app, writer) = App::start(config, clock, other_key)?;
    if let Some(store) = shared_store {
        // The start does not wait for it: the store has refused already what must not be.
        tokio::spawn(async move { shared_servers::log_warnings(&store).await });
    }
    let _ = app.source.set(source);
    let shared = app.clone();
    let mut reloading = None;
    let ready = |_| {
        let reload = async move {
            while hangup.recv().await.is_some() {
                // The log says whether the reload succeeded.
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

/// Binds the addresses, prints them, and serves until a signal. `ready` gets the public address.
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
    // A loopback address needs no TLS: nobody can listen in, and no certificate names it.
    let is_private = config.admin_listen.is_some_and(|address| address.ip().is_loopback());
    let admin = admin.map(|admin| admin.with_tls(tls.filter(|_| !is_private)));
    let address = listener.address()?;
    check_loops(&app, address)?;
    app.outbox.start();
    http::push::start(&app);
    // Before the address is printed: a reader of it may send a signal at once.
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
        tracing::info!("shutting down: finishing open requests");
        // Fails only if the servers have ended already.
        let _ = end.send(true);
        next().await;
        tracing::warn!("exiting at once; the next start continues from the disk");
        std::process::exit(1);
    });
    let wait = |mut ended: watch::Receiver<bool>| async move { drop(ended.wait_for(|end| *end).await) };
    let public = http::serve(listener, http::router(app.clone()), app.as_ref(), wait(ended.clone()));
    match admin {
        Some(admin) => drop(tokio::join!(
            public,
            http::serve(admin, http::admin_router(app.clone()), &NoWatcher, wait(ended))
        )),
        None => public.await,
    }
    Ok(())
}

/// Checks for loops now that the port is known.
fn check_loops(app: &App, address: SocketAddr) -> Result<(), ConfigFlaw> {
    let _ = app.address.set(address);
    let accounts = app.accounts.all();
    let configs: Vec<_> = accounts.iter().map(|account| &account.config).collect();
    app.config.get().check_loops(&configs, Some(address))
}

/// The watcher of the admin address: a connection that is not accepted there loses no message.
struct NoWatcher;

impl Watcher for NoWatcher {
    fn opening(&self, _: ListeningSocket) -> http::Opening<'_> {
        Box::pin(async {})
    }

    fn accept_blocked(&self) {}

    fn closing(&self) {}
}

/// Makes everything durable and stops the writer.
pub async fn stop(app: Arc<App>, writer: Writer) -> io::Result<()> {
    // Before the writer stops: it writes the quotas.
    app.accounts.quotas.write_pending(&app.ingest, &app.clock).await;
    tokio::task::spawn_blocking(move || writer.stop()).await?;
    Ok(())
}
