//! `msgcube stats`: figures of any range, from a running server, as tables, JSON or CSV. Reads no clock: the caller gives
//! the time.

mod answers;
mod csv;
mod days;
mod marks;
mod report;

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use counting::day_of;
use datacube::Day;
use i18n::{Lang, text};

use self::{
    answers::{Asking, ReadableAccount},
    days::DayRange,
    report::FiguresReport,
};
use crate::{
    admin::{AdminConnection, AdminError, ServerConfigReader},
    query::{first_day, last_day},
    server_args::ServerArgs,
};

/// Arguments of `msgcube stats`.
#[derive(Args, Clone, Debug)]
pub struct StatsArgs {
    /// Which accounts, by appid; without it all accounts that the key may read
    #[arg(value_name = "APPID")]
    appids: Vec<String>,
    // Other commands name their account so.
    #[arg(long = "appid", hide = true, value_name = "APPID")]
    named: Vec<String>,
    /// First day in Beijing: YYYY, YYYY-MM or YYYY-MM-DD; by default 28 days, 2 days of hours, 12 weeks or 12 months back
    #[arg(long, value_parser = first_day, value_name = "DAY")]
    from: Option<Day>,
    /// Last day, in the same form; by default today
    #[arg(long, value_parser = last_day, value_name = "DAY")]
    to: Option<Day>,
    /// What one row stands for
    #[arg(long, value_enum, default_value_t = StatsPeriod::Day)]
    period: StatsPeriod,
    /// Split each row
    #[arg(long, value_enum)]
    by: Option<StatsBy>,
    /// Also show how many users sent their first message in that time
    #[arg(long, conflicts_with = "by")]
    new: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the rows as CSV with a header
    #[arg(long)]
    csv: bool,
}

/// What one row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsPeriod {
    Hour,
    Day,
    Week,
    Month,
    /// The whole range
    Total,
}

/// How the rows of a period are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsBy {
    /// Every type of message, also locations, files and events
    Type,
    /// The five types that WeChat counts
    Official,
    /// Users by how many messages they sent: 1-5, 6-10, 11+
    Count,
}

/// How the output looks.
#[derive(Clone, Copy, Debug)]
pub struct StatsLook {
    pub lang: Lang,
    /// Width of the terminal in columns.
    pub columns: usize,
    /// Whether tables may have bars of Unicode blocks.
    pub bars: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The server refuses, or cannot be asked.
    #[error("{0}")]
    Server(#[from] AdminError),
    /// The range ends before it begins.
    #[error("--from {from} lies after --to {to}; choose an earlier --from or a later --to")]
    EndBeforeStart { from: Day, to: Day },
    /// The server is no msgcube, or another version.
    #[error("the server's answer has another form ({0}); use the msgcube of the server's version")]
    Form(#[from] serde_json::Error),
    /// There would be too many rows for the memory.
    #[error("more than {0} rows; ask for fewer days or accounts, or a longer period")]
    TooManyRows(usize),
    /// Writing to standard output failed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl StatsError {
    /// The error in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            StatsError::Server(error) => error.in_lang(lang),
            other => i18n::translated(lang, &other.to_string()),
        }
    }
}

impl StatsPeriod {
    /// Its name in the API.
    fn name(self) -> &'static str {
        match self {
            StatsPeriod::Hour => "hour",
            StatsPeriod::Day => "day",
            StatsPeriod::Week => "week",
            StatsPeriod::Month => "month",
            StatsPeriod::Total => "total",
        }
    }
}

impl StatsBy {
    /// Its name in the API.
    fn name(self) -> &'static str {
        match self {
            StatsBy::Type => "type",
            StatsBy::Official => "official",
            StatsBy::Count => "count",
        }
    }
}

/// Asks the server and prints the figures. `now_s` is Unix seconds.
///
/// # Errors
/// See [`StatsError`]. Nothing is printed then.
pub async fn run(
    args: StatsArgs,
    look: StatsLook,
    now_s: i64,
    read_config: ServerConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<(), StatsError> {
    let days = DayRange::new(args.from, args.to, args.period, day_of(now_s))?;
    let server = AdminConnection::new(&args.server, read_config)?;
    let appids = [args.appids, args.named].concat();
    let mut asking = Asking { server: &server, appids: &appids, days, by: args.by, lang: look.lang, all: 0 };
    let listed = asking.accounts().await?;
    asking.all = listed.len();
    let asked = asking.figures(args.period, args.new).await?;
    if args.json {
        return Ok(writeln!(out, "{}", asked.as_answered())?);
    }
    if args.csv {
        return Ok(out.write_all(&csv::csv(&asked.rows, args.by, args.new))?);
    }
    let beside = match days::beside(args.period, args.by, days) {
        Some(period) => asking.figures(period, args.new && period == StatsPeriod::Total).await?.rows,
        None => Vec::new(),
    };
    let report = FiguresReport {
        look,
        now_s,
        days,
        period: args.period,
        by: args.by,
        new: args.new,
        rows: &asked.rows,
        beside: &beside,
    };
    let accounts: Vec<ReadableAccount> =
        listed.into_iter().filter(|account| appids.is_empty() || appids.contains(&account.appid)).collect();
    if accounts.is_empty() {
        let none =
            text!("This key may read no account, or there is none: `msgcube account add APPID` adds one.");
        return Ok(writeln!(out, "{}", none.in_lang(look.lang))?);
    }
    Ok(out.write_all(report.text(&accounts).as_bytes())?)
}

#[cfg(test)]
mod tests;
