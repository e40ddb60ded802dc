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

use crate::probe::Lines;
use finding::{Finding, Group, Section, State};
use installation::Installation;
use serving::Served;

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
pub type ReadConfig<'a> = &'a (dyn Fn(&Path) -> Result<Config, String> + Sync);

/// What the command finds around it.
#[derive(Clone, Debug)]
pub struct Around {
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
    around: Around,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<bool, io::Error> {
    // Machines read no language.
    let lang = if args.json { Lang::En } else { around.lang };
    let sections = match read_config(&args.config) {
        Err(why) => vec![of(Group::Configuration, vec![configuration::unusable(lang, &why)])],
        Ok(config) => examine(&args, Around { lang, ..around.clone() }, config).await,
    };
    if args.json {
        writeln!(out, "{}", report::json(&sections))?;
    } else {
        write!(out, "{}", report::text(&sections, lang, around.colours, around.columns))?;
    }
    Ok(report::Totals::of(&sections).problems == 0)
}

fn of(group: Group, findings: Vec<Finding>) -> Section {
    Section { group, findings }
}

async fn examine(args: &DoctorArgs, around: Around, config: Config) -> Vec<Section> {
    let server = match &args.server {
        Some(server) => Some(server.clone()),
        None if config.listen.port() == 0 => None,
        None => Address::parse_base(&config.base_url()).ok(),
    };
    let scene = Arc::new(Installation {
        config,
        lang: around.lang,
        clock: around.clock,
        lines: Lines::also_trusting([]),
        server,
        server_is_here: args.server.as_ref().is_none_or(is_loopback),
        url: args.url.clone(),
        appid: args.appid.clone(),
        plays_posts: !args.no_post,
    });
    let progress = tokio::spawn(show_progress(scene.lang));
    let mut configuration = configuration::check(&scene, &args.config);
    let (clock, disk, https, served) = tokio::join!(
        clock_offset::check(&scene),
        disk::check(&scene),
        https::check(&scene),
        serving_and_accounts(&scene)
    );
    progress.abort();
    // Its last lines go with it.
    let _ = progress.await;
    let (server, accounts) = served;
    configuration.extend(unknown_account(&scene, &accounts));
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
fn unknown_account(scene: &Installation, accounts: &[Section]) -> Option<Finding> {
    let appid = scene.appid.as_deref().filter(|_| accounts.is_empty())?;
    let found =
        text!("neither the configuration nor the running server has an account or platform {appid}", appid)
            .in_lang(scene.lang);
    let remedy = text!("correct --appid").in_lang(scene.lang);
    Some(Finding::problem("appid", found, remedy))
}

/// The server first: what it says decides what can be played to its accounts.
async fn serving_and_accounts(scene: &Arc<Installation>) -> (Vec<Finding>, Vec<Section>) {
    let (served, findings) = serving::check(scene).await;
    let served = Arc::new(served);
    let places = Arc::new(Semaphore::new(ACCOUNTS_AT_ONCE));
    let tasks: Vec<_> = scene
        .accounts()
        .cloned()
        .map(|config| {
            let (scene, served, places) = (scene.clone(), served.clone(), places.clone());
            tokio::spawn(async move {
                // Never closed, so there is always a place in the end.
                let _place = places.acquire().await;
                account(&scene, &config, &served).await
            })
        })
        .collect();
    let mut sections = Vec::new();
    for task in tasks {
        sections.extend(task.await.ok());
    }
    sections.extend(added_accounts(scene, &served));
    sections.extend(platforms(scene, &served).await);
    (findings, sections)
}

/// One after the other: hardly anybody has more than one.
async fn platforms(scene: &Installation, served: &Served) -> Vec<Section> {
    let mut sections = Vec::new();
    for config in scene.config.components.iter().filter(|config| scene.wants(&config.appid)) {
        let findings = platform::check(scene, config, served).await;
        sections.push(of(Group::Platform(config.appid.clone()), findings));
    }
    sections
}

async fn account(scene: &Installation, config: &AccountConfig, served: &Served) -> Section {
    let callbacks = async {
        let relay = match &config.relay {
            Some(relay) => relay::check(scene, relay).await,
            None => Vec::new(),
        };
        let is_bot_well = relay.iter().all(|finding| finding.state == State::Ok);
        let mut findings = callback::check(scene, config, served, is_bot_well).await;
        findings.extend(relay);
        findings
    };
    let token = async {
        match &scene.config.upstream {
            Some(upstream) => Some(real_token::check(scene, upstream, config).await),
            None => None,
        }
    };
    let (callbacks, token) = tokio::join!(callbacks, token);
    let mut findings = configuration::account(scene.lang, config);
    findings.extend(callbacks);
    findings.extend(token);
    let listed = served.accounts.iter().flatten().find(|listed| listed["appid"] == config.appid);
    findings.extend(listed.map(|listed| coverage::check(scene, listed)));
    of(Group::Account(config.appid.clone()), findings)
}

/// Accounts that stand in no file: their secrets are the server's alone. Of many only those with something to say.
fn added_accounts(scene: &Installation, served: &Served) -> Vec<Section> {
    let is_configured = |appid: &str| scene.config.accounts.iter().any(|account| account.appid == appid);
    let listed = served.accounts.iter().flatten();
    let mut sections: Vec<Section> = listed
        .filter_map(|listed| {
            let appid =
                listed["appid"].as_str().filter(|appid| scene.wants(appid) && !is_configured(appid))?;
            Some(of(Group::Account(appid.to_owned()), vec![coverage::check(scene, listed)]))
        })
        .collect();
    if sections.len() > ADDED_SHOWN_MAX {
        sections.retain(|section| section.findings.iter().any(|finding| finding.state != State::Ok));
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
    let bar = Cleared(bar);
    bar.0.enable_steady_tick(Duration::from_millis(100));
    std::future::pending::<()>().await;
}

/// Wiped off the terminal when dropped.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
