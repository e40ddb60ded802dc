//! Runs one case on one target.

use std::path::Path;

use crate::{
    case::{Callback, Case, FeedBy, Step},
    exchange::{Answer, Request, exchange},
    expected, feed,
    servers::{Server, Target},
    settings::{self, moment},
    template::{Known, fill},
};

/// A server in the middle of a case.
struct Run<'a> {
    target: Target,
    folder: &'a Path,
    server: Server,
    known: Known,
    now_s: i64,
}

/// What went wrong, each with the case and the step.
pub fn run(case: &Case, target: Target) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("msgcube.toml"), settings::of(case)).unwrap();
    let now_s = moment(&case.now);
    let server = Server::start(target, folder.path(), now_s);
    let mut run = Run { target, folder: folder.path(), server, known: known(), now_s };
    run.feed(case);
    let mut failures = Vec::new();
    for (at, step) in case.step.iter().enumerate() {
        if let Some(moment_text) = &step.restart {
            run = run.restart(moment(moment_text));
            continue;
        }
        let wrong = run.step(step);
        failures.extend(wrong.map(|wrong| format!("{}, step {}:\n{wrong}", case.name, at + 1)));
    }
    run.server.stop();
    failures
}

fn known() -> Known {
    let names = [
        ("appid", settings::APPID),
        ("secret", settings::SECRET),
        ("other", settings::OTHER),
        ("other_secret", settings::OTHER_SECRET),
        ("admin_key", settings::ADMIN_KEY),
    ];
    let mut known: Known = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let line = r#"{"FromUserName":"o1","CreateTime":1414807200,"MsgType":"text","MsgId":1}"#;
    // A message as long as a line of bulk may be.
    known.insert("64 KiB".to_owned(), line.to_owned() + &" ".repeat(65_536 - line.len()));
    known
}

impl Run<'_> {
    fn restart(self, now_s: i64) -> Self {
        let Run { target, folder, server, known, .. } = self;
        server.stop();
        Run { target, folder, server: Server::start(target, folder, now_s), known, now_s }
    }

    fn feed(&self, case: &Case) {
        for (lines, other) in [(&case.feed, false), (&case.feed_other, true)] {
            let messages = feed::messages(lines);
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
        let answer = self.ask(&callback.request(self.now_s));
        let body = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && body == "success", "feeding: {body}");
    }

    fn ask(&self, request: &Request) -> Answer {
        let answer = exchange(self.server.address(false), request, 1).remove(0);
        answer.expect("an answer")
    }

    /// Sends a step's request; what is wrong with its answers, if anything.
    fn step(&mut self, step: &Step) -> Option<String> {
        for (name, appid, secret) in [
            ("token", settings::APPID, settings::SECRET),
            ("other_token", settings::OTHER, settings::OTHER_SECRET),
        ] {
            self.fetch_token(name, appid, secret);
        }
        let request = self.request(step);
        let times = if step.twice { 2 } else { 1 };
        let answers = exchange(self.server.address(step.at_admin), &request, times);
        let mut wrong = Vec::new();
        for answer in &answers {
            wrong.extend(expected::complaints(step, &request.line, answer.as_ref(), &self.known, self.now_s));
        }
        for (name, field) in &step.remember {
            let body = answers[0].as_ref().map(|answer| answer.body.clone()).unwrap_or_default();
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let rid = || value["errmsg"].as_str().and_then(|text| Some(text.split_once("rid: ")?.1));
            let found = if field.starts_with('/') { value.pointer(field) } else { value.get(field) };
            let text = found.and_then(serde_json::Value::as_str);
            let text = text.or_else(|| if field == "rid" { rid() } else { None });
            self.known.insert(name.clone(), text.unwrap_or_default().to_owned());
        }
        (!wrong.is_empty()).then(|| describe(&request, &answers, &wrong))
    }

    /// The usual tokens, unless the case got others, or there are none.
    fn fetch_token(&mut self, name: &str, appid: &str, secret: &str) {
        if self.known.contains_key(name) {
            return;
        }
        let line = format!("GET /cgi-bin/token?grant_type=client_credential&appid={appid}&secret={secret}");
        let request = Request { line: line.into_bytes(), headers: Vec::new(), body: None, chunked: false };
        let answer: serde_json::Value = serde_json::from_slice(&self.ask(&request).body).unwrap();
        if let Some(token) = answer["access_token"].as_str() {
            self.known.insert(name.to_owned(), token.to_owned());
        }
    }

    fn request(&self, step: &Step) -> Request {
        let mut request = if let Some(callback) = &step.callback {
            callback.request(self.now_s)
        } else if let Some([name, begin, end]) = &step.ask {
            ask(name, begin, end, &self.known)
        } else {
            let line = step.send.as_deref().expect("a step sends something");
            Request { line: fill(line, &self.known), headers: Vec::new(), body: None, chunked: false }
        };
        request.chunked = step.chunked;
        let filled = |text: &String| String::from_utf8(fill(text, &self.known)).unwrap();
        request.headers.extend(step.headers.iter().map(filled));
        if let Some(body) = &step.body {
            request.body = Some(fill(body, &self.known).repeat(step.body_times.unwrap_or(1)));
        }
        let path = request.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
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

/// As wechatpy sends it: blanks in the JSON, no Content-Type.
fn ask(name: &str, begin: &str, end: &str, known: &Known) -> Request {
    let line = format!("POST /datacube/getupstreammsg{name}?access_token={{token}}");
    let body = format!(r#"{{"begin_date": "{begin}", "end_date": "{end}"}}"#).into_bytes();
    let headers = vec!["Accept-Encoding: gzip, deflate".to_owned(), "Accept: */*".to_owned()];
    Request { line: fill(&line, known), headers, body: Some(body), chunked: false }
}

fn describe(request: &Request, answers: &[Option<Answer>], wrong: &[String]) -> String {
    let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    let body = request.body.as_deref().map(short).unwrap_or_default();
    let answers: Vec<String> = answers
        .iter()
        .flatten()
        .map(|answer| format!("  < {} {:?}\n  < {}", answer.status, answer.headers, short(&answer.body)))
        .collect();
    format!("  > {} {body}\n{}\n  {}", short(&request.line), answers.join("\n"), wrong.join("\n  "))
}
