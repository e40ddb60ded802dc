//! The program on a folder of its own, and requests to it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use reqwest::{Client, Method, Response};
use serde_json::Value;
use tempfile::TempDir;

pub const ADMIN_KEY: &str = "front-admin-key";
pub const APPID: &str = "wx00000000000000a1";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "frontToken";
pub const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// `msgcube serve`; killed when dropped.
pub struct Program {
    folder: TempDir,
    child: Option<Child>,
    /// Kept open, so that the program can go on writing to it.
    output: Option<BufReader<ChildStdout>>,
    pub base: String,
    pub http: Client,
}

/// Settings of a client for servers on this machine. reqwest leaves the choice of the cryptography to the program.
pub fn local_http() -> reqwest::ClientBuilder {
    // Fails if it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}

impl Program {
    /// Starts it with one account and what else the configuration says: `top` before the account, `account` within it.
    pub fn start(top: &str, account: &str) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin_key = \"{ADMIN_KEY}\"\n{top}\n[[account]]\nappid = \"{APPID}\"\n\
             secret = \"{SECRET}\"\ntoken = \"{TOKEN}\"\nencoding_aes_key = \"{AES_KEY}\"\n{account}\n"
        );
        std::fs::write(folder.path().join("msgcube.toml"), text).unwrap();
        // Certificates of a test's own authority are checked by those tests.
        let http = local_http().build().unwrap();
        let mut program = Program { folder, child: None, output: None, base: String::new(), http };
        program.run();
        program
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_msgcube"))
            .args(["serve", "--config", "msgcube.toml"])
            .current_dir(self.folder())
            .env_remove("MSGCUBE_ADMIN_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        self.base =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{}", self.log())).to_owned();
        (self.child, self.output) = (Some(child), Some(output));
    }

    /// Ends it, gracefully or not, and starts it again on the same folder.
    pub fn restart(&mut self, signal: &str) {
        let mut child = self.child.take().unwrap();
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
        self.run();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let child = self.child.as_ref().unwrap();
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// All bytes below the data folder.
    pub fn stored(&self) -> Vec<u8> {
        fn walk(folder: &Path, all: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, all) } else { all.extend(std::fs::read(path).unwrap()) }
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

    /// The own interface with the admin key: status and answer.
    pub async fn own(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.call(method, path, ADMIN_KEY, body).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// A token of the program's own.
    pub async fn token(&self, appid: &str, secret: &str) -> Value {
        let url = format!("{}/cgi-bin/stable_token", self.base);
        let body = serde_json::json!({"grant_type": "client_credential", "appid": appid, "secret": secret});
        self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }

    pub async fn access_token(&self) -> String {
        self.token(APPID, SECRET).await["access_token"].as_str().unwrap().to_owned()
    }

    /// Messages counted of an account, all of its time.
    pub async fn messages(&self, appid: &str) -> u64 {
        let path = format!("/v1/accounts/{appid}/stats?from=2011-01-01&to=2040-01-01&period=total&by=type");
        let (status, answer) = self.own(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["rows"].as_array().unwrap().iter().map(|row| row["messages"].as_u64().unwrap()).sum()
    }

    /// The value of a metric whose line begins so; 0 if there is none.
    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.call(Method::GET, "/metrics", ADMIN_KEY, None).await.text().await.unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
