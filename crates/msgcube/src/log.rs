//! The log of the program, on standard error.

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The crates of the program that write log lines, beside its own.
const LOGGING_CRATES: [&str; 3] = ["server", "storage", "system"];

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Starts the log. `wanted` is the variable `RUST_LOG`, which chooses what is logged, as `LEVEL` or `TARGET=LEVEL,...`;
/// without it, everything from `info` on. The target `msgcube` stands for all crates of the program.
pub fn start(format: LogFormat, wanted: Option<String>) {
    let asked = wanted.map(|directives| directives.parse::<Targets>());
    let wrong = asked.as_ref().and_then(|asked| asked.as_ref().err()).map(ToString::to_string);
    let filter = asked.and_then(Result::ok).unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let program = filter.iter().find(|(target, _)| *target == "msgcube").map(|(_, level)| level);
    let crates = program.into_iter().flat_map(|level| LOGGING_CRATES.map(|name| (name, level)));
    let filter = filter.clone().with_targets(crates);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(log.with_ansi(is_terminal).with_filter(filter)).init();
        }
        LogFormat::Json => registry.with(log.json().with_filter(filter)).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(error, "RUST_LOG cannot be read; write it like info or msgcube=debug,hyper=warn");
    }
}
