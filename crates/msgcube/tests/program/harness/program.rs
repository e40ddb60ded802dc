//! A running `msgcube serve`, and requests to it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, ExitStatus},
    time::Duration,
};

use reqwest::{Body, Client, Method, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{ADMIN_KEY, APPID, Folder, SECRET, TestResult, client};

/// Number of checks whether the program has ended, 5 ms apart: 100 s in all.
const CHECKS_MAX: usize = 20_000;

/// A running program. It is killed when dropped. If the test has failed, its log is shown.
pub struct Program {
    folder: Folder,
    child: Child,
    /// Kept open, so that the program can continue to write to it.
    _output: BufReader<ChildStdout>,
    pub base: String,
    /// Base URL of `admin_listen`.
    pub admin: Option<String>,
    pub http: Client,
}

impl Program {
    /// Starts the program on a new folder with the usual account. `top` comes before the account, `more` belongs to it.
    pub fn start(top: &str, more: &str) -> Program {
        Folder::new(top, more).serve().unwrap()
    }

    /// Waits until the started program prints its address. Then it has read its data and is ready.
    pub fn listening(folder: &Folder, mut child: Child) -> TestResult<Program> {
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut address = |what: &str| -> TestResult<String> {
            let mut line = String::new();
            output.read_line(&mut line)?;
            let address = line.trim_end().strip_prefix(what).map(str::to_owned);
            Ok(address.ok_or_else(|| folder.log())?)
        };
        let base = address("listening on ")?;
        let has_admin = fs::read_to_string(folder.config())?.contains("admin_listen");
        let admin = has_admin.then(|| address("admin on ")).transpose()?;
        Ok(Program { folder: folder.clone(), child, _output: output, base, admin, http: client() })
    }

    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// Sends a signal, named as `kill` takes it.
    pub fn signal(&self, name: &str) {
        let signal = match name {
            "-HUP" => Signal::HUP,
            "-KILL" => Signal::KILL,
            "-TERM" => Signal::TERM,
            _ => panic!("no test sends {name}"),
        };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends the program by a signal and returns its exit status.
    pub fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// Sends SIGTERM and returns the exit code. `None` if a signal ended the program.
    pub fn terminate(self) -> Option<i32> {
        self.end("-TERM").code()
    }

    /// Waits until the program ends.
    pub fn wait(&mut self) -> ExitStatus {
        for _ in 0..CHECKS_MAX {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }

    /// Ends the program by a signal and starts it again on the same folder.
    pub fn restart(&mut self, signal: &str) {
        self.restart_with(signal, &[]);
    }

    /// Like [`Program::restart`], with options of `serve`.
    pub fn restart_with(&mut self, signal: &str, options: &[&str]) {
        self.signal(signal);
        self.wait();
        let again = self.folder.serve_with(options).unwrap();
        let http = std::mem::replace(&mut self.http, again.http.clone());
        *self = again;
        self.http = http;
    }

    pub fn log(&self) -> String {
        self.folder.log()
    }

    /// Runs a command in the folder of the program. Returns whether it succeeded, and its output.
    pub fn command(&self, args: &[&str]) -> (bool, String) {
        let ended = self.folder.run(args).unwrap();
        (ended.status == 0, ended.out + &ended.err)
    }

    /// The bytes of all files in the data folder.
    pub fn stored(&self) -> Vec<u8> {
        fn walk(folder: &Path, all: &mut Vec<u8>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, all) } else { all.extend(fs::read(path).unwrap()) }
            }
        }
        let mut all = Vec::new();
        walk(&self.folder().join("data"), &mut all);
        all
    }

    pub async fn call(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Calls the admin API with the admin key. Returns status and answer.
    pub async fn admin_call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.call(method, path, ADMIN_KEY, body).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// The answer of the admin API to a GET.
    pub async fn admin_get(&self, path: &str) -> Value {
        let (status, answer) = self.admin_call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Statistics of these days, with one row for each type.
    pub async fn stats(&self, appid: &str, from: &str, to: &str) -> Value {
        let query = format!("from={from}&to={to}&period=total&by=type");
        self.admin_get(&format!("/v1/accounts/{appid}/stats?{query}")).await
    }

    /// Number of all messages of an account.
    pub async fn messages(&self, appid: &str) -> u64 {
        let answer = self.stats(appid, "2011-01-01", "2040-01-01").await;
        answer["rows"].as_array().unwrap().iter().map(|row| row["messages"].as_u64().unwrap()).sum()
    }

    /// The coverage of an account.
    pub async fn coverage(&self, appid: &str) -> Value {
        self.admin_get(&format!("/v1/accounts/{appid}/coverage")).await
    }

    /// Sends messages to the bulk interface and returns its answer.
    pub async fn bulk(&self, appid: &str, lines: impl Into<Body>) -> Value {
        let url = format!("{}/v1/accounts/{appid}/messages", self.base);
        let answer = self.http.post(url).bearer_auth(ADMIN_KEY).body(lines).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    pub async fn metrics(&self) -> String {
        let answer = self.call(Method::GET, "/metrics", ADMIN_KEY, None).await;
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    /// The value of the metric whose line starts with this, or 0.
    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Posts JSON as a client of WeChat does, and returns the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.base)).json(body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Calls an interface with a token.
    pub async fn ask(&self, token: &str, path: &str, body: Value) -> Value {
        self.post(&format!("{path}?access_token={token}"), &body).await
    }

    /// Requests an access token from the program.
    pub async fn token(&self, appid: &str, secret: &str) -> Value {
        let body = json!({"grant_type": "client_credential", "appid": appid, "secret": secret});
        self.post("/cgi-bin/stable_token", &body).await
    }

    pub async fn access_token(&self) -> String {
        self.token(APPID, SECRET).await["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the program's log\n{}---", self.log());
        }
    }
}
