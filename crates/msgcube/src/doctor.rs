//! `msgcube doctor`: checks an installation, from the configuration to the address that WeChat calls, and says what to
//! do. It changes nothing and prints no secret.

mod callback;
mod clock_offset;
mod configuration;
mod coverage;
mod disk;
mod finding;
mod https;
mod installation;
mod platform;
mod real_token;
mod refused;
mod relay;
mod report;
pub mod servers;
mod serving;

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use i18n::{Lang, text};
use indicatif::{ProgressBar, ProgressStyle};
use msgcube_client::http::Address;
use server::config::{AccountConfig, Config};
use system::clock::Clock;
use tokio::sync::Semaphore;

use self::{
    finding::{Finding, Group, Section, Severity},
    installation::Installation,
    serving::ServerState,
};
use crate::{probe::Prober, server_args::ServerAddressArgs};

/// Accounts that are checked at the same time.
const ACCOUNTS_AT_ONCE: usize = 8;
/// Up to this number, accounts added at run time are shown even without a problem.
const ADDED_SHOWN_MAX: usize = 50;
/// After this time a progress spinner is shown.
const SPINNER_DELAY: Duration = Duration::from_millis(400);

/// Arguments of `msgcube doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
It plays WeChat's check of the address and messages of 1970 from the user msgcube-doctor: they are answered as usual,
quarantined once, and never counted. Behind a relay they reach the bot, which may answer them; --no-post leaves them out.
A third-party platform's push_url gets a GET with a wrong signature, and none of the events that are played.
Status 0: no problems; 1: problems.")]
pub struct DoctorArgs {
    #[command(flatten)]
    address: ServerAddressArgs,
    /// Address where WeChat reaches the server, such as https://wx.example.com; callbacks are played there
    #[arg(long, value_parser = Address::parse_base)]
    url: Option<Address>,
    /// Check only this account or platform
    #[arg(long)]
    appid: Option<String>,
    /// Play no messages: only WeChat's check of the address
    #[arg(long)]
    no_post: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads a configuration file. The error is a sentence.
pub type ConfigReader<'a> = &'a (dyn Fn(&Path) -> Result<Config, String> + Sync);

/// The language, clock and terminal of a command.
#[derive(Clone, Debug)]
pub struct RunContext {
    pub lang: Lang,
    pub clock: Clock,
    /// Whether the output may have colours.
    pub colours: bool,
    /// Width of the output in columns. None: no limit.
    pub columns: Option<usize>,
}

/// Runs all checks and prints the findings. Returns whether there are no problems.
pub async fn run(
    args: DoctorArgs,
    context: RunContext,
    read_config: ConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<bool, io::Error> {
    let sections = match read_config(args.address.config_path()) {
        Err(why) => vec![section(Group::Configuration, vec![configuration::unusable(&why)])],
        Ok(config) => Box::pin(examine(&args, &context, config)).await,
    };
    print_report(&sections, args.json, &context, out)
}

/// Prints findings. Returns whether there are no problems.
///
/// # Errors
/// Writing failed.
pub fn print_report(
    sections: &[Section],
    json: bool,
    context: &RunContext,
    out: &mut (dyn Write + Send),
) -> Result<bool, io::Error> {
    if json {
        writeln!(out, "{}", report::json(sections))?;
    } else {
        write!(out, "{}", report::text(sections, context.lang, context.colours, context.columns))?;
    }
    Ok(report::FindingCounts::of(sections).problems == 0)
}

fn section(group: Group, findings: Vec<Finding>) -> Section {
    Section { group, findings }
}

async fn examine(args: &DoctorArgs, context: &RunContext, config: Config) -> Vec<Section> {
    let server = match &args.address.server {
        Some(server) => Some(server.clone()),
        None if config.listen.port() == 0 => None,
        None => Address::parse_base(&config.base_url()).ok(),
    };
    let installation = Arc::new(Installation {
        config,
        clock: context.clock.clone(),
        prober: Prober::also_trusting([]),
        server,
        server_is_here: args.address.server.as_ref().is_none_or(Address::is_this_machine),
        url: args.url.clone(),
        appid: args.appid.clone(),
        plays_posts: !args.no_post,
    });
    let progress = tokio::spawn(show_progress(context.lang));
    let mut configuration = configuration::check(&installation, args.address.config_path());
    let (clock, disk, https, served) = tokio::join!(
        clock_offset::check(&installation),
        disk_or_servers(&installation),
        https::check(&installation),
        serving_and_accounts(&installation)
    );
    progress.abort();
    // Wait until the spinner is removed from the terminal.
    let _ = progress.await;
    let (server, accounts) = served;
    configuration.extend(unknown_account(&installation, &accounts));
    let mut sections = vec![section(Group::Configuration, configuration), section(Group::Clock, clock)];
    sections.extend(disk);
    sections.extend([section(Group::Https, https), section(Group::Server, server)]);
    sections.extend(accounts);
    sections
}

/// Where the messages are: in `data_dir`, or in the servers of `[store]`.
async fn disk_or_servers(installation: &Installation) -> Vec<Section> {
    match &installation.config.store {
        Some(store) => servers::check(store).await,
        None => vec![section(Group::Disk, disk::check(installation).await)],
    }
}

/// A finding if neither the configuration nor the running server has the account of `--appid`.
fn unknown_account(installation: &Installation, accounts: &[Section]) -> Option<Finding> {
    let appid = installation.appid.as_deref().filter(|_| accounts.is_empty())?;
    let found =
        text!("neither the configuration nor the running server has an account or platform {appid}", appid);
    let remedy = text!("correct --appid");
    Some(Finding::problem("appid", found, remedy))
}

/// Checks the server first: its answers decide which callbacks can be played.
async fn serving_and_accounts(installation: &Arc<Installation>) -> (Vec<Finding>, Vec<Section>) {
    let (served, findings) = serving::check(installation).await;
    let served = Arc::new(served);
    let permits = Arc::new(Semaphore::new(ACCOUNTS_AT_ONCE));
    let tasks: Vec<_> = installation
        .accounts()
        .cloned()
        .map(|config| {
            let (installation, served, permits) = (installation.clone(), served.clone(), permits.clone());
            tokio::spawn(async move {
                // The semaphore is never closed, so this always succeeds.
                let _permit = permits.acquire().await;
                check_account(&installation, &config, &served).await
            })
        })
        .collect();
    let mut sections = Vec::new();
    for task in tasks {
        sections.extend(task.await.ok());
    }
    sections.extend(added_accounts(installation, &served));
    sections.extend(check_platforms(installation, &served).await);
    (findings, sections)
}

/// Checks the platforms one after the other: most installations have at most one.
async fn check_platforms(installation: &Installation, served: &ServerState) -> Vec<Section> {
    let mut sections = Vec::new();
    for config in installation.config.components.iter().filter(|config| installation.wants(&config.appid)) {
        let findings = platform::check(installation, config, served).await;
        sections.push(section(Group::Platform(config.appid.clone()), findings));
    }
    sections
}

async fn check_account(installation: &Installation, config: &AccountConfig, served: &ServerState) -> Section {
    let callbacks = async {
        let relay = match &config.relay {
            Some(relay) => relay::check(installation, relay).await,
            None => Vec::new(),
        };
        let is_bot_well = relay.iter().all(|finding| finding.severity == Severity::Ok);
        let mut findings = callback::check(installation, config, served, is_bot_well).await;
        findings.extend(relay);
        findings
    };
    let token = async {
        match &installation.config.upstream {
            Some(upstream) => Some(real_token::check(upstream, config).await),
            None => None,
        }
    };
    let (callbacks, token) = tokio::join!(callbacks, token);
    let mut findings = configuration::account(config);
    findings.extend(callbacks);
    findings.extend(token);
    let listed = served.accounts.iter().flatten().find(|listed| listed["appid"] == config.appid);
    findings.extend(listed.map(|listed| coverage::check(installation, listed)));
    section(Group::Account(config.appid.clone()), findings)
}

/// Accounts added at run time. Only the server knows their secrets, so only their coverage is checked. Of many accounts
/// only those with a finding are shown.
fn added_accounts(installation: &Installation, served: &ServerState) -> Vec<Section> {
    let is_configured =
        |appid: &str| installation.config.accounts.iter().any(|account| account.appid == appid);
    let listed = served.accounts.iter().flatten();
    let mut sections: Vec<Section> = listed
        .filter_map(|listed| {
            let appid = listed["appid"]
                .as_str()
                .filter(|appid| installation.wants(appid) && !is_configured(appid))?;
            Some(section(Group::Account(appid.to_owned()), vec![coverage::check(installation, listed)]))
        })
        .collect();
    if sections.len() > ADDED_SHOWN_MAX {
        sections.retain(|section| section.findings.iter().any(|finding| finding.severity != Severity::Ok));
    }
    sections
}

/// Shows a spinner while the checks run. Without a terminal it prints nothing.
async fn show_progress(lang: Lang) {
    tokio::time::sleep(SPINNER_DELAY).await;
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(text!("examining").in_lang(lang));
    let bar = ClearedOnDrop(bar);
    bar.0.enable_steady_tick(Duration::from_millis(100));
    std::future::pending::<()>().await;
}

/// Removes the spinner from the terminal when dropped.
struct ClearedOnDrop(ProgressBar);

impl Drop for ClearedOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
