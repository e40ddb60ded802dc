//! Processes that share a store: what one decides holds at the others, and of two that decide at once one is first.

mod accounts;
mod issued;
mod real_tokens;
mod received;

use std::sync::Arc;

use storage::{
    store::{Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};

use crate::{config::Config, http::state::App};

const NOW_S: i64 = 1_700_000_000;
const RECEIVES: &str = "wxreceives";
const SERVES: &str = "wxserves";
const CONFIGURED: &str = "wxconfigured";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// One process.
struct Process {
    app: Arc<App>,
    writer: Writer,
}

/// The processes, and their folder.
struct Scene {
    folder: tempfile::TempDir,
    upstream: String,
    unstarted: Vec<Memory>,
}

impl Scene {
    /// So many processes, not started. `upstream` is added to the configuration.
    fn new(processes: usize, upstream: &str) -> Scene {
        Scene {
            folder: tempfile::tempdir().unwrap(),
            upstream: upstream.to_owned(),
            unstarted: Memory::group(processes),
        }
    }

    /// Starts one more. It is told of what others change.
    fn start(&mut self) -> Process {
        self.start_at(NOW_S)
    }

    /// Starts one more whose clock says this.
    fn start_at(&mut self, now_s: i64) -> Process {
        let secrets = format!("secret = \"s\"\ntoken = \"t\"\nencoding_aes_key = \"{KEY}\"\n");
        let text = format!(
            "[[account]]\nappid = \"{CONFIGURED}\"\n{secrets}\
             [[component]]\nrole = \"receive\"\nappid = \"{RECEIVES}\"\n{secrets}\
             [[component]]\nappid = \"{SERVES}\"\npush_url = \"http://127.0.0.1:9/\"\n{secrets}{}",
            self.upstream
        );
        let config = Config::parse(&text, &self.folder.path().join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let store = self.unstarted.remove(0);
        // A start reads all facts.
        drop(store.turn_blocking().unwrap());
        let store = Store::Memory(store);
        let (app, writer) = App::start_with(config, Clock::starting_at(now_s), store, key).unwrap();
        Process { app, writer }
    }
}

impl Process {
    /// What it holds in memory, once it knows everything.
    async fn described(&self) -> Vec<String> {
        self.app.store.fresh().await.unwrap();
        let mut lines = self.app.platform_receiver.described();
        lines.extend(self.app.platforms.described());
        lines
    }

    async fn stop(self) {
        drop(self.app);
        tokio::task::spawn_blocking(|| self.writer.stop()).await.unwrap();
    }
}
