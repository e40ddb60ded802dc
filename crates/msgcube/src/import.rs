//! `msgcube import`: sends exports (JSON lines or XML callbacks; plain, gzip or zstd) to a server in bounded chunks, and
//! continues where an earlier run stopped. Exit status: 0 done; 1 stopped; 3 done, but lines were rejected.

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
use i18n::{Lang, text};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

pub use self::{
    error::{ImportError, UploadError},
    summary::{ImportSummary, LineCounts, RejectedImportLine},
    target::ImportConfigReader,
};
use self::{
    lines::Chunk,
    progress_file::{Progress, Target},
    target::Destination,
    upload::{BulkAnswer, RetryPolicy, Upload},
};
use crate::{
    output,
    server_args::{AppidArgs, ServerArgs},
};

/// Rejected lines shown on standard error; the rest is only counted.
const SHOWN_ERRORS_MAX: usize = 20;

/// Arguments of `msgcube import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Files with WeChat's callbacks: JSON, one per line, or XML; gzip and zstd are decompressed; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub account: AppidArgs,
    /// Claim that these days are complete once everything is imported, such as 2025-01-01..2025-12-31
    #[arg(long, value_name = "FROM..TO")]
    pub covers: Option<Covers>,
    /// How long a failing request is retried, in seconds
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

/// Imports all files and writes the totals to `out`. Notes and rejected lines go to standard error.
///
/// # Errors
/// See [`ImportError`]. Lines sent before the error stay, and the next run does not send them again.
pub async fn run(
    args: ImportArgs,
    lang: Lang,
    read_config: ImportConfigReader<'_>,
    out: &mut (dyn Write + Send),
) -> Result<ImportSummary, ImportError> {
    let retry_policy =
        RetryPolicy { first_pause: Duration::from_millis(500), total: Duration::from_secs(args.retry_for_s) };
    let destination = Destination::find(&args, read_config)?;
    let upload = Upload::new(&destination, retry_policy)?;
    target::check_files(&args.files)?;
    let summary = ImportSummary::default();
    let mut import = Import { args: &args, destination, lang, upload, summary };
    for path in &args.files {
        import.import_file(path).await?;
    }
    import.claim_coverage().await?;
    // Only at the end: if a later file fails, the next run must not send the earlier files again.
    args.files.iter().for_each(|path| progress_file::remove(path));
    let summary = import.summary;
    let text = if args.json {
        serde_json::to_string(&summary)?
    } else {
        summary.summary_text(args.covers.is_some(), lang)
    };
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

/// How far a file has been imported.
struct FileProgress {
    /// None for standard input, which cannot be resumed.
    target: Option<Target>,
    lines_done: u64,
    totals: LineCounts,
    bar: ProgressBar,
}

impl Import<'_> {
    async fn import_file(&mut self, path: &Path) -> Result<(), ImportError> {
        let mut state = self.open_progress(path)?;
        let mut chunks = read_ahead(path, state.lines_done);
        while let Some(chunk) = chunks.recv().await {
            let line = state.lines_done;
            let chunk = chunk.map_err(|source| ImportError::Read { path: path.to_owned(), line, source })?;
            self.send_chunk(path, &mut state, chunk).await?;
        }
        state.bar.finish_and_clear();
        self.summary.totals.add(state.totals);
        Ok(())
    }

    fn open_progress(&self, path: &Path) -> Result<FileProgress, ImportError> {
        let unreadable = |source| ImportError::Read { path: path.to_owned(), line: 0, source };
        let stdin = path.as_os_str() == "-";
        let target =
            || Target::of(path, &self.destination.server, &self.destination.appid).map_err(unreadable);
        let target = if stdin { None } else { Some(target()?) };
        let bar = progress_bar(target.as_ref().map(|target| target.size_bytes));
        let saved = target.as_ref().and_then(|target| progress_file::load(path, target));
        let (lines_done, totals) =
            saved.map_or_else(Default::default, |saved| (saved.lines_done, saved.totals));
        if lines_done > 0 {
            output::print_note(self.resumed_note(path, lines_done));
        }
        Ok(FileProgress { target, lines_done, totals, bar })
    }

    fn resumed_note(&self, path: &Path, lines_done: u64) -> String {
        let (path, line) = (path.display(), lines_done + 1);
        text!("{path}: continuing at line {line}, where an earlier import stopped.", path, line)
            .in_lang(self.lang)
    }

    async fn send_chunk(
        &mut self,
        path: &Path,
        state: &mut FileProgress,
        chunk: Chunk,
    ) -> Result<(), ImportError> {
        let mut chunk = chunk;
        let sent = self.upload.send(std::mem::take(&mut chunk.body).into()).await;
        let line = state.lines_done;
        let answer = sent.map_err(|source| ImportError::Upload { path: path.to_owned(), line, source })?;
        self.summary.repeated_requests += answer.repeats;
        state.totals.add(answer.totals);
        state.totals.rejected += chunk.bad.len() as u64;
        state.lines_done = chunk.lines_done;
        self.report_rejected(path, &state.bar, rejected_lines(path, &chunk, answer));
        state.bar.set_position(chunk.file_bytes);
        self.save_progress(path, state);
        Ok(())
    }

    fn report_rejected(&mut self, path: &Path, bar: &ProgressBar, errors: Vec<RejectedImportLine>) {
        for error in errors {
            if self.summary.errors.len() < SHOWN_ERRORS_MAX {
                let why = i18n::translated(self.lang, &error.error);
                bar.suspend(|| output::print_note(format_args!("{}:{}: {why}", path.display(), error.line)));
            }
            self.summary.push_error(error);
        }
    }

    /// Saves the progress. If the folder cannot be written, the import goes on without: it cannot be resumed then. This is
    /// reported once.
    fn save_progress(&self, path: &Path, state: &mut FileProgress) {
        let Some(target) = state.target.clone() else { return };
        let progress = Progress { target, lines_done: state.lines_done, totals: state.totals };
        if let Err(error) = progress_file::save(path, &progress) {
            state.target = None;
            let place = progress_file::progress_path(path);
            let note = text!("progress cannot be saved").in_lang(self.lang);
            state.bar.suspend(|| output::print_note(format_args!("{}: {note}: {error}", place.display())));
        }
    }

    /// Claims the coverage, as the last request. A claim says that nothing is missing, so it is left out if a line was
    /// rejected.
    async fn claim_coverage(&mut self) -> Result<(), ImportError> {
        if let (Some(covers), 0) = (self.args.covers, self.summary.totals.rejected) {
            let answer = self.upload.claim((covers.from, covers.to)).await?;
            self.summary.repeated_requests += answer.repeats;
            self.summary.covers_claimed = true;
        }
        Ok(())
    }
}

/// The rejected lines with their line numbers in the file, in order.
fn rejected_lines(path: &Path, chunk: &Chunk, answer: BulkAnswer) -> Vec<RejectedImportLine> {
    let file = path.display().to_string();
    let error = |line, error| RejectedImportLine { file: file.clone(), line, error };
    let refused = answer.errors.into_iter().map(|one| error(chunk.file_line(one.line), one.error));
    let bad = chunk.bad.iter().map(|(line, why)| error(*line, (*why).to_owned()));
    let mut errors: Vec<RejectedImportLine> = refused.chain(bad).collect();
    errors.sort_by_key(|error| error.line);
    errors
}

/// Reads on its own thread, at most two chunks ahead. A thread of the runtime would keep the program from ending while
/// standard input is silent.
fn read_ahead(path: &Path, lines_done: u64) -> mpsc::Receiver<io::Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(1);
    let failed = sender.clone();
    let path = path.to_owned();
    let spawned = std::thread::Builder::new().name("import-reader".into()).spawn(move || {
        if let Err(error) = read(&path, lines_done, &sender) {
            // The receiver is gone if the import has failed elsewhere.
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
