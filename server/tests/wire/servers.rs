//! The servers that the cases are run on.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use msgcube::{
    app::App,
    clock::Clock,
    config::Config,
    data_key::DataKey,
    http,
    ingest::Writer,
    key_binding::OtherKey,
    server,
    sockets::Listener,
    store::{Memory, Store},
};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

/// Nothing here takes this long, unless it hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What a case is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Memory,
    Embedded,
    Program,
}

/// A running server. Its data and configuration lie in the folder it was started on.
pub enum Server {
    InProcess(Box<InProcess>),
    Program(Program),
}

impl Server {
    /// Starts on a folder that holds `msgcube.toml`.
    pub fn start(target: Target, folder: &Path, now_s: i64) -> Server {
        match target {
            Target::Program => Server::Program(Program::start(folder, now_s)),
            _ => Server::InProcess(Box::new(InProcess::start(target, folder, now_s))),
        }
    }

    /// The public address, or the operator's.
    pub fn address(&self, admin: bool) -> SocketAddr {
        let (public, operator) = match self {
            Server::InProcess(server) => (server.public, server.admin),
            Server::Program(program) => (program.public, program.admin),
        };
        if admin { operator.expect("the case sets admin_listen") } else { public }
    }

    /// Ends gracefully.
    pub fn stop(self) {
        match self {
            Server::InProcess(server) => server.stop(),
            Server::Program(program) => program.stop(),
        }
    }
}

/// The router, served by this process.
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
    fn start(target: Target, folder: &Path, now_s: i64) -> InProcess {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut config = Config::read(&folder.join("msgcube.toml"), |_| None).unwrap();
        config.data_dir = folder.join("data");
        let clock = Clock::starting_at(now_s);
        let (app, writer) = match target {
            Target::Memory => {
                let key = DataKey::load_or_create(&config.data_key_file).unwrap();
                App::start_with(config, clock, Store::Memory(Memory::default()), key).unwrap()
            }
            _ => App::start(config, clock, OtherKey::Refuse).unwrap(),
        };
        let app = Arc::new(app);
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
        self.runtime.block_on(server::stop(self.app, self.writer)).unwrap();
        // Closed connections hold the store for a moment yet, and it must be free for the next start.
        let start = Instant::now();
        while gone.strong_count() > 0 {
            assert!(start.elapsed() < WAIT_MAX, "a connection does not end");
            std::thread::yield_now();
        }
    }
}

/// The real program.
pub struct Program {
    child: Child,
    /// Kept open, so that the program can go on writing to it.
    _output: BufReader<std::process::ChildStdout>,
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Program {
    fn start(folder: &Path, now_s: i64) -> Program {
        let now = jiff::Timestamp::from_second(now_s).unwrap().to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_msgcube"))
            .args(["serve", "--config", "msgcube.toml", "--listen", "127.0.0.1:0", "--now", &now])
            .current_dir(folder)
            .env_remove("MSGCUBE_ADMIN_KEY")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut address = |what: &str| {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            let text = line.trim_end().strip_prefix(what).unwrap_or_else(|| panic!("{line:?}"));
            text.parse().unwrap()
        };
        let public = address("listening on http://");
        let config = std::fs::read_to_string(folder.join("msgcube.toml")).unwrap();
        let admin = config.contains("admin_listen").then(|| address("admin on http://"));
        Program { child, _output: output, public, admin }
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "SIGTERM ends it with status 0, not {status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already, if it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
