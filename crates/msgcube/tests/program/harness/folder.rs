//! A temporary folder with the configuration, the data key, the data and the log of the program.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use tempfile::TempDir;

use super::{ADMIN_KEY, Program, TestResult, account, binary};

/// The folder. It is removed when no test and no program uses it any more.
#[derive(Clone)]
pub struct Folder(Arc<TempDir>);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Folder {
    /// With the usual account. `top` comes before the account, `more` belongs to it.
    pub fn new(top: &str, more: &str) -> Folder {
        let general = format!("listen = \"127.0.0.1:0\"\nadmin_key = \"{ADMIN_KEY}\"\n{top}\n");
        Folder::holding(&(general + &account(more)))
    }

    /// With this configuration.
    pub fn holding(configuration: &str) -> Folder {
        let folder = Folder(Arc::new(tempfile::tempdir().unwrap()));
        fs::write(folder.config(), configuration).unwrap();
        folder
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> String {
        self.root().join(name).display().to_string()
    }

    pub fn config(&self) -> String {
        self.path("msgcube.toml")
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: &[u8]) -> TestResult<String> {
        let path = self.path(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// The log of `serve`, of all starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Replaces the first `from` in the configuration.
    pub fn change_config(&self, from: &str, to: &str) -> TestResult<()> {
        let text = fs::read_to_string(self.config())?;
        let changed = text.replacen(from, to, 1);
        if changed == text {
            return Err(format!("the configuration has no {from}").into());
        }
        Ok(fs::write(self.config(), changed)?)
    }

    /// Adds settings to the account, or tables after it.
    pub fn append_config(&self, text: &str) -> TestResult<()> {
        let before = fs::read_to_string(self.config())?;
        Ok(fs::write(self.config(), before + text)?)
    }

    /// Adds settings before the account.
    pub fn append_top(&self, text: &str) -> TestResult<()> {
        self.change_config("\n[[account]]", &format!("{text}\n[[account]]"))
    }

    /// A command in this folder. It does not inherit the environment of the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args);
        self.prepared(command)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.root()).env_clear().env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> TestResult<Ended> {
        Ended::of(self.command(args).spawn()?)
    }

    /// Runs a command with an environment variable.
    pub fn run_with_variable(&self, args: &[&str], name: &str, value: &str) -> TestResult<Ended> {
        Ended::of(self.command(args).env(name, value).spawn()?)
    }

    /// Runs a command with this standard input.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> TestResult<Ended> {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn()?;
        // The pipe is closed at the end of this statement, so the command sees the end of its input.
        child.stdin.take().ok_or("no input")?.write_all(input)?;
        Ended::of(child)
    }

    /// Runs a command whose standard output is closed. Standard error is closed too if `is_stderr_read` is false.
    pub fn run_unread(&self, args: &[&str], is_stderr_read: bool) -> TestResult<Ended> {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = self.command(args);
        if !is_stderr_read {
            command.stderr(writer.try_clone()?);
        }
        Ended::of(command.stdout(writer).spawn()?)
    }

    /// Starts a command whose output is not wanted.
    pub fn start(&self, args: &[&str]) -> TestResult<Child> {
        Ok(self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// Starts `serve` and waits until it listens. The error is its log.
    pub fn serve(&self) -> TestResult<Program> {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, options: &[&str]) -> TestResult<Program> {
        let arguments = [&["serve", "--config", "msgcube.toml"], options].concat();
        Program::listening(self, self.logged(self.command(&arguments))?)
    }

    /// Starts `serve` on a socket that the test keeps open, as systemd does.
    pub fn serve_on(&self, socket: &TcpListener, options: &[&str]) -> TestResult<Program> {
        let mut command = Command::new("/bin/sh");
        // LISTEN_PID must be the id of the new process, which only the process itself knows.
        command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null", "sh"]);
        let address = socket.local_addr()?.to_string();
        command.arg(binary()).args(["serve", "--config", "msgcube.toml"]);
        let own = ["--listen", &address];
        command.args(if options.contains(&"--listen") { &[][..] } else { &own }).args(options);
        let mut command = self.prepared(command);
        command.stdin(std::os::fd::OwnedFd::from(socket.try_clone()?));
        Program::listening(self, self.logged(command)?)
    }

    /// Starts a command that writes to the log.
    pub fn logged(&self, mut command: Command) -> TestResult<Child> {
        let log = fs::File::options().create(true).append(true).open(self.path("log"))?;
        Ok(command.stderr(log).spawn()?)
    }
}

impl Ended {
    fn of(child: Child) -> TestResult<Ended> {
        let output = child.wait_with_output()?;
        let status = output.status.code().ok_or("ended by a signal")?;
        Ok(Ended { status, out: String::from_utf8(output.stdout)?, err: String::from_utf8(output.stderr)? })
    }
}
