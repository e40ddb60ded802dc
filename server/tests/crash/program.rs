//! The real program, started on a folder, asked, and stopped in one way or the other.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::Outcome;
use crate::ledger::{Message, Totals};

pub(crate) const APPID: &str = "wxcrash000000000001";
pub(crate) const TOKEN: &str = "crashToken";
pub(crate) const ADMIN_KEY: &str = "crash-admin-key";

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Kept open, so that the program can go on writing to it.
    _output: BufReader<ChildStdout>,
    base: String,
    started: Timestamp,
    http: reqwest::Client,
}

/// A kill, and when the program was started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    killed: Timestamp,
    started_again: Option<Timestamp>,
}

/// The answer to a bulk request.
#[derive(Debug, Deserialize)]
pub(crate) struct BulkAnswer {
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
}

#[derive(Deserialize)]
struct Stats {
    rows: Vec<Row>,
    coverage: Coverage,
}

#[derive(Deserialize)]
struct Row {
    r#type: String,
    users: u64,
    messages: u64,
}

#[derive(Debug, Deserialize)]
struct Coverage {
    /// From, to, why, and for some more.
    gaps: Vec<Vec<serde_json::Value>>,
}

impl Program {
    /// Starts it and waits until it says where it listens and that it is ready.
    pub(crate) async fn start(folder: &Path) -> Outcome<Program> {
        let config = folder.join("msgcube.toml");
        let data = folder.join("data");
        std::fs::write(&config, configuration(&data))?;
        let started = Timestamp::now();
        let binary = std::env::var_os("MSGCUBE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_msgcube").into());
        let mut child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(folder.join("log"))?)
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let base = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(|rest| rest.trim().to_owned()))
            .ok_or_else(|| {
                format!(
                    "it did not start: {}",
                    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
                )
            })?;
        let program = Program { child, _output: output, base, started, http: http() };
        program.wait_until_ready().await?;
        Ok(program)
    }

    /// Shared: each connection that is needed at the same time is another one all the same.
    pub(crate) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Notes on the kill before that this is the start after it.
    pub(crate) fn started_after(&self, stop: &mut Stop) {
        stop.started_again = Some(self.started);
    }

    async fn wait_until_ready(&self) -> Outcome<()> {
        for _ in 0..60_000 {
            if self.http.get(format!("{}/readyz", self.base)).send().await?.status().is_success() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("not ready within 300 s".into())
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(mut self) -> Outcome<Stop> {
        let killed = Timestamp::now();
        self.child.kill()?;
        self.child.wait()?;
        Ok(Stop { killed, started_again: None })
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(mut self) -> Outcome<ExitStatus> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("still there 100 s after SIGTERM".into())
    }

    /// Everything counted, by type, as the own statistics say.
    pub(crate) async fn totals(&self) -> Outcome<Totals> {
        let rows = self.stats().await?.rows;
        Ok(rows.into_iter().map(|row| (row.r#type, (row.users, row.messages))).collect())
    }

    async fn stats(&self) -> Outcome<Stats> {
        let day = |offset: i64| {
            let moment = self.started.as_second() + (8 + offset * 24) * 3600;
            Timestamp::from_second(moment).map(|moment| moment.to_string()[..10].to_owned())
        };
        let range = format!("from={}&to={}&period=total&by=type", day(-2)?, day(2)?);
        let url = format!("{}/v1/accounts/{APPID}/stats?{range}", self.base);
        let answer = self.http.get(url).bearer_auth(ADMIN_KEY).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// One bulk request.
    pub(crate) async fn bulk(&self, messages: &[Message]) -> Outcome<BulkAnswer> {
        let url = format!("{}/v1/accounts/{APPID}/messages", self.base);
        let body: String = messages.iter().map(Message::line).collect();
        let answer =
            self.http.post(url).bearer_auth(ADMIN_KEY).body(body).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Every kill lies in a gap, from the kill until the program was started again, give or take a second of rounding.
    pub(crate) async fn assert_gaps(&self, stops: &[Stop]) -> Outcome<()> {
        let gaps = self.stats().await?.coverage.gaps;
        for stop in stops {
            let again = stop.started_again.ok_or("never started again")?;
            let mut covering = false;
            for gap in &gaps {
                let moment = |at: usize| gap[at].as_str().unwrap_or_default().parse::<Timestamp>();
                let (from, to) = (moment(0)?, moment(1)?);
                covering |= from.as_second() <= stop.killed.as_second() + 1
                    && to.as_second() + 1 >= again.as_second();
            }
            assert!(covering, "{stop:?} lies in none of the gaps {gaps:?}");
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(data: &Path) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = \"{}\"\nadmin_key = \"{ADMIN_KEY}\"\n\n\
         [[account]]\nappid = \"{APPID}\"\nsecret = \"crash-secret\"\ntoken = \"{TOKEN}\"\n",
        data.display()
    )
}

/// A client for servers on this machine.
pub(crate) fn http() -> reqwest::Client {
    let client = local_http().build();
    client.unwrap_or_else(|error| unreachable!("a client with no settings of its own: {error}"))
}

/// Settings of a client for servers on this machine. reqwest leaves the choice of the cryptography to the program.
fn local_http() -> reqwest::ClientBuilder {
    // Fails if it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}
