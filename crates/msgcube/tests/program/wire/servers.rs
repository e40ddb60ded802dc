//! The servers on which the cases run.

use std::{
    net::SocketAddr,
    sync::Arc,
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

use crate::harness::{Folder, Program};

/// Waiting longer means that the server hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The kind of server on which a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Memory,
    Embedded,
    Program,
}

/// A running server. Its configuration and its data are in a folder.
pub enum Server {
    InProcess(Box<InProcess>),
    Program(Program),
}

impl Server {
    /// Starts a server on a folder with `msgcube.toml`.
    pub fn start(target: Target, folder: &Folder, now_s: i64) -> Server {
        match target {
            Target::Program => {
                let now = jiff::Timestamp::from_second(now_s).unwrap().to_string();
                Server::Program(folder.serve_with(&["--now", &now]).unwrap())
            }
            _ => Server::InProcess(Box::new(InProcess::start(target, folder, now_s))),
        }
    }

    /// The public address or the admin address.
    pub fn address(&self, admin: bool) -> SocketAddr {
        let (public, operator) = match self {
            Server::InProcess(server) => (server.public, server.admin),
            Server::Program(program) => (address(&program.base), program.admin.as_deref().map(address)),
        };
        if admin { operator.expect("the case sets admin_listen") } else { public }
    }

    /// Stops the server gracefully.
    pub fn stop(self) {
        match self {
            Server::InProcess(server) => server.stop(),
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
    fn start(target: Target, folder: &Folder, now_s: i64) -> InProcess {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut config = Config::read(&folder.root().join("msgcube.toml"), |_| None).unwrap();
        config.data_dir = folder.root().join("data");
        let clock = Clock::starting_at(now_s);
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
