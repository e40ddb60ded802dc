//! `POST /v1/accounts/{appid}/messages`: many messages as lines of JSON or XML documents, streamed. While one chunk waits for the
//! disk the next is being read.

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
use storage::store::{Change, NotDurable, Outcome};
use tokio::sync::{Semaphore, SemaphorePermit};
use wechat::callback::{
    cutter::{Cutter, Item},
    json::bulk_line,
};

use super::no_account;
use crate::{
    accounts::registry::Account,
    http::{answer, state::App},
    intake::implausible,
};

/// Source: the contract.
const ERRORS_SHOWN: usize = 100;
/// Messages made durable together: enough that the sync does not count, few enough that callbacks need not wait long.
const CHUNK: usize = 4096;
/// Bytes of lines that are enough for a chunk, however few they are.
const CHUNK_BYTES: usize = 2 << 20;
/// A sender that is silent for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a request waits for others to end.
const PLACE_WITHIN: Duration = Duration::from_secs(10);

#[derive(Default, Serialize)]
struct Report {
    accepted: usize,
    duplicate: usize,
    rejected: usize,
    errors: Vec<LineError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<&'static str>,
}

#[derive(Serialize)]
struct LineError {
    line: u64,
    error: String,
}

pub async fn receive(
    State(app): State<Arc<App>>,
    Path(appid): Path<String>,
    request: Request,
) -> Response<Body> {
    let Some(account) = app.accounts.get(&appid) else { return no_account() };
    let covers = match covers(request.uri().query().unwrap_or("")) {
        Ok(covers) => covers,
        Err(error) => return answer::own_error(StatusCode::BAD_REQUEST, error),
    };
    let Some(_places) = places(&account.bulk_places, &app.bulk_places, PLACE_WITHIN).await else {
        return answer::own(StatusCode::SERVICE_UNAVAILABLE, &Report::no_place());
    };
    let mut intake = Intake::new(&app, &account);
    let mut result = intake.read(request.into_body()).await;
    if result.is_ok()
        && let Some(days) = covers
    {
        result = intake.claim(days).await;
    }
    let (mut report, durable_lines) = (intake.report, intake.durable_lines);
    app.metrics.rejected(report.rejected);
    let status = match result {
        Ok(()) => StatusCode::OK,
        Err(failure) => {
            report.error = Some(failure.text());
            report.durable_lines = Some(durable_lines);
            failure.status()
        }
    };
    answer::own(status, &report)
}

/// A place among those of the account, and one among all.
async fn places<'a>(
    of_account: &'a Semaphore,
    of_all: &'a Semaphore,
    within: Duration,
) -> Option<[SemaphorePermit<'a>; 2]> {
    let both = async { Some([of_account.acquire().await.ok()?, of_all.acquire().await.ok()?]) };
    tokio::time::timeout(within, both).await.ok()?
}

/// Why not every line was taken.
enum Failure {
    NotDurable(NotDurable),
    Body(&'static str),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Failure::NotDurable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Body(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn text(&self) -> String {
        match self {
            Failure::NotDurable(error) => {
                format!("{error}; send everything again later, repeats are not counted twice")
            }
            Failure::Body(error) => format!("{error}; send everything again, repeats are not counted twice"),
        }
    }
}

fn covers(query: &str) -> Result<Option<(Day, Day)>, String> {
    let value = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "covers");
    let Some((_, text)) = value else { return Ok(None) };
    let error = || format!("covers={text}: write two days like covers=2025-01-01..2025-12-31");
    let (from, to) = text.split_once("..").ok_or_else(error)?;
    let (from, to): (Day, Day) = (from.parse().map_err(|_| error())?, to.parse().map_err(|_| error())?);
    if from > to { Err(error()) } else { Ok(Some((from, to))) }
}

type Durable<'a> = Pin<Box<dyn Future<Output = Result<Vec<Outcome>, NotDurable>> + Send + 'a>>;

/// One request's lines on their way to the disk.
struct Intake<'a> {
    app: &'a App,
    account: &'a Account,
    report: Report,
    chunk: Vec<Change>,
    chunk_bytes: usize,
    /// The line each message of the chunk came from.
    chunk_lines: Vec<u64>,
    /// A chunk in the queue: its outcomes to come, its lines, and the last line read when it went.
    pending: Option<(Durable<'a>, Vec<u64>, u64)>,
    /// Every line up to this one is durable, a repeat, or rejected; of a document its first line.
    durable_lines: u64,
}

impl<'a> Intake<'a> {
    fn new(app: &'a App, account: &'a Account) -> Intake<'a> {
        let (chunk, chunk_lines, pending) = (Vec::new(), Vec::new(), None);
        let (report, chunk_bytes, durable_lines) = (Report::default(), 0, 0);
        Intake { app, account, report, chunk, chunk_bytes, chunk_lines, pending, durable_lines }
    }

    async fn read(&mut self, mut body: Body) -> Result<(), Failure> {
        let mut cutter = Cutter::default();
        let end = loop {
            let frame = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break Ok(()),
                Ok(Some(Err(_))) => {
                    break Err(Failure::Body("the connection broke before the end of the body"));
                }
                Err(_) => break Err(Failure::Body("no byte of the body came for 60 s")),
            };
            let Ok(data) = frame.into_data() else { continue };
            cutter.push(&data);
            self.take_all(&mut cutter).await?;
        };
        if end.is_ok() {
            cutter.end();
            self.take_all(&mut cutter).await?;
        }
        self.send(cutter.number()).await?;
        self.settle().await?;
        end
    }

    async fn take_all(&mut self, cutter: &mut Cutter) -> Result<(), Failure> {
        while let Some((number, item)) = cutter.next_item() {
            self.take(number, item);
            if self.chunk.len() >= CHUNK || self.chunk_bytes >= CHUNK_BYTES {
                self.send(number).await?;
            }
        }
        Ok(())
    }

    fn take(&mut self, number: u64, item: Item<'_>) {
        let taken = match item {
            Item::Bad(why) => Err(why.to_owned()),
            Item::Whole(line) if line.trim_ascii().is_empty() => return,
            Item::Whole(line) => {
                self.chunk_bytes += line.len();
                bulk_line(line).map_err(|flaw| flaw.to_string())
            }
        };
        match taken.and_then(|message| check_time(message, self.app.clock.now_s())) {
            Ok(message) => {
                self.chunk.push(Change::Message { account: self.account.number, message });
                self.chunk_lines.push(number);
            }
            Err(error) => self.report.reject(number, error),
        }
    }

    /// Puts the chunk into the queue, once the one before it is durable.
    async fn send(&mut self, last_line: u64) -> Result<(), Failure> {
        self.settle().await?;
        self.chunk_bytes = 0;
        let (chunk, lines) = (std::mem::take(&mut self.chunk), std::mem::take(&mut self.chunk_lines));
        if chunk.is_empty() {
            self.durable_lines = last_line;
            return Ok(());
        }
        let durable = self.app.ingest.submit_all(chunk).map_err(Failure::NotDurable)?;
        self.pending = Some((Box::pin(durable), lines, last_line));
        Ok(())
    }

    /// Waits for the chunk in the queue.
    async fn settle(&mut self) -> Result<(), Failure> {
        let Some((durable, lines, last_line)) = self.pending.take() else { return Ok(()) };
        let outcomes = durable.await.map_err(Failure::NotDurable)?;
        let before = (self.report.accepted, self.report.duplicate);
        let failed = outcomes.iter().zip(lines).find_map(|(outcome, line)| match outcome {
            Outcome::Failed(error) => Some(NotDurable(format!("line {line}: {error}"))),
            _ => None,
        });
        outcomes.iter().for_each(|outcome| self.report.note(outcome));
        self.app.metrics.counted(self.report.accepted - before.0);
        self.app.metrics.repeated(self.report.duplicate - before.1);
        if let Some(failed) = failed {
            return Err(Failure::NotDurable(failed));
        }
        self.durable_lines = last_line;
        Ok(())
    }

    /// Notes the days as covered, unless lines were rejected: then something of them is missing.
    async fn claim(&mut self, (from, to): (Day, Day)) -> Result<(), Failure> {
        if self.report.rejected > 0 {
            self.report.covers = Some("not claimed, since lines were rejected");
            return Ok(());
        }
        let to_s = start_of_day_s(to.plus_days(1)).min(self.app.clock.now_s());
        let change = Change::Claim { account: self.account.number, from_s: start_of_day_s(from), to_s };
        let outcome = self.app.ingest.submit(change).await;
        outcome.and_then(|outcome| outcome.taken()).map_err(Failure::NotDurable)?;
        self.report.covers = Some("claimed");
        Ok(())
    }
}

fn check_time(message: Message, now_s: i64) -> Result<Message, String> {
    match implausible(message.create_time, now_s) {
        None => Ok(message),
        Some(_) => {
            Err(format!("CreateTime {} lies before 2011 or more than a day ahead", message.create_time))
        }
    }
}

impl Report {
    fn no_place() -> Report {
        let seconds = PLACE_WITHIN.as_secs();
        let error = format!(
            "other imports, 4 of an account and 16 in all at most, did not end within {seconds} s; send everything again later"
        );
        Report { error: Some(error), durable_lines: Some(0), ..Report::default() }
    }

    fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Counted | Outcome::Noted => self.accepted += 1,
            Outcome::Repeat => self.duplicate += 1,
            // The first of them ends the request.
            Outcome::Failed(_) => {}
        }
    }

    fn reject(&mut self, line: u64, error: String) {
        self.rejected += 1;
        if self.errors.len() < ERRORS_SHOWN {
            self.errors.push(LineError { line, error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_finds_no_place_is_told_so_and_another_account_has_its_own() {
        let (one, other, all) = (Semaphore::new(1), Semaphore::new(2), Semaphore::new(2));
        let take = |of_account| places(of_account, &all, Duration::ZERO);
        let first = take(&one).await;
        assert!(first.is_some() && take(&one).await.is_none(), "all of the account");
        assert_eq!(all.available_permits(), 1, "whoever waits for the account holds no place of others");
        let second = take(&other).await;
        assert!(second.is_some() && take(&other).await.is_none(), "all of all");
        assert_eq!(other.available_permits(), 1);
        drop(first);
        assert!(take(&one).await.is_some());
    }
}
