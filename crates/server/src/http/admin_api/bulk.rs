//! `POST /v1/accounts/{appid}/messages`: imports many messages, streamed as lines of JSON or as XML documents. The next
//! chunk is read while the one before it is written to disk.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{Response, StatusCode},
};
use counting::{Message, start_of_day_s};
use datacube::Day;
use http_body_util::BodyExt as _;
use serde::Serialize;
use storage::store::{Change, NotDurable, Outcome, Store};
use tokio::sync::{Semaphore, SemaphorePermit};
use wechat::callback::{
    cutter::{CutItem, Cutter},
    json::read_bulk_line,
};

use super::no_account;
use crate::{
    accounts::registry::ServedAccount,
    http::{answer, state::App},
    intake::implausible,
};

/// Most rejected lines that an answer describes. Source: the contract.
const ERRORS_SHOWN: usize = 100;
/// Messages in a chunk, which is made durable with one sync. More would let callbacks wait too long; fewer would spend
/// most of the time on syncs.
const CHUNK: usize = 4096;
/// Bytes of lines after which a chunk is sent, even if it has few messages.
const CHUNK_BYTES: usize = 2 << 20;
/// The request fails if no byte arrives for so long.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest wait for other imports to end.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest wait of a chunk for pages to be saved.
const SAVE_WAIT_MAX: Duration = Duration::from_secs(20);
/// Pause before it is checked again whether they are.
const SAVE_PAUSE: Duration = Duration::from_millis(20);

/// The answer: what became of each line. Also with status 400 or 503, if the import ended early.
#[derive(Default, Serialize)]
struct BulkReport {
    /// Messages that are durable and counted.
    accepted: usize,
    /// Messages that were counted before. They change nothing.
    duplicate: usize,
    /// Lines that are no valid message.
    rejected: usize,
    /// The first 100 rejected lines.
    errors: Vec<BulkLineError>,
    /// All lines up to this number (from 1) are durable, repeats or rejected. Only if the import ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_lines: Option<u64>,
    /// Why the import ended early. Missing otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Whether the days of `covers` were recorded as complete. Missing if the query has no `covers`, or the import
    /// ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<&'static str>,
}

/// An item of `errors`.
#[derive(Serialize)]
struct BulkLineError {
    /// From 1. The first line of an XML document.
    line: u64,
    /// In English.
    error: String,
}

/// Reads all lines, then answers a [`BulkReport`].
pub async fn receive(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let covers = match covers(request.uri().query().unwrap_or("")) {
        Ok(covers) => covers,
        Err(error) => return answer::api_error(StatusCode::BAD_REQUEST, error),
    };
    let Some(_permits) = permits(&account.bulk_slots, &app.bulk_permits, PERMIT_WAIT_MAX).await else {
        return answer::api_json(StatusCode::SERVICE_UNAVAILABLE, &BulkReport::no_permit());
    };
    let mut reader = BulkReader::new(&app, &account);
    let mut result = reader.read(request.into_body()).await;
    if result.is_ok()
        && let Some(days) = covers
    {
        result = reader.claim_covered(days).await;
    }
    let (mut report, durable_lines) = (reader.report, reader.durable_lines);
    app.metrics.rejected(report.rejected);
    let status = match result {
        Ok(()) => StatusCode::OK,
        Err(failure) => {
            report.error = Some(failure.error_text());
            report.durable_lines = Some(durable_lines);
            failure.status()
        }
    };
    answer::api_json(status, &report)
}

/// A permit of the account, and one of the whole server. None if there is none within the time.
async fn permits<'a>(
    of_account: &'a Semaphore,
    of_all: &'a Semaphore,
    within: Duration,
) -> Option<[SemaphorePermit<'a>; 2]> {
    let both = async { Some([of_account.acquire().await.ok()?, of_all.acquire().await.ok()?]) };
    tokio::time::timeout(within, both).await.ok()?
}

/// Waits while messages come faster than they can be saved, because until then they take memory.
async fn await_saves(store: &Store) {
    let waited = async {
        while store.is_behind() {
            tokio::time::sleep(SAVE_PAUSE).await;
        }
    };
    // After that time it goes on in any case: the caller would give up.
    let _ = tokio::time::timeout(SAVE_WAIT_MAX, waited).await;
}

/// Why an import ended early.
enum BulkFailure {
    NotDurable(NotDurable),
    Body(&'static str),
}

impl BulkFailure {
    fn status(&self) -> StatusCode {
        match self {
            BulkFailure::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
            BulkFailure::Body(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_text(&self) -> String {
        match self {
            BulkFailure::NotDurable(error) => {
                format!("{error}; send everything again later, repeats are not counted twice")
            }
            BulkFailure::Body(error) => {
                format!("{error}; send everything again, repeats are not counted twice")
            }
        }
    }
}

/// The first and the last day of `covers=2025-01-01..2025-12-31`. None if the query has no `covers`.
fn covers(query: &str) -> Result<Option<(Day, Day)>, String> {
    let value = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "covers");
    let Some((_, text)) = value else { return Ok(None) };
    let error = || format!("covers={text}: write two days like covers=2025-01-01..2025-12-31");
    let (from, to) = text.split_once("..").ok_or_else(error)?;
    let (from, to): (Day, Day) = (from.parse().map_err(|_| error())?, to.parse().map_err(|_| error())?);
    if from > to { Err(error()) } else { Ok(Some((from, to))) }
}

type OutcomesFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Outcome>, NotDurable>> + Send + 'a>>;

/// Reads the lines of one request and sends them to the writer.
struct BulkReader<'a> {
    app: &'a App,
    account: &'a ServedAccount,
    report: BulkReport,
    chunk: Vec<Change>,
    chunk_bytes: usize,
    /// The line number of each message of the chunk.
    chunk_lines: Vec<u64>,
    /// The chunk in the queue: its future outcomes, its line numbers, and the last line that was read before it was
    /// sent.
    pending: Option<(OutcomesFuture<'a>, Vec<u64>, u64)>,
    /// All lines up to this one are durable, repeats or rejected. The first line of an XML document.
    durable_lines: u64,
}

impl<'a> BulkReader<'a> {
    fn new(app: &'a App, account: &'a ServedAccount) -> BulkReader<'a> {
        let (chunk, chunk_lines, pending) = (Vec::new(), Vec::new(), None);
        let (report, chunk_bytes, durable_lines) = (BulkReport::default(), 0, 0);
        BulkReader { app, account, report, chunk, chunk_bytes, chunk_lines, pending, durable_lines }
    }

    async fn read(&mut self, mut body: Body) -> Result<(), BulkFailure> {
        let mut cutter = Cutter::default();
        let end = loop {
            let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break Ok(()),
                Ok(Some(Err(_))) => {
                    break Err(BulkFailure::Body("the connection broke before the end of the body"));
                }
                Err(_) => break Err(BulkFailure::Body("no byte of the body came for 60 s")),
            };
            let Ok(data) = frame.into_data() else { continue };
            cutter.push(&data);
            self.read_items(&mut cutter).await?;
        };
        if end.is_ok() {
            cutter.end();
            self.read_items(&mut cutter).await?;
        }
        self.send(cutter.number()).await?;
        self.await_pending().await?;
        end
    }

    async fn read_items(&mut self, cutter: &mut Cutter) -> Result<(), BulkFailure> {
        while let Some((number, item)) = cutter.next_item() {
            self.add_item(number, item);
            if self.chunk.len() >= CHUNK || self.chunk_bytes >= CHUNK_BYTES {
                self.send(number).await?;
            }
        }
        Ok(())
    }

    fn add_item(&mut self, number: u64, item: CutItem<'_>) {
        let message = match item {
            CutItem::Bad(why) => Err(why.to_owned()),
            CutItem::Whole(line) if line.trim_ascii().is_empty() => return,
            CutItem::Whole(line) => {
                self.chunk_bytes += line.len();
                read_bulk_line(line).map_err(|flaw| flaw.to_string())
            }
        };
        match message.and_then(|message| check_time(message, self.app.clock.now_s())) {
            Ok(message) => {
                self.chunk.push(Change::Message { account: self.account.number, message });
                self.chunk_lines.push(number);
            }
            Err(error) => self.report.reject(number, error),
        }
    }

    /// Puts the chunk into the queue after the one before it is durable.
    async fn send(&mut self, last_line: u64) -> Result<(), BulkFailure> {
        self.await_pending().await?;
        self.chunk_bytes = 0;
        let (mut chunk, mut lines) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.chunk_lines));
        self.drop_stored(&mut chunk, &mut lines)?;
        if chunk.is_empty() {
            self.durable_lines = last_line;
            return Ok(());
        }
        await_saves(&self.app.store).await;
        let durable = self.app.ingest.submit_all(chunk).map_err(BulkFailure::NotDurable)?;
        self.pending = Some((Box::pin(durable), lines, last_line));
        Ok(())
    }

    /// Leaves out what a shared store has already. It does not say so when it counts.
    fn drop_stored(&mut self, chunk: &mut Vec<Change>, lines: &mut Vec<u64>) -> Result<(), BulkFailure> {
        let known = self.app.store.stored(chunk);
        let known = known.map_err(|error| BulkFailure::NotDurable(NotDurable(error.to_string())))?;
        let is_new = |place: usize| !known.get(place).copied().unwrap_or_default();
        let repeats = known.iter().filter(|is_known| **is_known).count();
        if repeats > 0 {
            let mut places = 0..;
            chunk.retain(|_| places.next().is_some_and(is_new));
            let mut places = 0..;
            lines.retain(|_| places.next().is_some_and(is_new));
            self.report.duplicate += repeats;
            self.app.metrics.repeated(repeats);
            self.account.meter.imported(0, repeats);
        }
        Ok(())
    }

    /// Waits until the chunk in the queue is durable.
    async fn await_pending(&mut self) -> Result<(), BulkFailure> {
        let Some((durable, lines, last_line)) = self.pending.take() else { return Ok(()) };
        let outcomes = durable.await.map_err(BulkFailure::NotDurable)?;
        let before = (self.report.accepted, self.report.duplicate);
        let failed = outcomes.iter().zip(lines).find_map(|(outcome, line)| match outcome {
            Outcome::Failed(error) => Some(NotDurable(format!("line {line}: {error}"))),
            _ => None,
        });
        outcomes.iter().for_each(|outcome| self.report.add_outcome(outcome));
        let (counted, repeats) = (self.report.accepted - before.0, self.report.duplicate - before.1);
        self.app.metrics.counted(counted);
        self.app.metrics.repeated(repeats);
        self.account.meter.imported(counted, repeats);
        if let Some(failed) = failed {
            return Err(BulkFailure::NotDurable(failed));
        }
        self.durable_lines = last_line;
        Ok(())
    }

    /// Records the days as covered. Not after rejected lines, because then messages of these days are missing.
    async fn claim_covered(&mut self, (from, to): (Day, Day)) -> Result<(), BulkFailure> {
        if self.report.rejected > 0 {
            self.report.covers = Some("not claimed, since lines were rejected");
            return Ok(());
        }
        let to_s = start_of_day_s(to.plus_days(1)).min(self.app.clock.now_s());
        let change = Change::Claim { account: self.account.number, from_s: start_of_day_s(from), to_s };
        let outcome = self.app.ingest.submit(change).await;
        outcome.and_then(|outcome| outcome.taken()).map_err(BulkFailure::NotDurable)?;
        self.report.covers = Some("claimed");
        Ok(())
    }
}

fn check_time(message: Message, now_s: i64) -> Result<Message, String> {
    match implausible(message.create_time, now_s) {
        None => Ok(message),
        Some(_) => Err(format!("CreateTime {} is before 2011 or more than a day ahead", message.create_time)),
    }
}

impl BulkReport {
    fn no_permit() -> BulkReport {
        let seconds = PERMIT_WAIT_MAX.as_secs();
        let error = format!(
            "too many imports run (at most 4 of an account and 16 in all), and none ended within {seconds} s; send everything again later"
        );
        BulkReport { error: Some(error), durable_lines: Some(0), ..BulkReport::default() }
    }

    fn add_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Counted | Outcome::Noted => self.accepted += 1,
            Outcome::Repeat => self.duplicate += 1,
            // The first failure ends the request.
            Outcome::Failed(_) => {}
        }
    }

    fn reject(&mut self, line: u64, error: String) {
        self.rejected += 1;
        if self.errors.len() < ERRORS_SHOWN {
            self.errors.push(BulkLineError { line, error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_import_without_a_permit_fails_and_accounts_do_not_block_each_other() {
        let (one, other, all) = (Semaphore::new(1), Semaphore::new(2), Semaphore::new(2));
        let take = |of_account| permits(of_account, &all, Duration::ZERO);
        let first = take(&one).await;
        assert!(first.is_some() && take(&one).await.is_none(), "the account has no permit left");
        assert_eq!(all.available_permits(), 1, "waiting for the account takes no permit of the server");
        let second = take(&other).await;
        assert!(second.is_some() && take(&other).await.is_none(), "the server has no permit left");
        assert_eq!(other.available_permits(), 1);
        drop(first);
        assert!(take(&one).await.is_some());
    }
}
