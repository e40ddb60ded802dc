//! The command line: parses the arguments, runs the command, and turns errors into a message and an exit status.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    CommandFactory as _, Parser, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use i18n::{Lang, text};
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
    doctor::{self, DoctorArgs, RunContext},
    import::{self, ImportArgs},
    init::{self, InitArgs},
    log::{self, LogFormat},
    manpage::{self, CompletionsArgs, ManArgs},
    output::{self, Screen},
    query::{self, ConfiguredAccount, QueryArgs},
    restore::{self, RestoreArgs},
    send::{self, SendArgs},
    serve,
    stats::{self, StatsArgs, StatsLook},
    store_command::{self, StoreCommand},
    table,
    tls_ca::{self, TlsCaArgs},
    verify::{self, VerifyArgs},
};

/// The command line. Its help begins with the description of the package.
#[derive(Parser)]
#[command(name = "msgcube", version, about, propagate_version = true)]
pub struct Cli {
    /// Language of the texts on screen [default: from the environment]
    #[arg(long, global = true, value_parser = lang_parser())]
    lang: Option<Lang>,
    /// Format of the log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a configuration with generated secrets, and say what to do next
    Init(InitArgs),
    /// Take callbacks and answer the interfaces
    Serve(ServeArgs),
    /// Check an installation, from its configuration to the address that WeChat calls, and say what to do
    Doctor(DoctorArgs),
    /// Generate a realistic year for a few accounts, show last month, and serve it
    Demo(DemoArgs),
    /// Query figures from WeChat or any server with its interface
    Query(QueryArgs),
    /// Check whether a server, or WeChat itself, answers as the interface should
    Conformance(ConformanceArgs),
    /// Send a signed callback as WeChat does
    Send(SendArgs),
    #[command(flatten)]
    Asking(ServerCommand),
    /// Make a data folder from a backup
    Restore(RestoreArgs),
    /// Read all of a data folder or a backup, and say what is damaged
    Verify(VerifyArgs),
    /// Prepare and examine the servers that several processes share
    #[command(subcommand)]
    Store(StoreCommand),
    /// Certificates for HTTPS
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Print a script that completes commands and options
    Completions(CompletionsArgs),
    /// Write manual pages to a folder
    Man(ManArgs),
}

/// Commands that ask a running server.
#[derive(Subcommand)]
enum ServerCommand {
    /// Show the figures that a running server has counted, for any range of days
    Stats(StatsArgs),
    /// Send files of messages to a running server
    Import(ImportArgs),
    /// Add, show, change and remove accounts of a running server
    Account(AccountArgs),
    /// Make, list and revoke API keys of a running server
    Key(KeyArgs),
    /// Make a running server read its configuration file again
    Reload(ReloadArgs),
    /// Back up a running server into a folder
    Backup(BackupArgs),
}

#[derive(Subcommand)]
enum TlsCommand {
    /// Make a private authority and a certificate, for SDKs with a hard-coded WeChat host
    Ca(TlsCaArgs),
}

/// Arguments of `msgcube serve`.
#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// The configuration file
    #[arg(long, default_value = "msgcube.toml")]
    config: PathBuf,
    /// Address to listen on, instead of the configuration's; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Option<std::net::SocketAddr>,
    /// The data folder, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Start the clock at this time, for trials
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    now: Option<i64>,
    /// Start with another data key than data_dir was made with: all tokens become invalid, and data sealed with the former key is lost
    #[arg(long)]
    accept_new_data_key: bool,
}

fn parse_moment(text: &str) -> Result<i64, String> {
    let moment: Result<Timestamp, _> = text.parse();
    moment.map(Timestamp::as_second).map_err(|_| "write it like 2014-12-01T00:00:00+08:00".to_owned())
}

/// Why a command failed: the text to show.
struct CommandFailure(String);

impl<E: std::error::Error> From<E> for CommandFailure {
    fn from(error: E) -> CommandFailure {
        CommandFailure(error.to_string())
    }
}

/// Runs the command that was typed. The exit status is 0 if it succeeded.
pub fn main() -> ExitCode {
    // The allocator asks for huge pages: 2 MiB of memory for the first byte of each. This comes before its first large use.
    // A kernel without huge pages gives an error, and there is nothing to do.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let typed: Vec<OsString> = std::env::args_os().collect();
    let typed_lang = chinese::typed_lang(&typed);
    match Cli::try_parse_from(typed) {
        Ok(cli) => run(cli),
        Err(error) if typed_lang.unwrap_or_else(locale) == Lang::Zh => {
            chinese::print_error(&error, terminal_columns())
        }
        Err(error) => error.exit(),
    }
}

fn run(cli: Cli) -> ExitCode {
    log::start(cli.log_format, environment("RUST_LOG"));
    // Files may hold openids and keys: only their owner may read them.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let lang = cli.lang.unwrap_or_else(locale);
    // This changes the environment, so it must run before other threads start.
    let sockets = match &cli.command {
        Command::Serve(_) => HandedOver::take(),
        _ => Ok(HandedOver::default()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CommandFailure(error.to_string()), lang),
    };
    let done = runtime.block_on(run_command(cli.command, lang, sockets));
    // Do not wait for a DNS lookup that still runs. Everything that matters has finished.
    runtime.shutdown_background();
    match done {
        Ok(status) => status,
        Err(failure) => fail(&failure, lang),
    }
}

/// Parses the value of `--lang`.
fn lang_parser() -> impl TypedValueParser<Value = Lang> {
    let values = [("en", "English"), ("zh", "Chinese (simplified)")];
    let values = values.map(|(code, about)| PossibleValue::new(code).help(about));
    let parser = PossibleValuesParser::new(values);
    parser.map(|code| Lang::from_code(&code).unwrap_or_default())
}

fn locale() -> Lang {
    let values = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| environment(name).unwrap_or_default());
    Lang::from_locale(values.iter().map(String::as_str))
}

fn fail(failure: &CommandFailure, lang: Lang) -> ExitCode {
    output::print_note(format_args!(
        "{}{}",
        text!("error: ").in_lang(lang),
        i18n::translated(lang, &failure.0)
    ));
    ExitCode::FAILURE
}

async fn run_command(
    command: Command,
    lang: Lang,
    sockets: Result<HandedOver, SocketError>,
) -> Result<ExitCode, CommandFailure> {
    let out = &mut Screen::default();
    match command {
        Command::Init(args) => {
            ended(init::run(&args, lang, &read_in_words, out), |error| error.in_lang(lang))
        }
        Command::Serve(args) => serve(args, sockets?).await,
        Command::Demo(args) => {
            Box::pin(demo::run(args, lang)).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor(args) => {
            Ok(status_of(Box::pin(doctor::run(args, run_context(lang), &read_in_words, out)).await?))
        }
        Command::Query(args) => {
            let today = counting::day_of(Clock::real().now_s());
            ended(query::run(args, lang, columns(), today, &configured_account, out).await, |error| {
                error.in_lang(lang)
            })
        }
        Command::Conformance(args) => {
            let done = conformance::run(args, run_context(lang), &configured_account, out).await;
            let agrees = done.map_err(|error| CommandFailure(error.in_lang(lang)))?;
            Ok(if agrees { ExitCode::SUCCESS } else { ExitCode::from(conformance::STATUS_DIFFERS) })
        }
        Command::Send(args) => {
            let stopwatch = Stopwatch::start();
            let elapsed_ms = move || u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
            let now_s = Clock::real().now_s();
            let done = send::run(&args, lang, now_s, elapsed_ms, read_in_words, out).await;
            Ok(status_of(done.map_err(|error| CommandFailure(error.in_lang(lang)))?))
        }
        Command::Asking(command) => ask_server(command, lang, out).await,
        Command::Restore(args) => Ok(restore::run(&args, lang, out).map(|()| ExitCode::SUCCESS)?),
        Command::Verify(args) => Ok(status_of(verify::run(&args, lang, out)?)),
        Command::Store(command) => {
            Ok(status_of(store_command::run(command, run_context(lang), &read_in_words, out).await?))
        }
        Command::Tls(TlsCommand::Ca(args)) => {
            ended(tls_ca::run(args, lang, Clock::real().now_s(), out), |error| error.in_lang(lang))
        }
        Command::Completions(args) => {
            Ok(manpage::completions(&args, Cli::command(), out).map(|()| ExitCode::SUCCESS)?)
        }
        Command::Man(args) => Ok(manpage::man(&args, Cli::command(), lang, out).map(|()| ExitCode::SUCCESS)?),
    }
}

async fn ask_server(
    command: ServerCommand,
    lang: Lang,
    out: &mut Screen,
) -> Result<ExitCode, CommandFailure> {
    match command {
        ServerCommand::Stats(args) => {
            let look = StatsLook { lang, columns: columns(), bars: may_draw_bars() };
            ended(stats::run(args, look, Clock::real().now_s(), &configured_server, out).await, |error| {
                error.in_lang(lang)
            })
        }
        ServerCommand::Import(args) => {
            let done = import::run(args, lang, &read_in_words, out).await;
            let summary = done.map_err(|error| CommandFailure(error.in_lang(lang)))?;
            Ok(ExitCode::from(summary.exit_status()))
        }
        ServerCommand::Account(args) => {
            ended(admin::account(args, lang, columns(), &configured_server, out).await, |error| {
                error.in_lang(lang)
            })
        }
        ServerCommand::Key(args) => {
            ended(admin::key(args, lang, columns(), &configured_server, out).await, |error| {
                error.in_lang(lang)
            })
        }
        ServerCommand::Reload(args) => {
            ended(admin::reload(args, lang, columns(), &configured_server, out).await, |error| {
                error.in_lang(lang)
            })
        }
        ServerCommand::Backup(args) => {
            ended(backup::run(args, lang, &configured_server, out).await, |error| error.in_lang(lang))
        }
    }
}

/// The exit status of a command that succeeds or fails with an error, which `in_lang` puts into words.
fn ended<E>(done: Result<(), E>, in_lang: impl FnOnce(&E) -> String) -> Result<ExitCode, CommandFailure> {
    done.map(|()| ExitCode::SUCCESS).map_err(|error| CommandFailure(in_lang(&error)))
}

fn status_of(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_context(lang: Lang) -> RunContext {
    RunContext { lang, clock: Clock::real(), colours: may_colour(), columns: Some(columns()) }
}

async fn serve(args: ServeArgs, sockets: HandedOver) -> Result<ExitCode, CommandFailure> {
    // First of all: without a handler SIGHUP would end the process.
    let hangup = signal(SignalKind::hangup())?;
    let (path, listen, data_dir) = (args.config, args.listen, args.data_dir);
    let read = move || {
        let mut config = read_in_words(&path)?;
        config.listen = listen.unwrap_or(config.listen);
        config.data_dir = data_dir.clone().unwrap_or(config.data_dir);
        config.check_key_location()?;
        Ok(config)
    };
    let config = read().map_err(CommandFailure)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if args.now.is_some() {
        tracing::warn!(
            "--now: messages and coverage are stored in data_dir with that time; use a separate folder for trials"
        );
    }
    let clock = args.now.map_or_else(Clock::real, Clock::starting_at);
    let other_key = if args.accept_new_data_key { OtherKey::Accept } else { OtherKey::Refuse };
    serve::run(config, clock, other_key, sockets, Source::new(read), hangup).await?;
    Ok(ExitCode::SUCCESS)
}

/// Colours only on a terminal, and only if NO_COLOR is not set. Source: no-color.org.
fn may_colour() -> bool {
    let is_unwanted = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::IsTerminal::is_terminal(&std::io::stdout()) && !is_unwanted
}

/// Bars of Unicode blocks only on a terminal whose locale does not name another encoding.
fn may_draw_bars() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| environment(name));
    let locale = named.into_iter().find(|value| !value.is_empty()).unwrap_or_else(|| "UTF-8".to_owned());
    let is_unicode = locale.to_uppercase().replace('-', "").contains("UTF8");
    is_unicode && std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Width of the output in columns.
fn columns() -> usize {
    terminal_columns().unwrap_or(table::COLUMNS)
}

/// Width of the terminal in columns. None: standard output is not a terminal, or its width is unknown.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn read_config(path: &Path) -> Result<Config, ConfigError> {
    Config::read(path, environment)
}

/// Like [`read_config`]. The error is a sentence.
fn read_in_words(path: &Path) -> Result<Config, String> {
    read_config(path).map_err(|error| error.to_string())
}

fn configured_server(path: &Path) -> Result<ConfiguredServer, String> {
    let config = read_in_words(path)?;
    let admin_key = config.admin_key.as_ref().map(|key| key.reveal().to_owned().into());
    Ok(ConfiguredServer { base: config.own_url(), admin_key })
}

fn configured_account(path: &Path, appid: Option<&str>) -> Result<ConfiguredAccount, String> {
    let config = read_in_words(path)?;
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
