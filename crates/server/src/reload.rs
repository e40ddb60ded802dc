//! Reloads the configuration while serving. A wrong file changes nothing. A setting that needs a restart keeps its
//! value and is reported. Everything else is then as after a start with the new file.

use std::{collections::HashSet, fmt, sync::Arc};

use counting::Reason;
use storage::{decision::Decision, metrics::Metrics, store::NotDurable};
use system::current::Current;

use crate::{
    accounts::{
        platform_issuer::Platform, platform_receiver::RemovedAccount, registry::ServedAccount,
        service::AccountService,
    },
    auth::access_token::Revocation,
    config::{AccountConfig, AccountsChanged, Config, Difference},
    forward::upstream_token::UpstreamTokens,
    net::tls::{CertificateAndKey, Tls},
};

/// Limit of names of each kind in a log line.
const NAMES_MAX: usize = 20;

/// Reads the configuration: the file, overridden by the command line. An error has the same text as at a start.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Result<Config, String> + Send + Sync>);

impl Source {
    /// `read` is called for each reload.
    pub fn new(read: impl Fn() -> Result<Config, String> + Send + Sync + 'static) -> Source {
        Source(Arc::new(read))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// Why the configuration was not reloaded.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong. The text is the same as at a start.
    #[error("{0}")]
    Wrong(String),
    /// The file is empty, for example because an editor is saving it.
    #[error(
        "the configuration has no [[account]] and no [[component]], and {0} of its accounts are served: perhaps the file is being written. Reload once it is complete; if it is meant so, restart"
    )]
    Empty(usize),
    /// There is no configuration file.
    #[error("this msgcube was started without a configuration file, so there is nothing to reload")]
    NoFile,
    /// The disk failed.
    #[error("{0}")]
    NotDurable(#[from] NotDurable),
}

/// What a reload needs.
#[derive(Clone, Copy, Debug)]
pub struct Reload<'a> {
    /// Changes accounts.
    pub service: AccountService<'a>,
    /// Reads the new configuration. None if msgcube was started without a file.
    pub source: Option<&'a Source>,
    /// Counts token requests, if `[upstream]` is new.
    pub metrics: &'a Arc<Metrics>,
    /// The connection to WeChat, which the reload replaces if `[upstream]` changed.
    pub upstream: &'a Current<Option<Arc<UpstreamTokens>>>,
    /// The certificate in use. None: plain HTTP.
    pub tls: Option<&'a Tls>,
}

/// Everything needed to serve the new configuration. After this step only the disk can fail.
struct Prepared {
    config: Config,
    difference: Difference,
    certificate: Option<CertificateAndKey>,
    accounts: Vec<Arc<ServedAccount>>,
    gone: Vec<RemovedAccount>,
    platforms: Vec<Platform>,
}

impl Reload<'_> {
    /// Reloads the configuration. Returns what changed, and what needs a restart.
    pub async fn run(self) -> Result<Difference, ReloadError> {
        let done = self.read_and_serve().await;
        match &done {
            Ok(difference) => log_difference(difference),
            Err(error) => {
                tracing::error!(%error, "the configuration was not reloaded; nothing was changed");
            }
        }
        done
    }

    async fn read_and_serve(self) -> Result<Difference, ReloadError> {
        // A slow disk must not delay those who change accounts, here or in another process.
        let _one_reload = self.service.accounts.reloading.lock().await;
        let source = self.source.ok_or(ReloadError::NoFile)?.clone();
        let file = blocking(move || (source.0)()).await?;
        let former = self.service.config.get();
        if file.accounts.is_empty() && file.components.is_empty() && !former.accounts.is_empty() {
            return Err(ReloadError::Empty(former.accounts.len()));
        }
        let (config, difference) = former.reloaded(file);
        self.check(&config)?;
        let certificate = match (config.tls.clone(), &former.tls) {
            (Some(files), Some(_)) => Some(
                blocking(move || CertificateAndKey::read(&files).map_err(|error| error.to_string())).await?,
            ),
            _ => None,
        };
        let decision = self.service.store.decide().await?;
        // Also prevents changes of accounts at run time meanwhile.
        let _one_at_a_time = self.service.accounts.changing.lock().await;
        self.check(&config)?;
        let prepared = self.prepare(config, difference, certificate)?;
        self.serve(decision, &former, prepared).await
    }

    /// Checks the configuration together with the accounts that were added at run time.
    fn check(self, config: &Config) -> Result<(), ReloadError> {
        let wrong = |error: &dyn fmt::Display| ReloadError::Wrong(error.to_string());
        // A setting that keeps its former value may conflict with a new one.
        config.check_components().map_err(|flaw| wrong(&flaw))?;
        let at_run_time = self.service.accounts.select(|account| !account.is_configured);
        let all = config.accounts.iter().chain(at_run_time.iter().map(|account| &account.config));
        config.check_loops(&all.collect::<Vec<_>>(), self.service.address).map_err(|flaw| wrong(&flaw))
    }

    fn prepare(
        self,
        config: Config,
        difference: Difference,
        certificate: Option<CertificateAndKey>,
    ) -> Result<Prepared, ReloadError> {
        let changed = config.components.iter().filter_map(|platform| {
            let served =
                self.service.platforms.get(&platform.appid).filter(|served| served.config != *platform)?;
            Some(served.with(platform.clone()))
        });
        let platforms =
            changed.collect::<Result<_, _>>().map_err(|error| ReloadError::Wrong(error.to_string()))?;
        let accounts = self.accounts_to_put(&config.accounts, &difference.accounts)?;
        let gone = self.accounts_gone(&difference.accounts)?;
        Ok(Prepared { config, difference, certificate, accounts, gone, platforms })
    }

    fn accounts_to_put(
        self,
        configs: &[AccountConfig],
        changed: &AccountsChanged,
    ) -> Result<Vec<Arc<ServedAccount>>, ReloadError> {
        let is_new = |appid: &String| changed.added.binary_search(appid).is_ok();
        let is_other =
            |appid: &String| changed.changed.binary_search_by(|account| account.appid.cmp(appid)).is_ok();
        let wanted = configs.iter().filter(|config| is_new(&config.appid) || is_other(&config.appid));
        let accounts = wanted.map(|config| {
            // The number of a new account becomes durable together with the start of its serving.
            let account =
                self.service.accounts.configured(self.service.store.reserve(&config.appid), config.clone());
            account.map_err(|error| ReloadError::Wrong(error.to_string()))
        });
        accounts.collect()
    }

    fn accounts_gone(self, changed: &AccountsChanged) -> Result<Vec<RemovedAccount>, ReloadError> {
        let served = changed.removed.iter().filter_map(|appid| self.service.accounts.get(appid));
        let gone = served.map(|former| {
            let stored = self.service.accounts.added_at_run_time(
                &former.config.appid,
                self.service.store,
                self.service.key,
            );
            let stored = stored.map_err(|error| ReloadError::Wrong(error.to_string()))?;
            Ok(RemovedAccount { former, stored })
        });
        gone.collect()
    }

    async fn serve(
        self,
        decision: Decision,
        former: &Config,
        prepared: Prepared,
    ) -> Result<Difference, ReloadError> {
        let Prepared { config, mut difference, certificate, accounts, gone, platforms } = prepared;
        let begun_s = self.service.clock.now_s();
        // Accounts that are not served for another reason. Their tokens end.
        let is_over = |gone: &&RemovedAccount| {
            gone.stored.is_none()
                && self.service.received.authorization_states(&gone.former.config.appid).is_empty()
        };
        let removed: Vec<String> =
            gone.iter().filter(is_over).map(|gone| gone.former.config.appid.clone()).collect();
        let ended = |appid: &String| removed.binary_search(appid).is_ok();
        let revocation = if removed.is_empty() {
            None
        } else {
            Some(self.service.tokens.revocation(|holder| ended(&holder.appid)).await)
        };
        let changes = revocation.iter().flat_map(Revocation::changes).collect();
        let (moved, decided) = self.service.received.exchange(decision, accounts, gone, changes).await?;
        revocation.into_iter().for_each(Revocation::complete);
        // For a moment their callbacks may have been answered with 404.
        let now_s = self.service.clock.now_s();
        for (number, since_s) in moved {
            let from_s = since_s.unwrap_or(begun_s);
            self.service.ingest.lose(number, from_s, now_s + 1, Reason::NotRunning);
        }
        platforms.into_iter().for_each(|platform| self.service.platforms.put(platform));
        self.serve_upstream(&config);
        drop(decided);
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
        self.service.config.put(config);
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
                self.service.store,
                self.service.key.clone(),
                self.service.clock.clone(),
                self.service.ingest.clone(),
                self.metrics.clone(),
            ),
        });
        self.upstream.put(next.map(Arc::new));
    }
}

/// A slow disk must not block the runtime.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, ReloadError> {
    let read = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()));
    read.map_err(ReloadError::Wrong)
}

fn log_difference(difference: &Difference) {
    let AccountsChanged { added, changed, removed } = &difference.accounts;
    let changed: Vec<String> =
        changed.iter().map(|account| format!("{} ({})", account.appid, account.keys.join(", "))).collect();
    tracing::info!(
        added = names_text(added),
        changed = names_text(&changed),
        removed = names_text(removed),
        settings = names_text(&difference.settings),
        "the configuration was reloaded"
    );
    if !difference.needs_restart.is_empty() {
        let settings = names_text(&difference.needs_restart);
        tracing::warn!(settings, "changed in the configuration file, and used only after a restart");
    }
}

fn names_text(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
