//! `msgcube import`: sends exports (lines of JSON or XML callbacks, plain, gzip or zstd) to a server in bounded chunks,
//! and goes on where an earlier run broke off. Exit status: 0; 1 broken off; 3 done, but lines were rejected.

mod error;
mod lines;
mod progress_file;
mod summary;
mod target;
mod upload;

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use datacube::Day;
use i18n::text;
use indicatif::{ProgressBar, ProgressStyle};
use msgcube_client::Secret;
use tokio::sync::mpsc;

pub use self::{
    error::{ImportError, UploadError},
    summary::{ImportSummary, LineError, Totals},
    target::ReadConfig,
};
use self::{
    lines::Chunk,
    progress_file::{Progress, Target},
    target::Destination,
    upload::{BulkAnswer, Patience, Upload},
};
use crate::output;
use i18n::Lang;

/// Rejected lines shown on stderr; the rest is only counted.
const SHOWN_ERRORS_MAX: usize = 20;

/// The command line of `msgcube import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Files of WeChat's callbacks: JSON, one a line, or XML; gzip and zstd are unpacked; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The server's configuration: its address, its admin key and its account are used
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where msgcube listens, such as http://127.0.0.1:8060, if not where the configuration says
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The account the messages belong to; needed if the configuration has several
    #[arg(long, env = "MSGCUBE_APPID")]
    pub appid: Option<String>,
    /// The server's admin key. Shows up in `ps`: prefer MSGCUBE_ADMIN_KEY or --admin-key-file
    #[arg(long, env = "MSGCUBE_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    pub admin_key: Option<Secret>,
    /// File with the server's admin key
    #[arg(long, value_name = "FILE")]
    pub admin_key_file: Option<PathBuf>,
    /// Claim that these days are complete once everything is imported, such as 2025-01-01..2025-12-31
    #[arg(long, value_name = "FROM..TO")]
    pub covers: Option<Covers>,
    /// How long a failing request is repeated, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub retry_for_s: u64,
    /// Print the totals as JSON
    #[arg(long)]
    pub json: bool,
}

/// Days claimed as complete, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covers {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
}

impl FromStr for Covers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Covers, Self::Err> {
        let days = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match days {
            Some((from, to)) if from <= to => Ok(Covers { from, to }),
            _ => Err("write two days, such as 2025-01-01..2025-12-31"),
        }
    }
}

/// Imports all files and writes the totals to `out`; notes and rejected lines go to stderr.
///
/// # Errors
/// See [`ImportError`]. What was sent before stays and is not sent again by the next run.
pub async fn run(
    args: ImportArgs,
    lang: Lang,
    read_config: ReadConfig<'_>,
    out: &mut (dyn Write + Send),
) -> Result<ImportSummary, ImportError> {
    let patience =
        Patience { first_pause: Duration::from_millis(500), total: Duration::from_secs(args.retry_for_s) };
    let destination = Destination::find(&args, read_config)?;
    let upload = Upload::new(&destination, patience)?;
    target::check_files(&args.files)?;
    let summary = ImportSummary::default();
    let mut import = Import { args: &args, destination, lang, upload, summary };
    for path in &args.files {
        import.file(path).await?;
    }
    import.claim().await?;
    // Only now: a run that breaks off at the second file does not send the first one again.
    args.files.iter().for_each(|path| progress_file::remove(path));
    let summary = import.summary;
    let text =
        if args.json { serde_json::to_string(&summary)? } else { summary.text(args.covers.is_some(), lang) };
    writeln!(out, "{text}")?;
    Ok(summary)
}

struct Import<'a> {
    args: &'a ImportArgs,
    destination: Destination,
    lang: Lang,
    upload: Upload,
    summary: ImportSummary,
}

/// Where a file stands.
struct FileState {
    /// None for stdin, which cannot be continued.
    target: Option<Target>,
    lines_done: u64,
    totals: Totals,
    bar: ProgressBar,
}

impl Import<'_> {
    async fn file(&mut self, path: &Path) -> Result<(), ImportError> {
        let mut state = self.begin(path)?;
        let mut chunks = read_ahead(path, state.lines_done);
        while let Some(chunk) = chunks.recv().await {
            let line = state.lines_done;
            let chunk = chunk.map_err(|source| ImportError::Read { path: path.to_owned(), line, source })?;
            self.chunk(path, &mut state, chunk).await?;
        }
        state.bar.finish_and_clear();
        self.summary.totals.add(state.totals);
        Ok(())
    }

    fn begin(&self, path: &Path) -> Result<FileState, ImportError> {
        let unreadable = |source| ImportError::Read { path: path.to_owned(), line: 0, source };
        let stdin = path.as_os_str() == "-";
        let target =
            || Target::of(path, &self.destination.server, &self.destination.appid).map_err(unreadable);
        let target = if stdin { None } else { Some(target()?) };
        let bar = progress_bar(target.as_ref().map(|target| target.size_bytes));
        let kept = target.as_ref().and_then(|target| progress_file::load(path, target));
        let (lines_done, totals) = kept.map_or_else(Default::default, |kept| (kept.lines_done, kept.totals));
        if lines_done > 0 {
            output::note(self.resumed_note(path, lines_done));
        }
        Ok(FileState { target, lines_done, totals, bar })
    }

    fn resumed_note(&self, path: &Path, lines_done: u64) -> String {
        let (path, line) = (path.display(), lines_done + 1);
        text!("{path}: going on at line {line}, where an earlier import broke off.", path, line)
            .in_lang(self.lang)
    }

    async fn chunk(&mut self, path: &Path, state: &mut FileState, chunk: Chunk) -> Result<(), ImportError> {
        let mut chunk = chunk;
        let sent = self.upload.send(std::mem::take(&mut chunk.body).into()).await;
        let line = state.lines_done;
        let answer = sent.map_err(|source| ImportError::Upload { path: path.to_owned(), line, source })?;
        self.summary.repeated_requests += answer.repeats;
        state.totals.add(answer.totals);
        state.totals.rejected += chunk.bad.len() as u64;
        state.lines_done = chunk.lines_done;
        self.report(path, &state.bar, file_errors(path, &chunk, answer));
        state.bar.set_position(chunk.file_bytes);
        self.keep(path, state);
        Ok(())
    }

    fn report(&mut self, path: &Path, bar: &ProgressBar, errors: Vec<LineError>) {
        for error in errors {
            if self.summary.errors.len() < SHOWN_ERRORS_MAX {
                let why = i18n::translated(self.lang, &error.error);
                bar.suspend(|| output::note(format_args!("{}:{}: {why}", path.display(), error.line)));
            }
            self.summary.push_error(error);
        }
    }

    /// A folder that cannot be written to makes the import no less right, only not resumable: said once.
    fn keep(&self, path: &Path, state: &mut FileState) {
        let Some(target) = state.target.clone() else { return };
        let progress = Progress { target, lines_done: state.lines_done, totals: state.totals };
        if let Err(error) = progress_file::save(path, &progress) {
            state.target = None;
            let place = progress_file::place(path);
            let note = text!("progress cannot be kept").in_lang(self.lang);
            state.bar.suspend(|| output::note(format_args!("{}: {note}: {error}", place.display())));
        }
    }

    /// The last request: whoever claims coverage says that nothing is missing, so rejected lines forbid it.
    async fn claim(&mut self) -> Result<(), ImportError> {
        if let (Some(covers), 0) = (self.args.covers, self.summary.totals.rejected) {
            let answer = self.upload.claim((covers.from, covers.to)).await?;
            self.summary.repeated_requests += answer.repeats;
            self.summary.covers_claimed = true;
        }
        Ok(())
    }
}

/// The rejected lines under their numbers in the file, in order.
fn file_errors(path: &Path, chunk: &Chunk, answer: BulkAnswer) -> Vec<LineError> {
    let file = path.display().to_string();
    let error = |line, error| LineError { file: file.clone(), line, error };
    let refused = answer.errors.into_iter().map(|one| error(chunk.file_line(one.line), one.error));
    let bad = chunk.bad.iter().map(|(line, why)| error(*line, (*why).to_owned()));
    let mut errors: Vec<LineError> = refused.chain(bad).collect();
    errors.sort_by_key(|error| error.line);
    errors
}

/// Reads on a thread of its own, two chunks ahead at most. Not the runtime's: that would wait for a silent stdin
/// when the program wants to end.
fn read_ahead(path: &Path, lines_done: u64) -> mpsc::Receiver<io::Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(1);
    let failed = sender.clone();
    let path = path.to_owned();
    let spawned = std::thread::Builder::new().name("import-reader".into()).spawn(move || {
        if let Err(error) = read(&path, lines_done, &sender) {
            // Nobody listens any more if the import has failed elsewhere.
            let _ = sender.blocking_send(Err(error));
        }
    });
    if let Err(error) = spawned {
        let _ = failed.try_send(Err(error));
    }
    receiver
}

fn read(path: &Path, lines_done: u64, sender: &mpsc::Sender<io::Result<Chunk>>) -> io::Result<()> {
    let mut lines = lines::open(path)?;
    lines.skip(lines_done);
    while let Some(chunk) = lines.next_chunk()? {
        if sender.blocking_send(Ok(chunk)).is_err() {
            break;
        }
    }
    Ok(())
}

fn progress_bar(size_bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size_bytes {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests;
