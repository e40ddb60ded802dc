//! `msgcube conformance`: checks whether a server answers as WeChat does. The answers go into a record without secrets;
//! the report is always made from a record, a new one or one from a file.

pub mod case;
mod case_run;
pub mod complaint;
mod describe;
mod error;
pub mod expected;
mod kit;
mod live;
mod mask;
mod record;
mod report;
pub mod request;
pub mod rows;
mod run;
pub mod template;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use i18n::{Lang, text};
use msgcube_client::http::Address;

pub use self::error::ConformanceError;
use self::{
    case::Case, case_run::SkipReason, kit::CaseGroup, live::LiveServer, record::AnswerRecord,
    report::ConformanceReport, run::Plan,
};
use crate::{
    doctor::RunContext,
    output,
    query::{CredentialArgs, Credentials, ReadAccount},
};

/// Exit status if an answer differs.
pub const STATUS_DIFFERS: u8 = 3;
const PAUSE_MS_MAX: u64 = 60_000;

/// Arguments of `msgcube conformance`.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
It reads figures of one account and uses some of the day's quota. Its token comes from stable_token in normal mode, which
invalidates no token, or is given. Only with --disturb it also calls GET /cgi-bin/token and force_refresh, which invalidate
tokens of others.
Dates are counted from today in Beijing. A record holds no secret, no token, no appid and, unless --keep-figures is given,
no numbers of users and messages: it can be shared.
Status 0: all documented and seen behaviour agrees; 3: some of it differs or could not be tested; 1: asking failed.")]
pub struct ConformanceArgs {
    /// Server, account and secret
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Also run the cases that invalidate tokens of others
    #[arg(long)]
    disturb: bool,
    /// Let assumed expectations decide the exit status, too
    #[arg(long)]
    strict: bool,
    /// Milliseconds between calls; by default 250, and 0 on this machine or in a private network
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=PAUSE_MS_MAX))]
    pause_ms: Option<u64>,
    /// Trust the authorities in this file (PEM), too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Write the requests and answers to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Keep the real numbers of users and messages in the record
    #[arg(long, requires = "record")]
    keep_figures: bool,
    /// Judge a record; no server is asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "disturb", "pause_ms", "ca", "record"])]
    replay: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table in Markdown
    #[arg(long)]
    markdown: bool,
}

/// Asks a server or reads a record, and prints the report. Returns whether the answers agree with the interface.
pub async fn run(
    args: ConformanceArgs,
    context: RunContext,
    read_account: ReadAccount<'_>,
    out: &mut dyn Write,
) -> Result<bool, ConformanceError> {
    let groups = kit::groups()?;
    let (record, asked) = if let Some(path) = &args.replay {
        (read(path, &groups, context.lang)?, None)
    } else {
        let (record, asked) = ask(&args, &context, &groups, read_account).await?;
        (record, Some(asked))
    };
    let why_missing = |case: &Case| match &asked {
        Some(asked) => asked.plan.leaves_out(case).unwrap_or(SkipReason::BrokenOff),
        None => SkipReason::NotRecorded,
    };
    let results = record.judge(&groups, why_missing).await;
    let report = ConformanceReport {
        server: asked.as_ref().map_or_else(|| record.server.clone(), |asked| asked.target.to_string()),
        day: record.day,
        groups: &groups,
        results,
        is_strict: args.strict,
    };
    let text = match (args.json, args.markdown) {
        (true, _) => report.json() + "\n",
        (_, true) => report.markdown(context.lang),
        _ => report.text(context.lang, context.colours, context.columns),
    };
    out.write_all(text.as_bytes())?;
    match asked.and_then(|asked| asked.broken_off) {
        Some(error) => Err(error),
        None => Ok(report.agrees()),
    }
}

/// A server that was asked.
struct AskedServer {
    target: Address,
    plan: Plan,
    broken_off: Option<ConformanceError>,
}

async fn ask(
    args: &ConformanceArgs,
    context: &RunContext,
    groups: &[CaseGroup],
    read_account: ReadAccount<'_>,
) -> Result<(AnswerRecord, AskedServer), ConformanceError> {
    let (credentials, base) = Credentials::find(&args.credentials, read_account)?;
    let target = match (&args.credentials.address.server, base) {
        (Some(target), _) => target.clone(),
        (None, Some(base)) => Address::parse_base(&base).map_err(ConformanceError::Target)?,
        (None, None) => return Err(ConformanceError::NoTarget),
    };
    // If the record cannot be written, fail before the first request.
    args.record.as_deref().map(record::temporary_file_for).transpose()?;
    let pause = args.pause_ms.map(Duration::from_millis);
    let mut live = LiveServer::new(target, args.ca.as_deref(), pause, context.clock.clone())?;
    let plan = Plan { disturb: args.disturb, has_secret: matches!(credentials, Credentials::Account { .. }) };
    let (record, broken_off) = run::ask(&mut live, &credentials, plan, groups, context).await?;
    if let Some(path) = &args.record {
        record.clone().for_sharing(args.keep_figures).write(path)?;
        let written = text!("written; read it before you send it in").in_lang(context.lang);
        output::print_note(format_args!("{}: {written}", path.display()));
    }
    Ok((record, AskedServer { target: live.address().clone(), plan, broken_off }))
}

/// Reads a record. A record of another version may have cases that this version does not know.
fn read(path: &Path, groups: &[CaseGroup], lang: Lang) -> Result<AnswerRecord, ConformanceError> {
    let record = AnswerRecord::read(path)?;
    let unknown = record.unknown_cases(groups).count();
    if unknown > 0 {
        let kit = &record.kit;
        output::print_note(
            text!(
                "{unknown} cases of the record (of version {kit}) are not known to this version",
                unknown,
                kit
            )
            .in_lang(lang),
        );
    }
    Ok(record)
}
