//! `msgcube conformance`: asks any server that claims to be this interface what WeChat is known to answer, and shows where
//! it agrees. What is shown is always a record of the answers, without secrets, whether it was made now or sent in.

pub mod case;
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
mod walk;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use i18n::text;
use msgcube_client::http::Address;

pub use self::error::ConformanceError;
use self::{case::Case, kit::Group, live::Live, record::Record, report::Report, run::Plan, walk::WhyNot};
use crate::{
    doctor::Around,
    output,
    query::{CredentialArgs, Credentials, ReadAccount},
};
use i18n::Lang;

/// The exit status if something differs.
pub const STATUS_DIFFERS: u8 = 3;
const PAUSE_MS_MAX: u64 = 60_000;

/// The command line of `msgcube conformance`.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
It reads figures of one account and changes nothing but the day's quota. Its token comes from stable_token in the mode that takes it from
nobody, or is given; only with --disturb it also asks GET /cgi-bin/token and force_refresh, which end tokens of others.
Dates are counted from today in Beijing. A record holds no secret, no token, no appid and, unless --keep-figures is given,
no numbers of users and messages: it can be sent in.
Status 0: all that is documented or seen agrees; 3: something of it differs or could not be seen; 1: it could not be asked.")]
pub struct ConformanceArgs {
    /// The server to ask, such as https://api.weixin.qq.com; by default that of --config
    #[arg(long, value_name = "URL", value_parser = parse_base)]
    target: Option<Address>,
    /// Account and secret
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Also ask what ends tokens that others use
    #[arg(long)]
    disturb: bool,
    /// Let what is only assumed decide the exit status, too
    #[arg(long)]
    strict: bool,
    /// Milliseconds between calls; by default 250, and 0 on this machine or in a private network
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=PAUSE_MS_MAX))]
    pause_ms: Option<u64>,
    /// Trust the authorities in this file (PEM), too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Write what was asked and answered to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the real numbers of users and messages in the record
    #[arg(long, requires = "record")]
    keep_figures: bool,
    /// Judge a record; no server is asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "disturb", "pause_ms", "ca", "record"])]
    replay: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table in Markdown
    #[arg(long)]
    markdown: bool,
}

fn parse_base(text: &str) -> Result<Address, String> {
    Address::parse_base(text)
}

/// Asks or reads, and shows; whether the server is the interface.
pub async fn run(
    args: ConformanceArgs,
    around: Around,
    read_account: ReadAccount<'_>,
    out: &mut dyn Write,
) -> Result<bool, ConformanceError> {
    let groups = kit::groups()?;
    let (record, asked) = if let Some(path) = &args.replay {
        (read(path, &groups, around.lang)?, None)
    } else {
        let (record, asked) = ask(&args, &around, &groups, read_account).await?;
        (record, Some(asked))
    };
    let why_missing = |case: &Case| match &asked {
        Some(asked) => asked.plan.leaves_out(case).unwrap_or(WhyNot::BrokenOff),
        None => WhyNot::NotRecorded,
    };
    let walks = record.judged(&groups, why_missing).await;
    let report = Report {
        server: asked.as_ref().map_or_else(|| record.server.clone(), |asked| asked.target.to_string()),
        day: record.day,
        groups: &groups,
        walks,
        is_strict: args.strict,
    };
    let text = match (args.json, args.markdown) {
        (true, _) => report.json() + "\n",
        (_, true) => report.markdown(around.lang),
        _ => report.text(around.lang, around.colours, around.columns),
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
    around: &Around,
    groups: &[Group],
    read_account: ReadAccount<'_>,
) -> Result<(Record, AskedServer), ConformanceError> {
    let (credentials, base) = Credentials::find(&args.credentials, read_account)?;
    let target = match (&args.target, base) {
        (Some(target), _) => target.clone(),
        (None, Some(base)) => parse_base(&base).map_err(ConformanceError::Target)?,
        (None, None) => return Err(ConformanceError::NoTarget),
    };
    // What cannot be written is said before anything is asked.
    args.record.as_deref().map(record::beside).transpose()?;
    let pause = args.pause_ms.map(Duration::from_millis);
    let mut live = Live::new(target, args.ca.as_deref(), pause, around.clock.clone())?;
    let plan = Plan { disturb: args.disturb, has_secret: matches!(credentials, Credentials::Account { .. }) };
    let (record, broken_off) = run::ask(&mut live, &credentials, plan, groups, around).await?;
    if let Some(path) = &args.record {
        record.clone().for_others(args.keep_figures).write(path)?;
        let written = text!("written; read it before you send it in").in_lang(around.lang);
        output::note(format_args!("{}: {written}", path.display()));
    }
    Ok((record, AskedServer { target: live.address().clone(), plan, broken_off }))
}

/// A record of another version may have cases that this one does not know.
fn read(path: &Path, groups: &[Group], lang: Lang) -> Result<Record, ConformanceError> {
    let record = Record::read(path)?;
    let unknown = record.unknown(groups).count();
    if unknown > 0 {
        let kit = &record.kit;
        output::note(
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
