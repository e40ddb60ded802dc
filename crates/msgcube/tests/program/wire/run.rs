//! Runs one case on one kind of server.

use std::{net::SocketAddr, time::Duration};

use counting::day_of;
use msgcube::{
    conformance::{
        case::{Callback, Case, FeedBy, Step},
        complaint::Complaint,
        expected::{self, Expectation, Strictness},
        request::Request,
        rows,
        template::{Escaping, Placeholders, RidWindow, fill},
    },
    probe::exchange::{ExchangeResult, RawAnswer, exchange},
};
use tokio::{net::TcpStream, runtime::Runtime};

use crate::{
    harness::Folder,
    wire::{
        feed, sealing,
        servers::{Server, Target},
        settings::{self, moment},
    },
};

/// An answer that takes longer means that the server hangs.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A case that takes longer means that the server hangs.
const CASE_MAX_S: i64 = 600;

/// A case that is running.
struct Run<'a> {
    runtime: Runtime,
    target: Target,
    folder: &'a Folder,
    server: Server,
    known: Placeholders,
    now_s: i64,
}

/// Runs a case and returns its failures, each with the case and the step.
pub fn run(case: &Case, target: Target) -> Vec<String> {
    run_at(case, &case.now, target)
}

/// Runs a case with another clock.
pub fn run_at(case: &Case, now: &str, target: Target) -> Vec<String> {
    let folder = Folder::holding(&settings::of(case, target.prepare()));
    let now_s = moment(now);
    let server = Server::start(target, &folder, now_s);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut run = Run { runtime, target, folder: &folder, server, known: known(now_s), now_s };
    run.feed(case);
    let mut failures = Vec::new();
    for (at, step) in case.step.iter().enumerate() {
        if let Some(moment_text) = &step.restart {
            run = run.restart(moment(moment_text));
            continue;
        }
        let is_of_one_process = step.send.as_deref() == Some("GET /metrics");
        if is_of_one_process && target.has_several_processes() {
            continue;
        }
        let wrong = run.step(step, !case.feed.is_empty());
        failures.extend(wrong.map(|wrong| format!("{}, step {}, {now}:\n{wrong}", case.name, at + 1)));
    }
    run.server.stop();
    failures
}

fn known(now_s: i64) -> Placeholders {
    let mut known = Placeholders::on(day_of(now_s));
    for (name, value) in [
        ("appid", settings::APPID),
        ("secret", settings::SECRET),
        ("other", settings::OTHER),
        ("other_secret", settings::OTHER_SECRET),
        ("admin_key", settings::ADMIN_KEY),
    ] {
        known.insert(name, value);
    }
    known
}

impl Run<'_> {
    fn restart(self, now_s: i64) -> Self {
        self.server.stop();
        let server = Server::start(self.target, self.folder, now_s);
        Run { server, now_s, ..self }
    }

    fn feed(&self, case: &Case) {
        for (lines, other) in [(&case.feed, false), (&case.feed_other, true)] {
            let filled = |line: &String| text(fill(line, &self.known, Escaping::Plain).unwrap());
            let messages = feed::messages(&lines.iter().map(filled).collect::<Vec<_>>());
            match case.feed_by {
                _ if messages.is_empty() => {}
                FeedBy::Bulk => {
                    let text: String = messages.iter().map(feed::Message::line).collect();
                    self.bulk(other, "", text, messages.len());
                }
                FeedBy::Callbacks => {
                    messages.iter().for_each(|message| self.feed_callback(&message.callback(other)));
                }
            }
        }
        if let Some(days) = &case.covers {
            self.bulk(false, &format!("?covers={days}"), String::new(), 0);
        }
    }

    fn bulk(&self, other: bool, query: &str, text: String, accepted: usize) {
        let appid = if other { settings::OTHER } else { settings::APPID };
        let line = format!("POST /v1/accounts/{appid}/messages{query}").into_bytes();
        let headers = vec![format!("Authorization: Bearer {}", settings::ADMIN_KEY)];
        let request = Request { line, headers, body: Some(text.into_bytes()), chunked: false };
        let answer = self.ask(&request);
        let start = format!("{{\"accepted\":{accepted},\"duplicate\":0,\"rejected\":0,\"errors\":[]");
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && body.starts_with(&start), "feeding: {body}");
    }

    fn feed_callback(&self, callback: &Callback) {
        let answer = self.ask(&sealing::request(callback, self.now_s));
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && body == "success", "feeding: {body}");
    }

    fn ask(&self, request: &Request) -> RawAnswer {
        self.exchange(self.server.address(false), request, 1).remove(0).expect("an answer")
    }

    fn exchange(&self, address: SocketAddr, request: &Request, times: usize) -> Vec<ExchangeResult> {
        let requests = (1..=times).map(|n| request.bytes("api.weixin.qq.com", "", n == times));
        self.runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            exchange(Box::new(stream), requests, WAIT_MAX).await
        })
    }

    /// Sends the request of a step. Returns what is wrong with the answers, if anything.
    fn step(&mut self, step: &Step, is_fed: bool) -> Option<String> {
        for (name, appid, secret) in [
            ("token", settings::APPID, settings::SECRET),
            ("other_token", settings::OTHER, settings::OTHER_SECRET),
        ] {
            self.fetch_token(name, appid, secret);
        }
        let request = self.request(step);
        let times = if step.twice { 2 } else { 1 };
        let answers = self.exchange(self.server.address(step.at_admin), &request, times);
        let moment = RidWindow { earliest_s: self.now_s, latest_s: self.now_s + CASE_MAX_S };
        let held =
            Expectation { step, request: &request, known: &self.known, moment, rigour: Strictness::Bytes };
        let mut wrong = Vec::new();
        for answer in &answers {
            wrong.extend(expected::complaints(&held, answer).iter().map(english));
            // If the case has messages, the answer must have rows.
            if step.rows && is_fed && answer.as_ref().is_ok_and(|answer| rows::count(&answer.body) == Some(0))
            {
                wrong.push("no rows, although the case has messages".to_owned());
            }
        }
        expected::remember(step, answers.first(), &mut self.known);
        (!wrong.is_empty()).then(|| describe(&request, &answers, &wrong))
    }

    /// Requests an access token, unless the case already has this one.
    fn fetch_token(&mut self, name: &str, appid: &str, secret: &str) {
        if self.known.holds(name) {
            return;
        }
        let line = format!("GET /cgi-bin/token?grant_type=client_credential&appid={appid}&secret={secret}");
        let answer: serde_json::Value = serde_json::from_slice(&self.ask(&Request::new(line)).body).unwrap();
        if let Some(token) = answer["access_token"].as_str() {
            self.known.insert(name, token);
        }
    }

    fn request(&self, step: &Step) -> Request {
        let request = match &step.callback {
            Some(callback) => sealing::request(callback, self.now_s).completed(step, &self.known),
            None => Request::of(step, &self.known),
        };
        let mut request = request.unwrap();
        let path = request.target();
        let needs_key = path.starts_with(b"/v1") || path.starts_with(b"/metrics");
        match step.admin_key.as_deref() {
            Some("") => {}
            Some(key) => request.headers.push(format!("Authorization: {key}")),
            None if needs_key => {
                request.headers.push(format!("Authorization: Bearer {}", settings::ADMIN_KEY));
            }
            None => {}
        }
        request
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn english(complaint: &Complaint) -> String {
    complaint.text().english()
}

fn describe(request: &Request, answers: &[ExchangeResult], wrong: &[String]) -> String {
    let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    let body = request.body.as_deref().map(short).unwrap_or_default();
    let answers: Vec<String> = answers
        .iter()
        .flatten()
        .map(|answer| format!("  < {} {:?}\n  < {}", answer.status, answer.headers, short(&answer.body)))
        .collect();
    format!("  > {} {body}\n{}\n  {}", short(&request.line), answers.join("\n"), wrong.join("\n  "))
}
