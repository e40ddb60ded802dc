//! The command line: what was typed becomes what is meant, and errors become words and an exit status.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use i18n::Lang;
use i18n::text;
use jiff::Timestamp;
use server::{
    config::{Config, ConfigError, listen_address},
    key_binding::OtherKey,
    net::sockets::{HandedOver, SocketError},
    reload::Source,
};
use system::clock::{Clock, Stopwatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin::{self, AccountArgs, ConfiguredServer, KeyArgs, ReloadArgs},
    backup::{self, BackupArgs},
    chinese,
    conformance::{self, ConformanceArgs},
    demo::{self, DemoArgs},
    doctor::{self, Around, DoctorArgs},
    import::{self, ImportArgs},
    manpage::{self, CompletionsArgs, ManArgs},
    output::{self, Screen},
    query::{self, ConfiguredAccount, QueryArgs},
    restore::{self, RestoreArgs},
    send::{self, SendArgs},
    serve, table,
    tls_ca::{self, TlsCaArgs},
    verify::{self, VerifyArgs},
};

/// Counts what users send to WeChat Official Accounts, exactly, and answers WeChat's own interfaces for it.
#[derive(Parser)]
#[command(name = "msgcube", version, about, propagate_version = true)]
pub struct Cli {
    /// Language of what people read [default: that of the environment]
    #[arg(long, global = true, value_parser = lang_parser())]
    lang: Option<Lang>,
    /// How the log is written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Take callbacks and answer the interfaces
    Serve(ServeArgs),
    /// Look at an installation, from its configuration to what WeChat meets, and say what to do
    Doctor(DoctorArgs),
    /// Make up a realistic year for a few accounts, show last month, and serve it
    Demo(DemoArgs),
    /// Ask WeChat, or any server of its interface, for figures
    Query(QueryArgs),
    /// Ask any server of its interface, or WeChat itself, what is known of it, and show where they agree
    Conformance(ConformanceArgs),
    /// Send a signed callback as WeChat does
    Send(SendArgs),
    /// Send files of messages to a running server
    Import(ImportArgs),
    /// Add, show, change and remove accounts of a running server
    Account(AccountArgs),
    /// Make, list and end keys for the own interface of a running server
    Key(KeyArgs),
    /// Let a running server read its configuration file again
    Reload(ReloadArgs),
    /// Back up a running server into a folder
    Backup(BackupArgs),
    /// Make a data folder of a backup
    Restore(RestoreArgs),
    /// Read everything of a data folder or a backup, and say what is damaged
    Verify(VerifyArgs),
    /// Certificates for HTTPS
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Print a script that completes commands and options
    Completions(CompletionsArgs),
    /// Write manual pages to a folder
    Man(ManArgs),
}

#[derive(Subcommand)]
enum TlsCommand {
    /// Make an own authority and a certificate, for SDKs that have WeChat's host written into them
    Ca(TlsCaArgs),
}

/// What `msgcube serve` takes.
#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// The configuration file
    #[arg(long, default_value = "msgcube.toml")]
    config: PathBuf,
    /// Address to listen on, instead of the configuration's; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Option<std::net::SocketAddr>,
    /// The store's folder, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Let the clock start at this moment, for trying things out
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    now: Option<i64>,
    /// Go on with another data key than data_dir was made with: all tokens end, and what only the former key opens is lost
    #[arg(long)]
    accept_new_data_key: bool,
}

fn parse_moment(text: &str) -> Result<i64, String> {
    let moment: Result<Timestamp, _> = text.parse();
    moment.map(Timestamp::as_second).map_err(|_| "write it like 2014-12-01T00:00:00+08:00".to_owned())
}

/// Why a command failed, in the user's language.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs what was typed; 0 if it did what it is for.
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let typed_lang = chinese::typed_lang(&typed);
    match Cli::try_parse_from(typed) {
        Ok(cli) => run(cli),
        Err(said) if typed_lang.unwrap_or_else(locale) == Lang::Zh => {
            chinese::show(&said, terminal_columns())
        }
        Err(said) => said.exit(),
    }
}

fn run(cli: Cli) -> ExitCode {
    start_log(cli.log_format);
    // Openids and keys are for the owner's eyes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let lang = cli.lang.unwrap_or_else(locale);
    // It changes the environment, so no other thread may run yet.
    let sockets = match &cli.command {
        Command::Serve(_) => HandedOver::take(),
        _ => Ok(HandedOver::default()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure(error.to_string()), lang),
    };
    let done = runtime.block_on(run_command(cli.command, lang, sockets));
    // A name that is still being looked up holds nobody up; what matters was waited for.
    runtime.shutdown_background();
    match done {
        Ok(status) => status,
        Err(failure) => fail(&failure, lang),
    }
}

/// `--lang`
fn lang_parser() -> impl TypedValueParser<Value = Lang> {
    let values = [("en", "English"), ("zh", "Chinese (simplified)")];
    let values = values.map(|(code, about)| PossibleValue::new(code).help(about));
    let parser = PossibleValuesParser::new(values);
    parser.map(|code| Lang::of_code(&code).unwrap_or_default())
}

fn locale() -> Lang {
    let values = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| environment(name).unwrap_or_default());
    Lang::of_locale(values.iter().map(String::as_str))
}

fn fail(failure: &Failure, lang: Lang) -> ExitCode {
    output::note(format_args!("{}{}", text!("error: ").in_lang(lang), i18n::translated(lang, &failure.0)));
    ExitCode::FAILURE
}

async fn run_command(
    command: Command,
    lang: Lang,
    sockets: Result<HandedOver, SocketError>,
) -> Result<ExitCode, Failure> {
    let out = &mut Screen::default();
    match command {
        Command::Serve(args) => serve(args, sockets?).await,
        Command::Demo(args) => {
            demo::run(args, lang).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(args) => {
            let read = |path: &Path| read_config(path).map_err(|error| error.to_string());
            Ok(status_of(doctor::run(args, around(lang), &read, out).await?))
        }
        Command::Query(args) => {
            let today = Clock::real().today();
            let done = query::run(args, lang, columns(), today, &configured_account, out).await;
            done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
        }
        Command::Conformance(args) => {
            let done = conformance::run(args, around(lang), &configured_account, out).await;
            let agrees = done.map_err(|error| Failure(error.in_lang(lang)))?;
            Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::from(conformance::STATUS_DIFFERS) })
        }
        Command::Send(args) => {
            let stopwatch = Stopwatch::start();
            let elapsed_ms = move || u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
            let now_s = Clock::real().now_s();
            let read = |path: &Path| read_config(path).map_err(|error| error.to_string());
            let done = send::run(&args, lang, now_s, elapsed_ms, read, out).await;
            Ok(status_of(done.map_err(|error| Failure(error.text(lang)))?))
        }
        Command::Account(args) => {
            let done = admin::account(args, lang, columns(), &configured_server, out).await;
            done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
        }
        Command::Key(args) => {
            let done = admin::key(args, lang, columns(), &configured_server, out).await;
            done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
        }
        Command::Reload(args) => {
            let done = admin::reload(args, lang, columns(), &configured_server, out).await;
            done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
        }
        Command::Backup(args) => back_up(args, lang, out).await,
        Command::Restore(args) => Ok(restore::run(&args, lang, out).map(|()| ExitCode::SUCCESS)?),
        Command::Verify(args) => Ok(status_of(verify::run(&args, lang, out)?)),
        Command::Import(args) => {
            let read = |path: &Path| read_config(path).map_err(|error| error.to_string());
            let done = import::run(args, lang, &read, out).await;
            let summary = done.map_err(|error| Failure(error.in_lang(lang)))?;
            Ok(ExitCode::from(summary.exit_status()))
        }
        Command::Tls(TlsCommand::Ca(args)) => {
            let done = tls_ca::run(args, lang, Clock::real().now_s(), out);
            done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
        }
        Command::Completions(args) => {
            manpage::completions(&args, Cli::command(), out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(args) => {
            manpage::man(&args, Cli::command(), lang, out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn back_up(args: BackupArgs, lang: Lang, out: &mut Screen) -> Result<ExitCode, Failure> {
    let done = backup::run(args, lang, &configured_server, out).await;
    done.map(|()| ExitCode::SUCCESS).map_err(|error| Failure(error.in_lang(lang)))
}

fn status_of(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn around(lang: Lang) -> Around {
    Around { lang, clock: Clock::real(), colours: may_colour(), columns: Some(columns()) }
}

async fn serve(args: ServeArgs, sockets: HandedOver) -> Result<ExitCode, Failure> {
    // First of all: until then it would end the process.
    let hangup = signal(SignalKind::hangup())?;
    let (path, listen, data_dir) = (args.config, args.listen, args.data_dir);
    let read = move || {
        let mut config = read_config(&path).map_err(|error| error.to_string())?;
        config.listen = listen.unwrap_or(config.listen);
        config.data_dir = data_dir.clone().unwrap_or(config.data_dir);
        config.check_key_place()?;
        Ok(config)
    };
    let config = read().map_err(Failure)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if args.now.is_some() {
        tracing::warn!(
            "--now: messages and coverage are kept in data_dir as of that time; use a folder for trials"
        );
    }
    let clock = args.now.map_or_else(Clock::real, Clock::starting_at);
    let other_key = if args.accept_new_data_key { OtherKey::Accept } else { OtherKey::Refuse };
    serve::run(config, clock, other_key, sockets, Source::new(read), hangup).await?;
    Ok(ExitCode::SUCCESS)
}

/// On a terminal, unless its owner wants none. Source: no-color.org.
fn may_colour() -> bool {
    let is_unwanted = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::IsTerminal::is_terminal(&std::io::stdout()) && !is_unwanted
}

/// How wide what is printed may be.
fn columns() -> usize {
    terminal_columns().unwrap_or(table::COLUMNS)
}

/// None: not a terminal, or one that does not say.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn read_config(path: &Path) -> Result<Config, ConfigError> {
    Config::read(path, environment)
}

fn configured_server(path: &Path) -> Result<ConfiguredServer, String> {
    let config = read_config(path).map_err(|error| error.to_string())?;
    let admin_key = config.admin_key.as_ref().map(|key| key.reveal().to_owned().into());
    Ok(ConfiguredServer { base: config.own_url(), admin_key })
}

fn configured_account(path: &Path, appid: Option<&str>) -> Result<ConfiguredAccount, String> {
    let config = read_config(path).map_err(|error| error.to_string())?;
    let account = config.account(appid)?;
    let base = Some(config.base_url());
    Ok(ConfiguredAccount {
        appid: account.appid.clone(),
        secret: account.secret.reveal().to_owned().into(),
        base,
    })
}

/// The only place that reads environment variables.
#[allow(clippy::disallowed_methods)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Logs to stderr; `RUST_LOG` chooses what, by default what an operator should know.
fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}
