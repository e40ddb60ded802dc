//! The servers on which the cases run.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use msgcube::serve;
use server::{
    config::Config,
    http::{self, state::App},
    key_binding::OtherKey,
    net::sockets::Listener,
};
use storage::{
    store::{Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

#[cfg(feature = "clickhouse")]
use super::shared::SharedServers;
use crate::harness::{Folder, Program};

/// Waiting longer means that the server hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The kind of server on which a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Memory,
    Embedded,
    Program,
    /// One or several processes on a shared store.
    #[cfg(feature = "clickhouse")]
    Shared(&'static SharedServers),
}

/// A running server. Its configuration and its data are in a folder.
pub enum Server {
    /// Asked in turn.
    InProcess(Vec<InProcess>, AtomicUsize),
    Program(Program),
}

impl Target {
    /// Removes what the case before left. Returns the section `[store]` for the configuration.
    pub fn prepare(self) -> Option<toml::Value> {
        match self {
            #[cfg(feature = "clickhouse")]
            Target::Shared(servers) => {
                servers.clear();
                Some(servers.section())
            }
            _ => None,
        }
    }

    /// Whether several processes are asked in turn. Then each knows only its own metrics.
    pub fn has_several_processes(self) -> bool {
        self.data_folders().len() > 1
    }

    /// A name for each process.
    fn data_folders(self) -> &'static [&'static str] {
        match self {
            #[cfg(feature = "clickhouse")]
            Target::Shared(servers) => servers.data_folders(),
            _ => &["data"],
        }
    }
}

impl Server {
    /// Starts a server on a folder with `msgcube.toml`.
    pub fn start(target: Target, folder: &Folder, now_s: i64) -> Server {
        if target == Target::Program {
            let now = jiff::Timestamp::from_second(now_s).unwrap().to_string();
            return Server::Program(folder.serve_with(&["--now", &now]).unwrap());
        }
        // One clock for all.
        let clock = Clock::starting_at(now_s);
        let start = |data: &&str| InProcess::start(target, &folder.root().join(data), clock.clone());
        Server::InProcess(target.data_folders().iter().map(start).collect(), AtomicUsize::new(0))
    }

    /// The public address or the admin address. Of several processes another one each time.
    pub fn address(&self, admin: bool) -> SocketAddr {
        let (public, operator) = match self {
            Server::InProcess(servers, turn) => {
                let server = &servers[turn.fetch_add(1, Ordering::Relaxed) % servers.len()];
                (server.public, server.admin)
            }
            Server::Program(program) => (address(&program.base), program.admin.as_deref().map(address)),
        };
        if admin { operator.expect("the case sets admin_listen") } else { public }
    }

    /// Stops the server gracefully.
    pub fn stop(self) {
        match self {
            Server::InProcess(servers, _) => servers.into_iter().for_each(InProcess::stop),
            Server::Program(program) => {
                let status = program.end("-TERM");
                assert!(status.success(), "SIGTERM must end the program with status 0, not {status}");
            }
        }
    }
}

fn address(base: &str) -> SocketAddr {
    base.trim_start_matches("http://").parse().unwrap()
}

/// The router in this process.
pub struct InProcess {
    runtime: Runtime,
    app: Arc<App>,
    writer: Writer,
    public: SocketAddr,
    admin: Option<SocketAddr>,
    end: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
}

impl InProcess {
    /// Starts on a data folder. The configuration is beside it.
    fn start(target: Target, data: &Path, clock: Clock) -> InProcess {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut config = Config::read(&data.with_file_name("msgcube.toml"), |_| None).unwrap();
        data.clone_into(&mut config.data_dir);
        let (app, writer) = match target {
            Target::Memory => {
                let key = DataKey::load_or_create(&config.data_key_file).unwrap();
                App::start_with(config, clock, Store::Memory(Memory::default()), key).unwrap()
            }
            _ => App::start(config, clock, OtherKey::Refuse).unwrap(),
        };
        let (end, _) = watch::channel(false);
        let mut serving = Vec::new();
        let mut serve = |address, router| {
            let listener = runtime.block_on(async { Listener::bind(address) }).unwrap();
            let address = listener.address().unwrap();
            let mut ended = end.subscribe();
            let watcher = app.clone();
            serving.push(runtime.spawn(async move {
                let end = async move { drop(ended.wait_for(|end| *end).await) };
                http::serve(listener, router, watcher.as_ref(), end).await;
            }));
            address
        };
        let public = serve(app.config.get().listen, http::router(app.clone()));
        let admin =
            app.config.get().admin_listen.map(|address| serve(address, http::admin_router(app.clone())));
        InProcess { runtime, app, writer, public, admin, end, serving }
    }

    fn stop(self) {
        self.end.send(true).unwrap();
        for serving in self.serving {
            self.runtime.block_on(serving).unwrap();
        }
        let gone = Arc::downgrade(&self.app);
        self.runtime.block_on(serve::stop(self.app, self.writer)).unwrap();
        // Closed connections may still hold the store for a moment. The next start needs it.
        let start = Instant::now();
        while gone.strong_count() > 0 {
            assert!(start.elapsed() < WAIT_MAX, "a connection does not end");
            std::thread::yield_now();
        }
    }
}
