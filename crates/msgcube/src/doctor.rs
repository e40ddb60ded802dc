//! `msgcube doctor`: looks at an installation as its operator would, from the configuration to what WeChat meets, and
//! says what to do. It changes nothing and prints no secret.

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
mod serving;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use i18n::Lang;
use i18n::text;
use indicatif::{ProgressBar, ProgressStyle};
use msgcube_client::http::Address;
use server::config::{AccountConfig, Config};
use system::clock::Clock;
use tokio::sync::Semaphore;

use crate::probe::Prober;
use finding::{Finding, Group, Section, Severity};
use installation::Installation;
use serving::ServerState;

/// Accounts that are looked at side by side.
const ACCOUNTS_AT_ONCE: usize = 8;
/// Accounts added at run time that are shown even if nothing is to be said of them.
const ADDED_SHOWN_MAX: usize = 50;
/// Whoever waits longer is shown that something happens.
const PATIENCE: Duration = Duration::from_millis(400);

/// What `msgcube doctor` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
It plays WeChat's check of the address and messages of 1970 by the user msgcube-doctor: they are answered as usual,
kept aside once, and never counted. Behind a relay they reach the bot, which may answer them; --no-post leaves them out.
A third-party platform's push_url gets a GET with a wrong signature, and none of the events that are played.
Status 0: no problems; 1: problems.")]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(long, default_value = "msgcube.toml", value_name = "FILE")]
    config: PathBuf,
    /// Where WeChat reaches it, such as https://wx.example.com: callbacks are played there
    #[arg(long, value_parser = parse_base)]
    url: Option<Address>,
    /// Where msgcube listens, if not where the configuration says
    #[arg(long, value_name = "URL", value_parser = parse_base)]
    server: Option<Address>,
    /// Look at this account or platform only
    #[arg(long)]
    appid: Option<String>,
    /// Play no messages: only WeChat's check of the address
    #[arg(long)]
    no_post: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn parse_base(text: &str) -> Result<Address, String> {
    Address::parse_base(text)
}

/// Reads a configuration file, or says why not.
pub type ConfigReader<'a> = &'a (dyn Fn(&Path) -> Result<Config, String> + Sync);

/// What the command finds around it.
#[derive(Clone, Debug)]
pub struct RunContext {
    pub lang: Lang,
    pub clock: Clock,
    /// The output may be coloured.
    pub colours: bool,
    /// How wide it is; none: as wide as may be.
    pub columns: Option<usize>,
}

/// Looks at everything and prints what was found; whether there are no problems.
pub async fn run(
    args: DoctorArgs,
    context: RunContext,
    read_config: ConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<bool, io::Error> {
    let sections = match read_config(&args.config) {
        Err(why) => vec![of(Group::Configuration, vec![configuration::unusable(&why)])],
        Ok(config) => examine(&args, &context, config).await,
    };
    if args.json {
        writeln!(out, "{}", report::json(&sections))?;
    } else {
        write!(out, "{}", report::text(&sections, context.lang, context.colours, context.columns))?;
    }
    Ok(report::FindingCounts::of(&sections).problems == 0)
}

fn of(group: Group, findings: Vec<Finding>) -> Section {
    Section { group, findings }
}

async fn examine(args: &DoctorArgs, context: &RunContext, config: Config) -> Vec<Section> {
    let server = match &args.server {
        Some(server) => Some(server.clone()),
        None if config.listen.port() == 0 => None,
        None => Address::parse_base(&config.base_url()).ok(),
    };
    let installation = Arc::new(Installation {
        config,
        clock: context.clock.clone(),
        lines: Prober::also_trusting([]),
        server,
        server_is_here: args.server.as_ref().is_none_or(is_loopback),
        url: args.url.clone(),
        appid: args.appid.clone(),
        plays_posts: !args.no_post,
    });
    let progress = tokio::spawn(show_progress(context.lang));
    let mut configuration = configuration::check(&installation, &args.config);
    let (clock, disk, https, served) = tokio::join!(
        clock_offset::check(&installation),
        disk::check(&installation),
        https::check(&installation),
        serving_and_accounts(&installation)
    );
    progress.abort();
    // Its last lines go with it.
    let _ = progress.await;
    let (server, accounts) = served;
    configuration.extend(unknown_account(&installation, &accounts));
    let mut sections = vec![
        of(Group::Configuration, configuration),
        of(Group::Clock, clock),
        of(Group::Disk, disk),
        of(Group::Https, https),
        of(Group::Server, server),
    ];
    sections.extend(accounts);
    sections
}

/// Whether an address never leaves this machine.
fn is_loopback(address: &Address) -> bool {
    let uri = address.below("/").unwrap_or_default();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An account that was asked for stands in the configuration, or the running server has it.
fn unknown_account(installation: &Installation, accounts: &[Section]) -> Option<Finding> {
    let appid = installation.appid.as_deref().filter(|_| accounts.is_empty())?;
    let found =
        text!("neither the configuration nor the running server has an account or platform {appid}", appid);
    let remedy = text!("correct --appid");
    Some(Finding::problem("appid", found, remedy))
}

/// The server first: what it says decides what can be played to its accounts.
async fn serving_and_accounts(installation: &Arc<Installation>) -> (Vec<Finding>, Vec<Section>) {
    let (served, findings) = serving::check(installation).await;
    let served = Arc::new(served);
    let places = Arc::new(Semaphore::new(ACCOUNTS_AT_ONCE));
    let tasks: Vec<_> = installation
        .accounts()
        .cloned()
        .map(|config| {
            let (installation, served, places) = (installation.clone(), served.clone(), places.clone());
            tokio::spawn(async move {
                // Never closed, so there is always a place in the end.
                let _place = places.acquire().await;
                account(&installation, &config, &served).await
            })
        })
        .collect();
    let mut sections = Vec::new();
    for task in tasks {
        sections.extend(task.await.ok());
    }
    sections.extend(added_accounts(installation, &served));
    sections.extend(platforms(installation, &served).await);
    (findings, sections)
}

/// One after the other: hardly anybody has more than one.
async fn platforms(installation: &Installation, served: &ServerState) -> Vec<Section> {
    let mut sections = Vec::new();
    for config in installation.config.components.iter().filter(|config| installation.wants(&config.appid)) {
        let findings = platform::check(installation, config, served).await;
        sections.push(of(Group::Platform(config.appid.clone()), findings));
    }
    sections
}

async fn account(installation: &Installation, config: &AccountConfig, served: &ServerState) -> Section {
    let callbacks = async {
        let relay = match &config.relay {
            Some(relay) => relay::check(installation, relay).await,
            None => Vec::new(),
        };
        let is_bot_well = relay.iter().all(|finding| finding.state == Severity::Ok);
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
    of(Group::Account(config.appid.clone()), findings)
}

/// Accounts that stand in no file: their secrets are the server's alone. Of many only those with something to say.
fn added_accounts(installation: &Installation, served: &ServerState) -> Vec<Section> {
    let is_configured =
        |appid: &str| installation.config.accounts.iter().any(|account| account.appid == appid);
    let listed = served.accounts.iter().flatten();
    let mut sections: Vec<Section> = listed
        .filter_map(|listed| {
            let appid = listed["appid"]
                .as_str()
                .filter(|appid| installation.wants(appid) && !is_configured(appid))?;
            Some(of(Group::Account(appid.to_owned()), vec![coverage::check(installation, listed)]))
        })
        .collect();
    if sections.len() > ADDED_SHOWN_MAX {
        sections.retain(|section| section.findings.iter().any(|finding| finding.state != Severity::Ok));
    }
    sections
}

/// A sign of life on a terminal, for whoever has to wait; the bar itself is silent elsewhere.
async fn show_progress(lang: Lang) {
    tokio::time::sleep(PATIENCE).await;
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(text!("examining").in_lang(lang));
    let bar = ClearedOnDrop(bar);
    bar.0.enable_steady_tick(Duration::from_millis(100));
    std::future::pending::<()>().await;
}

/// Wiped off the terminal when dropped.
struct ClearedOnDrop(ProgressBar);

impl Drop for ClearedOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
