//! `msgcube send`: sends one callback as WeChat would, to test a setup without WeChat.

mod answer;
mod error;
mod figures;
mod target;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::{Request as HttpRequest, header};
use clap::Args;
use counting::Kind;
use http_body_util::Full;
use i18n::Lang;
use msgcube_client::http::{Address, Limits};
use server::config::Config;
use wechat::callback::{
    cipher::AesKey,
    seal::{CallbackSigner, Draft, Encryption, Sealed},
};

pub use self::error::SendError;
use self::{
    figures::{AccountFigures, CountCheck},
    target::CallbackTarget,
};
use crate::{
    admin::client_of_server,
    server_args::{AppidArgs, ServerAddressArgs},
};

/// WeChat waits 5 s for an answer. One second more tells a late server from a dead one.
const LIMITS: Limits = Limits { time: Duration::from_secs(6), bytes: 16 << 20 };

/// Arguments of `msgcube send`.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[derive(Args)]
#[command(after_help = "\
An account of a third-party platform: --config FILE --component PLATFORM --appid ACCOUNT --to gh_…
If the admin key is known, the account's figures before and after show whether it was counted.
Status 0: accepted; 1: not accepted, or not counted though it is no repeat.")]
pub struct SendArgs {
    /// The text to send; for other types the value of their first field
    #[arg(long, default_value = "hi")]
    pub text: String,
    /// Encrypt it (safe mode)
    #[arg(long)]
    pub safe: bool,
    /// The whole callback address
    #[arg(long, conflicts_with = "server")]
    pub url: Option<String>,
    #[command(flatten)]
    pub address: ServerAddressArgs,
    #[command(flatten)]
    pub account: AppidArgs,
    /// The third-party platform that brings the account: uses the platform's token and key, always encrypted
    #[arg(long, value_name = "APPID")]
    pub component: Option<String>,
    /// ToUserName: the account's gh_…, by default original_id of the configuration. An account of a platform needs it
    #[arg(long, value_name = "GH_ID")]
    pub to: Option<String>,
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
    /// The MsgId, by default a random one; the same MsgId again is a repeat. An event has none by default
    #[arg(long)]
    pub msg_id: Option<u64>,
    /// Unix seconds, by default now
    #[arg(long, allow_negative_numbers = true)]
    pub create_time: Option<i64>,
    /// The callback token, if not from the configuration
    #[arg(long, env = "MSGCUBE_CALLBACK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The EncodingAESKey, if not from the configuration
    #[arg(long, env = "MSGCUBE_ENCODING_AES_KEY", hide_env_values = true)]
    pub encoding_aes_key: Option<String>,
    /// File with a key that may read the account, to see whether it was counted; by default admin_key of the configuration
    #[arg(long, alias = "admin-key-file", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Send a plain callback even if require_encryption is set: it is refused, and that moment stays a gap
    #[arg(long)]
    pub force: bool,
    /// Print the request as a curl command, send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A callback with its address, ready to send.
struct PreparedCallback {
    url: String,
    body: String,
}

/// Sends one callback and prints the result. Returns whether it was accepted, and not known to be uncounted. `now_s` is
/// Unix seconds; `elapsed_ms` gives the milliseconds since the start of the command.
pub async fn run(
    args: &SendArgs,
    lang: Lang,
    now_s: i64,
    elapsed_ms: impl Fn() -> u64,
    read_config: impl FnOnce(&Path) -> Result<Config, String>,
    out: &mut impl Write,
) -> Result<bool, SendError> {
    let path = match &args.token {
        Some(_) => args.address.config.as_deref(),
        None => args.address.existing_config(),
    };
    let config = path.map(read_config).transpose().map_err(SendError::Config)?;
    let target = CallbackTarget::find(args, config.as_ref())?;
    let request = prepare(args, now_s, &target)?;
    if args.dry_run {
        writeln!(out, "{}", dry_run(args, &request))?;
        return Ok(true);
    }
    let unusable = |why: String| SendError::Url(request.url.clone(), why);
    let url = Address::parse(&request.url).map_err(&unusable)?;
    let is_configured = args.address.server.is_none() && config.is_some();
    let client = client_of_server(&url, is_configured, None);
    let callback = HttpRequest::post(&request.url)
        .header(header::CONTENT_TYPE, "text/xml")
        .body(Full::from(request.body.clone()))
        .map_err(|error| unusable(error.to_string()))?;
    let create_time = args.create_time.unwrap_or(now_s);
    let figures = figures::find(args, config.as_ref(), &target, create_time)?;
    refuse_gap(args, &target, figures.as_ref()).await?;
    let counting = CountCheck::before(figures).await;
    let started_ms = elapsed_ms();
    let sent = client.exchange(callback, LIMITS).await;
    let answer = answer::SendResult::of(sent, elapsed_ms().saturating_sub(started_ms));
    let counting = if answer.is_accepted() { counting.after().await } else { CountCheck::Unasked };
    let report = answer::SendReport { answer, counting, may_be_repeat: may_be_repeat(args) };
    writeln!(out, "{}", if args.json { report.json(&request.url) } else { report.text(lang, &request.url) })?;
    Ok(report.is_well())
}

/// Refuses to send a plain callback that the account would refuse. Its signature is right, so the server would record a
/// gap.
async fn refuse_gap(
    args: &SendArgs,
    target: &CallbackTarget,
    figures: Option<&AccountFigures>,
) -> Result<(), SendError> {
    if target.is_encrypted || args.force {
        return Ok(());
    }
    // An account added at run time is in no configuration, so the server is asked.
    let is_refused = target.requires_encryption
        || match figures {
            Some(figures) => figures.require_encryption().await,
            None => false,
        };
    if is_refused { Err(SendError::RequiresEncryption) } else { Ok(()) }
}

/// Whether the callback may repeat an earlier one. By default a message has a random MsgId. An event has none: two events
/// of the same second are the same.
fn may_be_repeat(args: &SendArgs) -> bool {
    args.msg_id.is_some() || Kind::of_msg_type(&args.msg_type) == Kind::Event
}

fn prepare(args: &SendArgs, now_s: i64, target: &CallbackTarget) -> Result<PreparedCallback, SendError> {
    let mut random = [0; 24];
    getrandom::fill(&mut random)?;
    let (number, random) = random.split_at(8);
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    // MsgIds of WeChat fit a signed 64-bit number.
    let msg_id = args.msg_id.unwrap_or(number >> 1);
    let nonce = (number % 10_000_000_000).to_string();
    let signer = CallbackSigner { token: &target.token, timestamp: now_s, nonce: &nonce };
    let sealed = seal(target, &signer, &draft(args, target, now_s, msg_id), random)?;
    Ok(PreparedCallback { url: format!("{}?{}", target.address, sealed.query), body: sealed.body })
}

fn seal(
    target: &CallbackTarget,
    signer: &CallbackSigner<'_>,
    draft: &Draft<'_>,
    random: &[u8],
) -> Result<Sealed, SendError> {
    if !target.is_encrypted {
        return Ok(signer.plain(draft));
    }
    let key = AesKey::parse(target.encoding_aes_key.as_ref().ok_or(SendError::NoKey)?)?;
    let random = random.try_into().unwrap_or_default();
    let appid = &target.ciphertext_appid;
    let encryption = Encryption { key: &key, appid, random, compatible: false };
    Ok(signer.encrypted(&encryption, draft))
}

fn draft<'a>(args: &'a SendArgs, target: &'a CallbackTarget, now_s: i64, msg_id: u64) -> Draft<'a> {
    let kind = Kind::of_msg_type(&args.msg_type);
    Draft {
        to_user: &target.to_user,
        from_user: &args.from,
        create_time: args.create_time.unwrap_or(now_s),
        msg_type: &args.msg_type,
        fields: fields(kind, &args.text, &args.event, &args.event_key),
        msg_id: if kind == Kind::Event { args.msg_id } else { Some(msg_id) },
    }
}

/// The fields that WeChat documents for each message type. `text` is the value of the first one, except in events.
pub fn fields<'a>(
    kind: Kind,
    text: &'a str,
    event: &'a str,
    event_key: &'a str,
) -> Vec<(&'static str, &'a str)> {
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
        Kind::Event => vec![("Event", event), ("EventKey", event_key)],
    }
}

fn dry_run(args: &SendArgs, request: &PreparedCallback) -> String {
    let PreparedCallback { url, body } = request;
    if args.json {
        return serde_json::json!({ "url": url, "body": body }).to_string();
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    format!("curl -sS -H 'Content-Type: text/xml' --data-binary {} {}", quoted(body), quoted(url))
}

#[cfg(test)]
mod tests;
