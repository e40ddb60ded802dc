//! `msgcube send`: one callback as WeChat would POST it, to see that everything is set up. Needs no WeChat.

mod answer;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use msgcube_cube::Kind;
use reqwest::Url;
use zeroize::Zeroizing;

use crate::admin::client_of_server;
use crate::callback::cipher::{AesKey, AesKeyError};
use crate::callback::seal::{Draft, Encryption, Envelope, Sealed};
use crate::lang::Lang;

/// Where `msgcube serve` listens unless told otherwise.
const BASE_DEFAULT: &str = "http://127.0.0.1:8060";
/// WeChat waits 5 s; a little more shows that a server is late rather than gone.
const TIMEOUT_S: u64 = 6;

/// What `msgcube send` takes.
#[derive(Args)]
pub struct SendArgs {
    /// The text to send; for other types the first field they have
    #[arg(long, default_value = "hi")]
    pub text: String,
    /// Encrypt it (safe mode)
    #[arg(long)]
    pub safe: bool,
    /// The whole callback address
    #[arg(long, conflicts_with = "base")]
    pub url: Option<String>,
    /// The server's address, in front of /callback/{appid}; by default that of the configuration
    #[arg(long)]
    pub base: Option<String>,
    /// The account; needed if the configuration has several
    #[arg(long)]
    pub appid: Option<String>,
    /// The sender's openid
    #[arg(long, default_value = "o-msgcube-send")]
    pub from: String,
    /// text, image, voice, video, shortvideo, link, location, event or any other MsgType
    #[arg(long = "type", default_value = "text")]
    pub msg_type: String,
    /// With --type event: its name
    #[arg(long, default_value = "subscribe")]
    pub event: String,
    /// With --type event: its EventKey
    #[arg(long, default_value = "")]
    pub event_key: String,
    /// The message's number, by default a random one; the same one again is a repeat
    #[arg(long)]
    pub msg_id: Option<u64>,
    /// Unix seconds, by default now
    #[arg(long, allow_negative_numbers = true)]
    pub create_time: Option<i64>,
    /// The configuration to take token, key and address from
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The callback token, if not from the configuration
    #[arg(long, env = "MSGCUBE_CALLBACK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The EncodingAESKey, if not from the configuration
    #[arg(long, env = "MSGCUBE_ENCODING_AES_KEY", hide_env_values = true)]
    pub encoding_aes_key: Option<String>,
    /// Print the request as a curl command, send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What a configuration says about one account.
#[derive(Default)]
pub struct SendKeys {
    /// The account.
    pub appid: String,
    /// `gh_…`, if set.
    pub original_id: Option<String>,
    /// The callback token.
    pub token: Zeroizing<String>,
    /// The EncodingAESKey, if set.
    pub encoding_aes_key: Option<Zeroizing<String>>,
    /// The server's own address, such as `http://127.0.0.1:8060`, if known.
    pub base: Option<String>,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The configuration cannot be used; the text is its own.
    #[error("{0}")]
    Config(String),
    /// No account to send to.
    #[error("no account: pass --appid, or --config with the account in it")]
    NoAppid,
    /// No token.
    #[error("no token: pass --config, or set MSGCUBE_CALLBACK_TOKEN")]
    NoToken,
    /// `--safe`, and no key.
    #[error("--safe needs a key: set encoding_aes_key in --config, or MSGCUBE_ENCODING_AES_KEY")]
    NoKey,
    /// Not an EncodingAESKey.
    #[error("encoding_aes_key: {0}")]
    Key(#[from] AesKeyError),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// No address.
    #[error("{0} is no URL: {1}; write it like http://127.0.0.1:8060")]
    Url(String, String),
    /// No HTTP client.
    #[error("cannot make an HTTP client: {0}")]
    Client(reqwest::Error),
    /// Printing failed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl SendError {
    /// The same in the language of the terminal.
    pub fn text(&self, lang: Lang) -> String {
        let zh = match self {
            SendError::NoAppid => "未指定账号：请用 --appid，或用 --config 指定含有该账号的配置文件",
            SendError::NoToken => {
                "缺少 Token：请用 --config 指定配置文件，或设置环境变量 MSGCUBE_CALLBACK_TOKEN"
            }
            SendError::NoKey => {
                "--safe 需要密钥：请在配置文件中设置 encoding_aes_key，或设置环境变量 MSGCUBE_ENCODING_AES_KEY"
            }
            SendError::Key(_) => "EncodingAESKey 应为 43 个字母或数字：请从公众号后台的服务器配置中复制",
            _ => return self.to_string(),
        };
        lang.pick(self.to_string(), zh.to_owned())
    }
}

/// A callback with its address, ready to go.
struct Request {
    url: String,
    body: String,
}

/// Sends one callback and tells what came of it; whether it was accepted. `now_s` is Unix seconds, `elapsed_ms`
/// gives the milliseconds since it was made, `read_config` the account of a configuration file.
pub async fn run(
    args: &SendArgs,
    lang: Lang,
    now_s: i64,
    elapsed_ms: impl Fn() -> u64,
    read_config: impl FnOnce(&Path, Option<&str>) -> Result<SendKeys, String>,
    out: &mut impl Write,
) -> Result<bool, SendError> {
    let request = prepare(args, now_s, &keys(args, read_config)?)?;
    if args.dry_run {
        writeln!(out, "{}", dry_run(args, &request))?;
        return Ok(true);
    }
    let url =
        Url::parse(&request.url).map_err(|error| SendError::Url(request.url.clone(), error.to_string()))?;
    let is_configured = args.base.is_none() && args.config.is_some();
    let client = client_of_server(&url, is_configured).timeout(Duration::from_secs(TIMEOUT_S)).build();
    let client = client.map_err(SendError::Client)?;
    let started_ms = elapsed_ms();
    let sent = client.post(url).header("Content-Type", "text/xml").body(request.body).send().await;
    let answer = answer::Answer::of(sent, elapsed_ms, started_ms).await;
    writeln!(out, "{}", if args.json { answer.json(&request.url) } else { answer.text(lang, &request.url) })?;
    Ok(answer.is_accepted())
}

/// What the command line says wins over the configuration.
fn keys(
    args: &SendArgs,
    read_config: impl FnOnce(&Path, Option<&str>) -> Result<SendKeys, String>,
) -> Result<SendKeys, SendError> {
    let read = |path: &PathBuf| read_config(path, args.appid.as_deref()).map_err(SendError::Config);
    let mut keys = args.config.as_ref().map(read).transpose()?.unwrap_or_default();
    if let Some(appid) = &args.appid {
        keys.appid.clone_from(appid);
    }
    if let Some(token) = &args.token {
        keys.token = Zeroizing::new(token.clone());
    }
    if let Some(key) = &args.encoding_aes_key {
        keys.encoding_aes_key = Some(Zeroizing::new(key.clone()));
    }
    if keys.token.is_empty() { Err(SendError::NoToken) } else { Ok(keys) }
}

fn prepare(args: &SendArgs, now_s: i64, keys: &SendKeys) -> Result<Request, SendError> {
    if keys.appid.is_empty() && (args.url.is_none() || args.safe) {
        return Err(SendError::NoAppid);
    }
    let mut random = [0; 24];
    getrandom::fill(&mut random)?;
    let (number, random) = random.split_at(8);
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    // WeChat's own fit a signed number.
    let msg_id = args.msg_id.unwrap_or(number >> 1);
    let nonce = (number % 10_000_000_000).to_string();
    let envelope = Envelope { token: &keys.token, timestamp: now_s, nonce: &nonce };
    let sealed = seal(args, keys, &envelope, &draft(args, keys, now_s, msg_id), random)?;
    Ok(Request { url: format!("{}?{}", address(args, keys), sealed.query), body: sealed.body })
}

fn seal(
    args: &SendArgs,
    keys: &SendKeys,
    envelope: &Envelope<'_>,
    draft: &Draft<'_>,
    random: &[u8],
) -> Result<Sealed, SendError> {
    if !args.safe {
        return Ok(envelope.plain(draft));
    }
    let key = AesKey::parse(keys.encoding_aes_key.as_ref().ok_or(SendError::NoKey)?)?;
    let random = random.try_into().unwrap_or_default();
    let encryption = Encryption { key: &key, appid: &keys.appid, random, compatible: false };
    Ok(envelope.encrypted(&encryption, draft))
}

fn address(args: &SendArgs, keys: &SendKeys) -> String {
    let base = args.base.as_deref().or(keys.base.as_deref()).unwrap_or(BASE_DEFAULT).trim_end_matches('/');
    args.url.clone().unwrap_or_else(|| format!("{base}/callback/{}", keys.appid))
}

fn draft<'a>(args: &'a SendArgs, keys: &'a SendKeys, now_s: i64, msg_id: u64) -> Draft<'a> {
    let kind = Kind::of_msg_type(&args.msg_type);
    Draft {
        to_user: keys.original_id.as_deref().unwrap_or("gh_msgcube"),
        from_user: &args.from,
        create_time: args.create_time.unwrap_or(now_s),
        msg_type: &args.msg_type,
        fields: fields(kind, args),
        msg_id: (kind != Kind::Event).then_some(msg_id),
    }
}

/// The fields that WeChat documents for each kind.
fn fields(kind: Kind, args: &SendArgs) -> Vec<(&'static str, &str)> {
    let text = args.text.as_str();
    match kind {
        Kind::Text | Kind::Other => vec![("Content", text)],
        Kind::Image => vec![("PicUrl", text), ("MediaId", "media")],
        Kind::Voice => vec![("MediaId", text), ("Format", "amr")],
        Kind::Video | Kind::ShortVideo => vec![("MediaId", text), ("ThumbMediaId", "thumb")],
        Kind::Link => vec![("Title", text), ("Description", ""), ("Url", "https://example.com/")],
        Kind::Location => {
            vec![("Location_X", "39.908"), ("Location_Y", "116.397"), ("Scale", "15"), ("Label", text)]
        }
        Kind::File => vec![("Title", text), ("Description", ""), ("FileKey", "file")],
        Kind::Event => vec![("Event", &args.event), ("EventKey", &args.event_key)],
    }
}

fn dry_run(args: &SendArgs, request: &Request) -> String {
    let Request { url, body } = request;
    if args.json {
        return serde_json::json!({ "url": url, "body": body }).to_string();
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!("curl -sS -H 'Content-Type: text/xml' --data-binary {} {}", quoted(body), quoted(url))
}

#[cfg(test)]
mod tests;
