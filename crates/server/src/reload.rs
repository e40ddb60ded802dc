//! Reading the configuration again while serving: a wrong file changes nothing, what needs a restart is named and keeps
//! its value, everything else holds afterwards as after a start with the file as it is.

use std::{collections::HashSet, fmt, net::SocketAddr, sync::Arc};

use counting::Reason;
use storage::{
    metrics::Metrics,
    store::{NotDurable, Store},
    writer::Ingest,
};
use system::{clock::Clock, current::Current, data_key::DataKey};

use crate::{
    accounts::{
        platform_issuer::{Platform, Platforms},
        platform_receiver::{Gone, Received},
        registry::{Account, Accounts},
    },
    auth::access_token::Tokens,
    config::{AccountConfig, AccountsChanged, Config, Difference},
    forward::upstream_token::UpstreamTokens,
    net::tls::{Pair, Tls},
};

/// Names of one sort that a line of the log shows.
const NAMES_MAX: usize = 20;

/// Where the configuration comes from: the file with what the command line says otherwise. An error is what a start
/// would say.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Result<Config, String> + Send + Sync>);

impl Source {
    /// Reads it so.
    pub fn new(read: impl Fn() -> Result<Config, String> + Send + Sync + 'static) -> Source {
        Source(Arc::new(read))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file; the text is that of a start.
    #[error("{0}")]
    Wrong(String),
    /// As when an editor has just emptied it.
    #[error(
        "the configuration has no [[account]] and no [[component]], and {0} of its accounts are served: perhaps the file is being written. Reload once it is complete; if it is meant so, restart"
    )]
    Empty(usize),
    /// Nothing to read.
    #[error("this msgcube was started without a configuration file, so there is nothing to reload")]
    NoFile,
    /// The disk.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

/// What reading the configuration again needs.
#[derive(Clone, Copy, Debug)]
pub struct Reload<'a> {
    pub source: Option<&'a Source>,
    pub config: &'a Current<Config>,
    /// The socket in use.
    pub address: Option<SocketAddr>,
    pub clock: &'a Clock,
    pub store: &'a Arc<Store>,
    pub ingest: &'a Ingest,
    pub tokens: &'a Tokens,
    pub key: &'a DataKey,
    pub metrics: &'a Arc<Metrics>,
    pub accounts: &'a Accounts,
    pub components: &'a Platforms,
    pub received: &'a Received,
    pub upstream: &'a Current<Option<Arc<UpstreamTokens>>>,
    pub tls: Option<&'a Tls>,
}

/// All that is needed to serve the new configuration: nothing of it can fail any more but the disk.
struct Prepared {
    config: Config,
    difference: Difference,
    certificate: Option<Pair>,
    accounts: Vec<Arc<Account>>,
    gone: Vec<Gone>,
    components: Vec<Platform>,
}

impl Reload<'_> {
    /// Reads the file and serves what it says. What changed, and what did not because it needs a restart.
    pub async fn run(self) -> Result<Difference, ReloadError> {
        let done = self.read_and_serve().await;
        match &done {
            Ok(difference) => say(difference),
            Err(error) => {
                tracing::error!(%error, "the configuration was not reloaded, and nothing was changed");
            }
        }
        done
    }

    async fn read_and_serve(self) -> Result<Difference, ReloadError> {
        // Also against changes of accounts at run time.
        let _one_at_a_time = self.accounts.changing.lock().await;
        let source = self.source.ok_or(ReloadError::NoFile)?.clone();
        let file = blocking(move || (source.0)()).await?;
        let former = self.config.get();
        if file.accounts.is_empty() && file.components.is_empty() && !former.accounts.is_empty() {
            return Err(ReloadError::Empty(former.accounts.len()));
        }
        let (config, difference) = former.reloaded(file);
        let prepared = self.prepare(&former, config, difference).await?;
        self.serve(&former, prepared).await
    }

    async fn prepare(
        self,
        former: &Config,
        config: Config,
        difference: Difference,
    ) -> Result<Prepared, ReloadError> {
        let wrong = |error: &dyn fmt::Display| ReloadError::Wrong(error.to_string());
        // What keeps its former value may not go together with what is new.
        config.check_components().map_err(|flaw| wrong(&flaw))?;
        let at_run_time = self.accounts.select(|account| !account.is_configured);
        let all = config.accounts.iter().chain(at_run_time.iter().map(|account| &account.config));
        config.check_loops(&all.collect::<Vec<_>>(), self.address).map_err(|flaw| wrong(&flaw))?;
        let certificate = match (config.tls.clone(), &former.tls) {
            (Some(files), Some(_)) => {
                Some(blocking(move || Pair::read(&files).map_err(|error| error.to_string())).await?)
            }
            _ => None,
        };
        let changed = config.components.iter().filter_map(|component| {
            let served =
                self.components.get(&component.appid).filter(|served| served.config != *component)?;
            Some(served.with(component.clone()))
        });
        let components = changed.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let accounts = self.accounts_to_put(&config.accounts, &difference.accounts)?;
        let gone = self.accounts_gone(&difference.accounts)?;
        Ok(Prepared { config, difference, certificate, accounts, gone, components })
    }

    fn accounts_to_put(
        self,
        configs: &[AccountConfig],
        changed: &AccountsChanged,
    ) -> Result<Vec<Arc<Account>>, ReloadError> {
        let is_new = |appid: &String| changed.added.binary_search(appid).is_ok();
        let is_other =
            |appid: &String| changed.changed.binary_search_by(|account| account.appid.cmp(appid)).is_ok();
        let wanted = configs.iter().filter(|config| is_new(&config.appid) || is_other(&config.appid));
        let accounts = wanted.map(|config| {
            // The number of a new one becomes durable together with its serving.
            let account = self.accounts.configured(self.store.reserve(&config.appid), config.clone());
            account.map_err(|error| ReloadError::Wrong(error.to_string()))
        });
        accounts.collect()
    }

    fn accounts_gone(self, changed: &AccountsChanged) -> Result<Vec<Gone>, ReloadError> {
        let served = changed.removed.iter().filter_map(|appid| self.accounts.get(appid));
        let gone = served.map(|former| {
            let stored = self.accounts.added_at_run_time(&former.config.appid, self.store, self.key);
            let stored = stored.map_err(|error| ReloadError::Wrong(error.to_string()))?;
            Ok(Gone { former, stored })
        });
        gone.collect()
    }

    async fn serve(self, former: &Config, prepared: Prepared) -> Result<Difference, ReloadError> {
        let Prepared { config, mut difference, certificate, accounts, gone, components } = prepared;
        let begun_s = self.clock.now_s();
        // Those that are not served otherwise: their tokens end.
        let is_over = |gone: &&Gone| {
            gone.stored.is_none() && self.received.standings(&gone.former.config.appid).is_empty()
        };
        let removed: Vec<String> =
            gone.iter().filter(is_over).map(|gone| gone.former.config.appid.clone()).collect();
        let moved = if removed.is_empty() {
            self.received.exchange(accounts, gone, Vec::new()).await?
        } else {
            let ended = |appid: &String| removed.binary_search(appid).is_ok();
            let revocation = self.tokens.revocation(|holder| ended(&holder.appid)).await;
            let moved = self.received.exchange(accounts, gone, revocation.changes().collect()).await?;
            revocation.complete();
            moved
        };
        // For a moment a callback of theirs could have been answered with 404.
        let now_s = self.clock.now_s();
        let lose = |number| self.ingest.lose(number, begun_s, now_s + 1, Reason::NotRunning);
        moved.into_iter().for_each(lose);
        components.into_iter().for_each(|component| self.components.put(component));
        self.serve_upstream(&config);
        if let (Some(tls), Some(certificate)) = (self.tls, certificate)
            && tls.serve(certificate)
            && !difference.settings.iter().any(|name| name == "tls.cert")
        {
            difference.settings.push("tls.cert".to_owned());
        }
        let said: HashSet<String> = former.warnings().into_iter().collect();
        config.warnings().iter().filter(|warning| !said.contains(*warning)).for_each(|warning| {
            tracing::warn!("{warning}");
        });
        self.config.put(config);
        Ok(difference)
    }

    fn serve_upstream(self, config: &Config) {
        let served = self.upstream.get();
        if served.as_ref().as_ref().map(|upstream| &upstream.config) == config.upstream.as_ref() {
            return;
        }
        let next = config.upstream.clone().map(|settings| match &*served {
            Some(upstream) => upstream.with(settings),
            None => UpstreamTokens::new(
                settings,
                self.store,
                self.key.clone(),
                self.clock.clone(),
                self.ingest.clone(),
                self.metrics.clone(),
            ),
        });
        self.upstream.put(next.map(Arc::new));
    }
}

/// Files may lie on a disk that takes its time.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ReloadError> {
    let read = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()));
    read.map_err(ReloadError::Wrong)
}

fn say(difference: &Difference) {
    let AccountsChanged { added, changed, removed } = &difference.accounts;
    let changed: Vec<String> =
        changed.iter().map(|account| format!("{} ({})", account.appid, account.keys.join(", "))).collect();
    tracing::info!(
        added = some(added),
        changed = some(&changed),
        removed = some(removed),
        settings = some(&difference.settings),
        "the configuration was reloaded"
    );
    if !difference.needs_restart.is_empty() {
        let settings = some(&difference.needs_restart);
        tracing::warn!(settings, "changed in the configuration file, and used only after a restart");
    }
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
