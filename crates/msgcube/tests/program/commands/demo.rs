//! `msgcube demo`: everything that it prints can be opened or pasted, and messages arrive while it runs.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    commands::scene::TestResult,
    harness::{binary, client, form},
};

/// Messages that a test sends at once. The demo itself sends one about every 3 s.
const SENT: u64 = 20;
/// A message of the demo is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running demo. It is killed when dropped.
struct RunningDemo {
    child: Child,
    _rest: Lines<BufReader<ChildStdout>>,
    /// What it printed, each command in one line.
    lines: Vec<String>,
}

impl RunningDemo {
    fn start(options: &[&str]) -> TestResult<RunningDemo> {
        let mut child = Command::new(binary())
            .arg("demo")
            .args(options)
            .args(["--lang", "en"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut rest = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let (mut lines, mut line) = (Vec::new(), String::new());
        while !line.starts_with("Ctrl-C") {
            line = rest.next().ok_or_else(|| format!("it ended after {lines:?}"))??;
            while let Some(begun) = line.strip_suffix('\\') {
                line = begun.to_owned() + rest.next().ok_or("a command ends early")??.trim_start();
            }
            lines.push(line.clone());
        }
        Ok(RunningDemo { child, _rest: rest, lines })
    }

    /// The rest of the only line that begins so.
    fn after(&self, beginning: &str) -> TestResult<&str> {
        let mut found = self.lines.iter().filter_map(|line| line.strip_prefix(beginning));
        let rest =
            found.next().ok_or_else(|| format!("no line begins with {beginning}: {:?}", self.lines))?;
        assert_eq!(found.next(), None, "{beginning} is printed twice");
        Ok(rest)
    }

    /// The commands that can be pasted: those of msgcube and of curl.
    fn commands(&self) -> TestResult<Vec<&str>> {
        let program = binary().into_string().map_err(|_| "its path is not UTF-8")?;
        let is_command = |line: &&str| line.starts_with(&program) || line.starts_with("curl ");
        Ok(self.lines.iter().map(String::as_str).filter(is_command).collect())
    }

    /// The command that contains this word.
    fn command(&self, word: &str) -> TestResult<&str> {
        let commands = self.commands()?;
        Ok(commands.into_iter().find(|line| line.contains(word)).ok_or_else(|| format!("no {word}"))?)
    }

    /// Each account of the printed `/v1/summary`, and the time of the answer.
    fn summary(&self) -> TestResult<(String, HashMap<String, Value>)> {
        let answer: Value = serde_json::from_slice(&pasted(self.command("/v1/summary")?)?.stdout)?;
        let time = answer["time"].as_str().ok_or("no time")?.to_owned();
        let accounts = answer["accounts"].as_array().ok_or("no accounts")?;
        let named = |account: &Value| Some((account["name"].as_str()?.to_owned(), account.clone()));
        Ok((time, accounts.iter().filter_map(named).collect()))
    }

    /// Ctrl-C. Returns the exit code.
    fn interrupt(&mut self) -> TestResult<Option<i32>> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        Ok(self.child.wait()?.code())
    }
}

impl Drop for RunningDemo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a line as a shell does. It must succeed.
fn pasted(line: &str) -> TestResult<Output> {
    let output = Command::new("sh").args(["-c", line]).output()?;
    assert!(output.status.success(), "{line}: {output:?}");
    Ok(output)
}

fn messages(accounts: &HashMap<String, Value>, key: &str) -> u64 {
    accounts.values().filter_map(|account| account[key].as_u64()).sum()
}

/// Repeats `attempt` until it gives a result.
fn wait_for<T>(mut attempt: impl FnMut() -> TestResult<Option<T>>) -> TestResult<T> {
    let started = Instant::now();
    loop {
        if let Some(result) = attempt()? {
            return Ok(result);
        }
        assert!(started.elapsed() < PATIENCE, "it does not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn every_command_that_the_demo_prints_works() -> TestResult<()> {
    let demo = RunningDemo::start(&["--accounts", "1", "--scale", "0.01"])?;
    let commands = demo.commands()?;
    assert_eq!(commands.len(), 4, "send, stats and two of curl: {commands:?}");
    for command in commands {
        let output = pasted(command)?;
        let text = String::from_utf8(output.stdout)?;
        if command.contains("/datacube/") {
            let rows: Value = serde_json::from_str(&text)?;
            assert!(rows["list"][0]["msg_count"].as_u64() > Some(0), "{command}: {rows}");
        }
        assert!(!text.is_empty(), "{command}");
    }
    assert!(demo.after("Your own account: ")?.ends_with("msgcube init run"));
    Ok(())
}

#[test]
fn a_message_that_is_sent_by_hand_shows_in_the_number_of_today() -> TestResult<()> {
    let demo = RunningDemo::start(&["--accounts", "1", "--scale", "0.01"])?;
    let send = demo.command(" send ")?;
    loop {
        let (day, before) = demo.summary()?;
        for _ in 0..SENT {
            pasted(send)?;
        }
        let (same_day, after) = demo.summary()?;
        // After midnight in Beijing, today begins at 0.
        if day[..10] == same_day[..10] {
            assert!(messages(&after, "today") >= messages(&before, "today") + SENT, "{before:?} {after:?}");
            return Ok(());
        }
    }
}

#[tokio::test]
async fn the_dashboard_shows_accounts_that_receive_messages() -> TestResult<()> {
    let mut demo = RunningDemo::start(&["--scale", "0.2"])?;
    let dashboard = demo.after("Dashboard: ")?.to_owned();
    let answer = client().get(&dashboard).send().await?;
    assert_eq!(answer.status().as_u16(), 200);
    let page = answer.text().await?;
    let (_, first) = demo.summary()?;
    assert_eq!(first.len(), 3);
    for (name, account) in &first {
        assert!(page.contains(name), "{name} in {page}");
        assert_eq!(account["state"], "receiving", "{account}");
    }
    let newest = |accounts: &HashMap<String, Value>| {
        accounts.values().filter_map(|account| account["last_message"].as_str().map(str::to_owned)).max()
    };
    let mut last = newest(&first);
    for _ in 0..3 {
        last = wait_for(|| Ok(Some(newest(&demo.summary()?.1)).filter(|next| *next > last)))?;
    }
    let settings = demo.after("AppSecret, Token and EncodingAESKey: ")?.to_owned();
    let folder = Path::new(&settings).parent().ok_or("no folder")?;
    assert!(folder.join("data").is_dir());
    assert_eq!(demo.interrupt()?, Some(0));
    assert!(!folder.exists(), "{} is left", folder.display());
    Ok(())
}

#[tokio::test]
async fn the_demo_checks_the_address_of_each_account() -> TestResult<()> {
    let demo = RunningDemo::start(&["--scale", "0.01"])?;
    let key = demo.command("/v1/summary")?.split(' ').nth(2).ok_or("no key")?;
    let base = demo.after("listening on ")?;
    for (_, account) in demo.summary()?.1 {
        let appid = account["account"].as_str().ok_or("no appid")?;
        let url = format!("{base}/v1/accounts/{appid}/health");
        let ask = || {
            let line = format!("curl -s --oauth2-bearer {key} {url}");
            let health: Value = serde_json::from_slice(&pasted(&line)?.stdout)?;
            assert_eq!(health["failed_checks"], serde_json::json!([]), "{health}");
            assert_eq!(health["coverage"]["gaps"].as_array().map(Vec::len), Some(0), "{health}");
            Ok(Some(health["last_check"]["result"].clone()).filter(|result| !result.is_null()))
        };
        assert_eq!(wait_for(ask)?, "ok");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_browser_on_this_machine_is_signed_in_without_a_key() -> TestResult<()> {
    let demo = RunningDemo::start(&["--accounts", "1", "--scale", "0.001"])?;
    let base = demo.after("listening on ")?.to_owned();
    let port = base.rsplit(':').next().ok_or("no port")?.to_owned();
    let ask = async |path: &str, headers: &[(&str, String)]| -> TestResult<(u16, String)> {
        let mut request = client().get(format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(ask("/ui/keys", &[("Host", format!("{host}:{port}"))]).await?.0, 200, "{host}");
    }
    for foreign in [
        &[("Host", "demo.example.com".to_owned())][..],
        &[("Host", format!("127.0.0.1.example.com:{port}"))],
        &[("X-Forwarded-For", "192.0.2.1".to_owned())],
        &[("Forwarded", "for=192.0.2.1".to_owned())],
        &[("Via", "1.1 proxy".to_owned())],
    ] {
        assert_eq!(ask("/ui/keys", foreign).await?.0, 401, "{foreign:?}");
    }
    let (_, page) = ask("/ui/keys", &[]).await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf = csrf.ok_or("the page has no form")?;
    for (token, status) in [("", 403), (csrf, 200)] {
        let fields = [("scopes", "read"), ("csrf", token)];
        let answer = client().post(format!("{base}/ui/keys")).body(form(&fields)).send().await?;
        assert_eq!(answer.status(), status);
    }
    Ok(())
}
