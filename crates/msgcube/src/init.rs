//! `msgcube init`: writes a configuration and the files with its secrets, and says what to do next.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use i18n::{Lang, text};
use msgcube_client::http::Address;
use server::{config::Config, intake::path::of_account};
use system::{
    files,
    random::{self, RandomError},
};

use crate::output::print_note;

/// Only the owner may read the files.
const MODE: u32 = 0o600;
const ADMIN_KEY: &str = "admin.key";
const SECRET: &str = "secret";
const TOKEN: &str = "token";
const AES_KEY: &str = "aes.key";

/// Arguments of `msgcube init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// Folder for msgcube.toml and the files with its secrets; made if it does not exist
    #[arg(value_name = "FOLDER", default_value = ".", conflicts_with = "config")]
    folder: PathBuf,
    /// The configuration to write, if it has another name; the secrets stand beside it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The first account's appid at WeChat; without it the configuration has no account yet
    #[arg(long)]
    appid: Option<String>,
    /// A name of that account, for people
    #[arg(long, requires = "appid", value_parser = parse_name)]
    name: Option<String>,
    /// Pass that account's callbacks on to this address; its reply goes back to WeChat
    #[arg(long, value_name = "URL", requires = "appid")]
    relay: Option<String>,
    /// Address where WeChat reaches the server, such as https://wx.example.com
    #[arg(long, value_name = "URL", value_parser = Address::parse_base)]
    public_url: Option<Address>,
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    let is_usable = text.chars().count() <= 64 && !text.contains(char::is_control);
    if is_usable {
        Ok(text.to_owned())
    } else {
        Err("write at most 64 characters, without control characters")
    }
}

/// Reads a configuration file. The error is a sentence.
pub type NewConfigReader<'a> = &'a dyn Fn(&Path) -> Result<Config, String>;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// One of the files exists.
    #[error("{} exists and is not overwritten; choose another folder, or remove it first", .0.display())]
    Exists(PathBuf),
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The server would refuse the configuration. The text says why.
    #[error("nothing was written: {0}")]
    Refused(String),
    /// The system has no random bytes.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// Printing failed.
    #[error("{0}")]
    Print(io::Error),
}

impl InitError {
    /// The error in a language.
    pub fn in_lang(&self, lang: Lang) -> String {
        i18n::translated(lang, &self.to_string())
    }
}

/// What is written.
struct NewFiles {
    config: PathBuf,
    /// The configuration last: it names the others.
    files: Vec<(PathBuf, String)>,
    /// Token and EncodingAESKey, if there is an account.
    console: Option<[String; 2]>,
}

/// Writes the files and prints the next steps.
///
/// # Errors
/// See [`InitError`]. No file is left then.
pub fn run(
    args: &InitArgs,
    lang: Lang,
    read_config: NewConfigReader<'_>,
    out: &mut dyn Write,
) -> Result<(), InitError> {
    let new = NewFiles::of(args, lang)?;
    if let Some((path, _)) = new.files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(path.clone()));
    }
    let folder = new.config.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    files::create_folder(folder).map_err(|source| InitError::File { path: folder.to_owned(), source })?;
    let config = new.write(read_config)?;
    for warning in config.warnings() {
        print_note(format_args!("{}{}", text!("warning: ").in_lang(lang), i18n::translated(lang, &warning)));
    }
    out.write_all(new.next_steps(args, &config, lang).as_bytes()).map_err(InitError::Print)
}

impl NewFiles {
    fn of(args: &InitArgs, lang: Lang) -> Result<NewFiles, InitError> {
        let config = args.config.clone().unwrap_or_else(|| args.folder.join("msgcube.toml"));
        let beside = |name: &str| config.with_file_name(name);
        let mut files = vec![(beside(ADMIN_KEY), random::hexadecimal(24)?)];
        let mut console = None;
        if args.appid.is_some() {
            let (token, aes_key) = (random::alphanumeric(32)?, random::encoding_aes_key()?);
            files.push((beside(SECRET), random::hexadecimal(16)?));
            files.push((beside(TOKEN), token.clone()));
            files.push((beside(AES_KEY), aes_key.clone()));
            console = Some([token, aes_key]);
        }
        files.push((config.clone(), config_text(args, lang)));
        Ok(NewFiles { config, files, console })
    }

    /// Writes all files and reads the configuration as the server will. After an error it removes what it wrote.
    fn write(&self, read_config: NewConfigReader<'_>) -> Result<Config, InitError> {
        let mut written = Vec::new();
        let done = self.files.iter().try_for_each(|(path, content)| {
            write_new(path, content, &mut written).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => InitError::Exists(path.clone()),
                _ => InitError::File { path: path.clone(), source },
            })
        });
        let config = done.and_then(|()| read_config(&self.config).map_err(InitError::Refused));
        if config.is_err() {
            // The first error is the one to show.
            written.iter().for_each(|path| drop(fs::remove_file(path)));
        }
        config
    }

    fn next_steps(&self, args: &InitArgs, config: &Config, lang: Lang) -> String {
        let paths: Vec<String> = self.files.iter().map(|(path, _)| path.display().to_string()).collect();
        let written = text!("Written, readable for you alone: {files}", files = paths.join(", "));
        let mut lines = vec![written.in_lang(lang), String::new()];
        if let (Some(appid), Some([token, aes_key])) = (&args.appid, &self.console) {
            let public = args.public_url.as_ref().map_or("https://YOUR_NAME".to_owned(), Address::uri_text);
            lines.push(text!("Enter in WeChat's console, server configuration, safe mode:").in_lang(lang));
            lines.push(format!("  URL             {public}{}", of_account(appid)));
            lines.push(format!("  Token           {token}"));
            lines.push(format!("  EncodingAESKey  {aes_key}"));
            lines.push(String::new());
        }
        let config_path = self.config.display();
        lines.push(text!("Before that, start the server and check it:").in_lang(lang));
        lines.push(format!("  msgcube serve --config {config_path}"));
        lines.push(format!("  msgcube doctor --config {config_path}"));
        if args.appid.is_none() {
            lines.push(text!("Add an account while it runs:").in_lang(lang));
            lines.push(format!("  msgcube account add APPID --config {config_path}"));
        }
        let (page, key) = (config.own_url() + "/ui/", self.config.with_file_name(ADMIN_KEY));
        let dashboard = text!("The dashboard: {page}, with the key in {key}", page, key = key.display());
        lines.push(dashboard.in_lang(lang));
        lines.join("\n") + "\n"
    }
}

/// Notes the path in `written` as soon as the file exists.
fn write_new(path: &Path, content: &str, written: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    written.push(path.to_owned());
    file.write_all(content.trim_end().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    files::sync_folder_of(path)
}

fn config_text(args: &InitArgs, lang: Lang) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let comment = |text: i18n::Text| format!("# {}", text.in_lang(lang));
    let mut lines = vec![
        comment(text!("All settings: docs/reference.md and packaging/msgcube.example.toml.")),
        comment(text!("The key for /v1, /metrics and the dashboard.")),
        format!("admin_key_file = {}", quoted(ADMIN_KEY)),
    ];
    if let Some(url) = &args.public_url {
        lines.push(comment(text!("Where WeChat reaches the server.")));
        lines.push(format!("# public_url = {}", quoted(&url.uri_text())));
    }
    if let Some(appid) = &args.appid {
        lines.extend([String::new(), "[[account]]".to_owned(), format!("appid = {}", quoted(appid))]);
        lines.extend(args.name.iter().map(|name| format!("name = {}", quoted(name))));
        lines.push(comment(text!(
            "What programs send to msgcube as the AppSecret. WeChat's own is not needed here."
        )));
        lines.push(format!("secret_file = {}", quoted(SECRET)));
        lines.push(comment(text!("Both are entered in WeChat's console.")));
        lines.push(format!("token_file = {}", quoted(TOKEN)));
        lines.push(format!("encoding_aes_key_file = {}", quoted(AES_KEY)));
        lines.push(comment(text!("Plain callbacks are refused: nothing proves their content.")));
        lines.push("require_encryption = true".to_owned());
    }
    if let Some(url) = &args.relay {
        lines.extend([String::new(), "[account.relay]".to_owned(), format!("url = {}", quoted(url))]);
    }
    lines.join("\n")
}
