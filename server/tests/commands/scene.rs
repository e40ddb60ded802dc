//! A folder with a configuration, the program serving it, and the program's other commands run beside it.

use std::{
    error::Error,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    ops::RangeInclusive,
    process::{Child, ChildStdout, Command, Stdio},
};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

pub(crate) const APPID: &str = "wxcommands00000001";
pub(crate) const ADMIN_KEY: &str = "commands-admin-key";
/// 2025-03-03 in Beijing.
const MARCH_S: u64 = 1_741_000_000;

/// A folder of its own; removed at the end.
pub(crate) struct Scene {
    folder: TempDir,
    now: Timestamp,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `msgcube serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the program can go on writing to it.
    _output: BufReader<ChildStdout>,
    base: String,
}

/// Messages of as many users in March 2025, one a line.
pub(crate) fn lines(numbers: RangeInclusive<u64>) -> Vec<u8> {
    let mut text = String::new();
    for number in numbers {
        let moment = MARCH_S + number % 86_400;
        // writing to a String cannot fail
        let _ = writeln!(
            text,
            r#"{{"FromUserName":"oUser{number}","CreateTime":{moment},"MsgType":"text","MsgId":"{number}"}}"#
        );
    }
    text.into_bytes()
}

impl Scene {
    pub(crate) fn new() -> Outcome<Scene> {
        let scene = Scene { folder: tempfile::tempdir()?, now: Timestamp::now() };
        let aes_key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        scene.write("admin.key", ADMIN_KEY.as_bytes())?;
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin_key_file = \"admin.key\"\n\n[[account]]\nappid = \"{APPID}\"\n\
             secret = \"commands-secret\"\ntoken = \"commandsToken\"\nencoding_aes_key = \"{aes_key}\"\n"
        );
        scene.write("msgcube.toml", text.as_bytes())?;
        Ok(scene)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn config(&self) -> String {
        self.path("msgcube.toml")
    }

    pub(crate) fn admin_key(&self) -> String {
        self.path("admin.key")
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.now.as_second()
    }

    /// The day in Beijing on which the test began, or one so many days later.
    pub(crate) fn day(&self, later: i64) -> Outcome<String> {
        let moment = Timestamp::from_second(self.now_s() + (8 + later * 24) * 3600)?;
        Ok(moment.to_string()[..10].to_owned())
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Outcome<String> {
        let path = self.path(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_msgcube"));
        command.args(args);
        self.prepared(command)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).env_clear().env("LANG", "C.UTF-8");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome<Ended> {
        Ended::of(self.command(args).spawn()?)
    }

    /// Runs a command whose output nobody reads; what it says is still heard, if that is wanted.
    pub(crate) fn run_unread(&self, args: &[&str], is_heard: bool) -> Outcome<Ended> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = self.command(args);
        if !is_heard {
            command.stderr(writer.try_clone()?);
        }
        Ended::of(command.stdout(writer).spawn()?)
    }

    /// Runs a command with a variable of the environment.
    pub(crate) fn run_with_variable(&self, args: &[&str], name: &str, value: &str) -> Outcome<Ended> {
        Ended::of(self.command(args).env(name, value).spawn()?)
    }

    /// Puts something else in the place of a piece of the configuration.
    pub(crate) fn change_config(&self, from: &str, to: &str) -> Outcome<()> {
        let text = std::fs::read_to_string(self.config())?;
        let changed = text.replacen(from, to, 1);
        if changed == text {
            return Err(format!("the configuration has no {from}").into());
        }
        Ok(std::fs::write(self.config(), changed)?)
    }

    /// Adds settings to the account, or tables after it.
    pub(crate) fn append_config(&self, text: &str) -> Outcome<()> {
        let before = std::fs::read_to_string(self.config())?;
        Ok(std::fs::write(self.config(), before + text)?)
    }

    /// Adds settings in front of the account.
    pub(crate) fn append_top(&self, text: &str) -> Outcome<()> {
        self.change_config("\n[[account]]", &format!("{text}\n[[account]]"))
    }

    /// Runs a command that reads this.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Outcome<Ended> {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn()?;
        // dropped at the end of the statement: the command sees the end of its input
        child.stdin.take().ok_or("no input")?.write_all(input)?;
        Ended::of(child)
    }

    /// Starts a command; what it says is not wanted.
    pub(crate) fn start(&self, args: &[&str]) -> Outcome<Child> {
        Ok(self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Starts `serve` and reads its address.
    pub(crate) fn serve(&self) -> Outcome<Server> {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, options: &[&str]) -> Outcome<Server> {
        let config = self.config();
        let arguments = [&["serve", "--config", &config], options].concat();
        self.started(self.command(&arguments))
    }

    /// The same on a socket that the test keeps open, as systemd does; it says where that listens.
    pub(crate) fn serve_on(&self, socket: &std::net::TcpListener, more: &[&str]) -> Outcome<Server> {
        let mut command = Command::new("/bin/sh");
        // The number of the process is known only to itself.
        command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null", "sh"]);
        let address = socket.local_addr()?.to_string();
        command.args([env!("CARGO_BIN_EXE_msgcube"), "serve", "--config", &self.config()]);
        let own = ["--listen", &address];
        command.args(if more.contains(&"--listen") { &[][..] } else { &own }).args(more);
        let mut command = self.prepared(command);
        command.stdin(std::os::fd::OwnedFd::from(socket.try_clone()?));
        self.started(command)
    }

    fn started(&self, mut command: Command) -> Outcome<Server> {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log"))?;
        let mut child = command.stderr(log).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let base = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let base = base.ok_or_else(|| std::fs::read_to_string(self.path("log")).unwrap_or_default())?;
        Ok(Server { child, _output: output, base })
    }
}

impl Ended {
    fn of(child: Child) -> Outcome<Ended> {
        let output = child.wait_with_output()?;
        let text = |bytes| String::from_utf8(bytes);
        let status = output.status.code().ok_or("ended by a signal")?;
        Ok(Ended { status, out: text(output.stdout)?, err: text(output.stderr)? })
    }
}

impl Server {
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// SIGTERM, and the status it ended with; none if a signal ended it.
    pub(crate) fn terminate(mut self) -> Outcome<Option<i32>> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        Ok(self.child.wait()?.code())
    }

    /// The own statistics of these days as one row a type.
    pub(crate) async fn stats(&self, from: &str, to: &str) -> Outcome<Value> {
        let query = format!("from={from}&to={to}&period=total&by=type");
        let url = format!("{}/v1/accounts/{APPID}/stats?{query}", self.base);
        let answer = http().get(url).bearer_auth(ADMIN_KEY).send().await?;
        Ok(serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?)
    }

    /// What time is covered.
    pub(crate) async fn coverage(&self) -> Outcome<Value> {
        self.own(&format!("/v1/accounts/{APPID}/coverage")).await
    }

    /// What the own interface says.
    pub(crate) async fn own(&self, path: &str) -> Outcome<Value> {
        let url = format!("{}{path}", self.base);
        let answer = http().get(url).bearer_auth(ADMIN_KEY).send().await?;
        Ok(serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?)
    }

    /// The metrics as Prometheus reads them.
    pub(crate) async fn metrics(&self) -> Outcome<String> {
        let url = format!("{}/metrics", self.base);
        let answer = http().get(url).bearer_auth(ADMIN_KEY).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// The answer of the bulk interface.
    pub(crate) async fn post_messages(&self, body: Vec<u8>) -> Outcome<Value> {
        let url = format!("{}/v1/accounts/{APPID}/messages", self.base);
        let answer = reqwest::Client::new().post(url).bearer_auth(ADMIN_KEY).body(body).send().await?;
        Ok(serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?)
    }

    /// Text messages counted on these days.
    pub(crate) async fn texts(&self, from: String, to: String) -> Outcome<u64> {
        let answer = self.stats(&from, &to).await?;
        let rows = answer["rows"].as_array().ok_or("no rows")?;
        let row = rows.iter().find(|row| row["type"] == "text");
        Ok(row.map_or(0, |row| row["messages"].as_u64().unwrap_or(0)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client for servers on this machine.
pub(crate) fn http() -> reqwest::Client {
    let client = local_http().build();
    client.unwrap_or_else(|error| unreachable!("a client with no settings of its own: {error}"))
}

/// Settings of a client for servers on this machine. reqwest leaves the choice of the cryptography to the program.
pub(crate) fn local_http() -> reqwest::ClientBuilder {
    // Fails if it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy()
}
