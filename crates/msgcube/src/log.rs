//! The log of the program, on standard error.

use clap::ValueEnum;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Starts the log. `wanted` is the variable `RUST_LOG`, which chooses what is logged, as `LEVEL` or `TARGET=LEVEL,...`.
/// Without it, or if it is not of this form, everything from `info` on is logged.
pub fn start(format: LogFormat, wanted: Option<String>) {
    let filter: Targets = wanted
        .and_then(|directives| directives.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(log.with_ansi(is_terminal).with_filter(filter)).init();
        }
        LogFormat::Json => registry.with(log.json().with_filter(filter)).init(),
    }
}
