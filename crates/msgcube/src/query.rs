//! `msgcube query`: asks WeChat or msgcube for a range of any length and shows the rows. Reads no clock: the caller
//! gives the day.

mod advice;
mod credentials;
mod csv;
mod dates;

use std::io::{self, Write};

use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};
use datacube::{Day, Granularity, INTERFACES, Interface, List, Row, windows};
use i18n::{Lang, text};
use indicatif::ProgressBar;
use msgcube_client::{Client, ClientError, WECHAT_BASE, Window, http::Address};

pub use self::{
    advice::{advice_for_code, explain},
    credentials::{ConfiguredAccount, CredentialArgs, CredentialError, Credentials, ReadAccount},
    csv::csv,
    dates::{AskedRange, asked_range, first_day, last_day},
};
use crate::{output, progress::steps_bar, table};

/// The progress bar is shown from this number of calls on.
const PROGRESS_FROM_CALLS: usize = 6;

/// Arguments of `msgcube query`.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("server", |server| {
    server.env("MSGCUBE_BASE").help("Base URL of the interfaces; by default that of the configuration, or WeChat's")
}))]
pub struct QueryArgs {
    /// Which figures
    #[arg(value_name = "FIGURES", value_parser = interface_parser())]
    pub interface: &'static Interface,
    /// First day: YYYY, YYYY-MM or YYYY-MM-DD
    #[arg(long, value_parser = first_day)]
    pub from: Day,
    /// Last day, in the same form; at most yesterday in Beijing, which is the default
    #[arg(long, value_parser = last_day)]
    pub to: Option<Day>,
    /// The server also answers open periods (`live = true`): allow today for --to
    #[arg(long)]
    pub live: bool,
    /// Server, account and secret
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Print the rows as {"list":[…]}
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print the rows as CSV with a header
    #[arg(long)]
    pub csv: bool,
}

/// Why a query failed. For the screen use [`QueryError::in_lang`], which adds the next step.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There are no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The range is empty, or begins after the last day that has figures.
    #[error("nothing to ask for: --from {from} lies after {end}")]
    NothingToAsk {
        /// First day typed.
        from: Day,
        /// Last day typed, or the last day that has figures.
        end: Day,
    },
    /// The call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The output cannot be written.
    #[error("output: {0}")]
    Output(#[from] io::Error),
    /// The rows cannot be written as JSON.
    #[error("output: {0}")]
    Json(#[from] serde_json::Error),
}

impl QueryError {
    /// What went wrong and what to do next.
    pub fn in_lang(&self, lang: Lang) -> String {
        match self {
            QueryError::Client(error) => explain(error, lang),
            QueryError::Credentials(error) => error.in_lang(lang),
            QueryError::NothingToAsk { from, end } => text!(
                "Nothing to ask for: --from {from} lies after {end}. Choose an earlier --from.",
                from,
                end
            )
            .in_lang(lang),
            other => other.to_string(),
        }
    }
}

fn interface_parser() -> impl clap::builder::TypedValueParser<Value = &'static Interface> {
    let names = INTERFACES.iter().map(|interface| interface.short_name);
    PossibleValuesParser::new(names).try_map(|name| Interface::by_short_name(&name).ok_or("no such figures"))
}

/// Runs the query. `columns` is the width of the terminal, `today` the day in Beijing. Rows go to `out`, notes to standard
/// error.
///
/// # Errors
/// See [`QueryError`]. If a later call fails, the rows of earlier calls are not shown.
pub async fn run(
    args: QueryArgs,
    lang: Lang,
    columns: usize,
    today: Day,
    read_account: ReadAccount<'_>,
    out: &mut dyn Write,
) -> Result<(), QueryError> {
    let last = if args.live { today } else { today.plus_days(-1) };
    let end = args.to.unwrap_or(last).min(last);
    let nothing = QueryError::NothingToAsk { from: args.from, end };
    let range = asked_range(args.from, args.to, last).ok_or(nothing)?;
    if range.clipped {
        output::print_note(clipped_note(range.end, lang));
    }
    let client = client(&args, read_account)?;
    let rows = ask(&client, args.interface, range, lang).await?;
    if rows.is_empty() {
        output::print_note(empty_note(args.interface, range, lang));
    }
    out.write_all(format_rows(&args, rows, lang, columns)?.as_bytes())?;
    Ok(())
}

fn client(args: &QueryArgs, read_account: ReadAccount<'_>) -> Result<Client, QueryError> {
    let (credentials, configured_base) = Credentials::find(&args.credentials, read_account)?;
    let server = args.credentials.address.server.as_ref().map(Address::uri_text);
    let base = server.or(configured_base).unwrap_or_else(|| WECHAT_BASE.to_owned());
    Ok(credentials.client().base(base).build()?)
}

/// Hints that are shown. A long range needs many calls, and most answers have the same hint.
const HINTS_SHOWN: usize = 2;

async fn ask(
    client: &Client,
    interface: &Interface,
    range: AskedRange,
    lang: Lang,
) -> Result<Vec<Row>, ClientError> {
    let bar = progress_bar(windows(interface, range.begin, range.end).len(), lang);
    let mut hints = Vec::new();
    let rows = client
        .rows_with_progress(interface, range.begin, range.end, |window| {
            bar.inc(1);
            hints.extend(hint_text(&window, lang));
        })
        .await;
    bar.finish_and_clear();
    hints.dedup();
    hints.iter().take(HINTS_SHOWN).for_each(output::print_note);
    if let Some(more @ 1..) = hints.len().checked_sub(HINTS_SHOWN) {
        output::print_note(text!("({more} more answers came with such a note)", more).in_lang(lang));
    }
    rows
}

fn hint_text(window: &Window<'_>, lang: Lang) -> Option<String> {
    let hint = window.answer.hint.as_ref()?;
    Some(lang.pick(&hint.english, hint.chinese.as_ref().unwrap_or(&hint.english)).clone())
}

/// A progress bar; hidden for few calls.
pub fn progress_bar(calls: usize, lang: Lang) -> ProgressBar {
    if calls < PROGRESS_FROM_CALLS {
        return ProgressBar::hidden();
    }
    steps_bar(calls as u64, text!("calls").in_lang(lang))
}

fn format_rows(args: &QueryArgs, rows: Vec<Row>, lang: Lang, columns: usize) -> Result<String, QueryError> {
    if args.json {
        return Ok(format!("{}\n", serde_json::to_string(&List { list: rows })?));
    }
    if args.csv {
        return Ok(csv(&rows, args.interface));
    }
    Ok(if rows.is_empty() { String::new() } else { table::render(&rows, args.interface, lang, columns) })
}

fn clipped_note(end: Day, lang: Lang) -> String {
    text!("Asked up to {end}, the last day that can be asked for.", end).in_lang(lang)
}

/// Why the list may be empty. WeChat gives no reason.
fn empty_note(interface: &Interface, range: AskedRange, lang: Lang) -> String {
    let mut reasons = Vec::new();
    match interface.granularity {
        Granularity::Week => reasons.push(
            text!(
                "A week is named by its Monday, which must lie inside the range, and appears once it is over."
            )
            .in_lang(lang),
        ),
        Granularity::Month => reasons.push(
            text!(
                "A month is named by its 1st, which must lie inside the range, and appears once it is over."
            )
            .in_lang(lang),
        ),
        Granularity::Hour | Granularity::Day => {}
    }
    if range.begin < Day::EARLIEST_OFFICIAL {
        reasons.push(text!("WeChat keeps nothing before 2014-12-01.").in_lang(lang));
    }
    reasons.push(
        text!("Periods without messages are left out; events (menu clicks, subscriptions) are not messages.")
            .in_lang(lang),
    );
    let range = format!("{}…{}", range.begin, range.end);
    format!("{} {range}\n{}", text!("No rows for").in_lang(lang), reasons.join("\n"))
}

#[cfg(test)]
mod tests;
