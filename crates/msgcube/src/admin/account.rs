//! `msgcube account`: the requests to the server, and how its answers are shown.

use std::path::PathBuf;

use axum::http::Method;
use clap::{Args, Subcommand, ValueEnum};
use i18n::{Lang, Text, text};
use serde_json::{Map, Value, json};
use server::config::has_usual_form;
use system::random;

use super::{
    connection::{AdminConnection, AdminError, read_file},
    join_texts, list_field, short_time, text_field,
};
use crate::{output, table::fitted};

/// Settings that are numbers. A number in another setting stays a text.
const NUMBERS: [&str; 1] = ["quota_per_day"];

/// The commands below `msgcube account`.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account; secrets that are not given are generated and shown once
    Add(Box<AddArgs>),
    /// List the accounts
    List,
    /// Show an account, without its secrets
    Show {
        /// Its appid
        appid: String,
    },
    /// Change settings of an account that was added at run time
    Set {
        /// Its appid
        appid: String,
        /// Such as certified=false, quota_per_day=1000, token=@FILE, original_id= (which removes it), lists and
        /// tables as JSON: 'relay={"url":"http://127.0.0.1:9000/wechat","on_late":"success"}'; names as in the
        /// configuration
        #[arg(required = true, value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// Stop serving an account that was added at run time; its figures stay, its tokens become invalid
    Remove {
        /// Its appid
        appid: String,
    },
    /// Make a new EncodingAESKey, callback token or secret, shown once; the former key and token are still accepted
    RotateKey {
        /// Its appid
        appid: String,
        /// What to replace
        #[arg(long, value_enum, default_value_t = RotatedValue::EncodingAesKey)]
        what: RotatedValue,
    },
}

/// What `rotate-key` can replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RotatedValue {
    /// The key that callbacks are encrypted with.
    EncodingAesKey,
    /// The token that callbacks are signed with.
    Token,
    /// The secret that callers of msgcube use.
    Secret,
}

impl RotatedValue {
    fn name(self) -> &'static str {
        match self {
            RotatedValue::EncodingAesKey => "encoding_aes_key",
            RotatedValue::Token => "token",
            RotatedValue::Secret => "secret",
        }
    }
}

/// The settings of a new account.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// Its appid at WeChat
    appid: String,
    /// File with the secret that callers of msgcube use
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// File with WeChat's AppSecret, if it is different
    #[arg(long, value_name = "FILE")]
    upstream_secret_file: Option<PathBuf>,
    /// File with the callback token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the EncodingAESKey
    #[arg(long, value_name = "FILE")]
    encoding_aes_key_file: Option<PathBuf>,
    /// Accept plain callbacks, too: nothing proves their content
    #[arg(long)]
    allow_plain: bool,
    /// Refuse callbacks to another ToUserName (`gh_…`)
    #[arg(long, value_name = "ID")]
    original_id: Option<String>,
    /// What people call it; shown beside the appid
    #[arg(long)]
    name: Option<String>,
    /// service, subscription or other
    #[arg(long)]
    kind: Option<String>,
    /// The account is not verified by WeChat: the seven interfaces answer 48001
    #[arg(long)]
    uncertified: bool,
    /// Relay callbacks to this address; its reply goes back to WeChat
    #[arg(long, value_name = "URL")]
    relay: Option<String>,
    /// Do not ask for confirmation if the appid does not have WeChat's form
    #[arg(long)]
    yes: bool,
}

fn unusual_appid_question(appid: &str, lang: Lang) -> String {
    text!("WeChat's appids are wx and 16 hexadecimal digits, and {appid} is not. Add it anyway?", appid)
        .in_lang(lang)
}

impl AddArgs {
    /// Runs before any secret is generated. An appid of another form is mostly a mistake, so `agrees` asks the user.
    fn check_appid(&self, agrees: &dyn Fn(&str) -> bool) -> Result<(), AdminError> {
        if self.yes || has_usual_form(&self.appid) || agrees(&self.appid) {
            return Ok(());
        }
        Err(AdminError::UnusualAppid(self.appid.clone()))
    }

    fn settings(&self) -> Result<Map<String, Value>, AdminError> {
        let read = |file: &Option<PathBuf>| file.as_deref().map(read_file).transpose();
        let given_or = |file: &Option<PathBuf>, made: Result<String, random::RandomError>| match read(file)? {
            Some(text) => Ok::<_, AdminError>(text),
            None => Ok(made?),
        };
        let mut settings = Map::new();
        let mut set = |name: &str, value: Value| drop(settings.insert(name.to_owned(), value));
        set("appid", self.appid.clone().into());
        set("secret", given_or(&self.secret_file, random::hexadecimal(16))?.into());
        set("token", given_or(&self.token_file, random::alphanumeric(32))?.into());
        set("encoding_aes_key", given_or(&self.encoding_aes_key_file, random::encoding_aes_key())?.into());
        set("require_encryption", (!self.allow_plain).into());
        set("certified", (!self.uncertified).into());
        let optional = [
            ("upstream_secret", read(&self.upstream_secret_file)?.map(Value::from)),
            ("original_id", self.original_id.clone().map(Value::from)),
            ("name", self.name.clone().map(Value::from)),
            ("kind", self.kind.clone().map(Value::from)),
            ("relay", self.relay.as_ref().map(|url| json!({ "url": url }))),
        ];
        optional.into_iter().for_each(|(name, value)| value.into_iter().for_each(|value| set(name, value)));
        Ok(settings)
    }

    /// The secrets that were generated, for WeChat's console and for callers.
    fn generated_secrets(&self, settings: &Map<String, Value>) -> Value {
        let files = [
            ("secret", &self.secret_file),
            ("token", &self.token_file),
            ("encoding_aes_key", &self.encoding_aes_key_file),
        ];
        let made = files.iter().filter(|(_, file)| file.is_none());
        made.map(|(name, _)| ((*name).to_owned(), settings[*name].clone())).collect::<Map<_, _>>().into()
    }
}

impl AccountCommand {
    /// Sends the request to the server and returns its answer.
    pub async fn run(&self, server: &AdminConnection, lang: Lang) -> Result<Value, AdminError> {
        match self {
            AccountCommand::Add(args) => {
                args.check_appid(&|appid| output::agrees(&unusual_appid_question(appid, lang)))?;
                let settings = args.settings()?;
                let mut answer =
                    server.ask(Method::POST, &["accounts"], Some(settings.clone().into())).await?;
                answer["made_up"] = args.generated_secrets(&settings);
                Ok(answer)
            }
            AccountCommand::List => server.ask(Method::GET, &["accounts"], None).await,
            AccountCommand::Show { appid } => server.ask(Method::GET, &["accounts", appid], None).await,
            AccountCommand::Set { appid, settings } => {
                let changes =
                    settings.iter().map(|text| parse_setting(text)).collect::<Result<Map<_, _>, _>>()?;
                server.ask(Method::PATCH, &["accounts", appid], Some(changes.into())).await
            }
            AccountCommand::Remove { appid } => server.ask(Method::DELETE, &["accounts", appid], None).await,
            AccountCommand::RotateKey { appid, what } => {
                let body = json!({ "what": what.name() });
                server.ask(Method::POST, &["accounts", appid, "rotate"], Some(body)).await
            }
        }
    }

    /// The answer as text for the screen.
    pub fn answer_text(&self, answer: &Value, lang: Lang, columns: usize) -> String {
        match self {
            AccountCommand::Add(_) => added_text(answer, lang),
            AccountCommand::List => accounts_table(answer, lang, columns),
            AccountCommand::Show { .. } | AccountCommand::Set { .. } => account_text(answer, lang, columns),
            AccountCommand::Remove { appid } => {
                text!("{appid} is no longer served; its figures stay, its tokens are invalid now", appid)
                    .in_lang(lang)
            }
            AccountCommand::RotateKey { what, .. } => rotated_text(answer, *what, lang),
        }
    }
}

/// Parses `NAME=VALUE`. A value is JSON if it parses as JSON, else a text; `@FILE` is the content of the file; an empty
/// value removes the setting.
fn parse_setting(text: &str) -> Result<(String, Value), AdminError> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| AdminError::Usage(format!("{text}: write NAME=VALUE, such as certified=false")))?;
    let value = match value.strip_prefix('@') {
        Some(file) => read_file(file.as_ref())?.into(),
        None if value.is_empty() => Value::Null,
        None => serde_json::from_str(value)
            .ok()
            // An appid or a secret may look like a number, and a name like anything.
            .filter(|value: &Value| name != "name" && (!value.is_number() || NUMBERS.contains(&name)))
            .unwrap_or(value.into()),
    };
    Ok((name.to_owned(), value))
}

fn added_text(answer: &Value, lang: Lang) -> String {
    let head = text!(
        "{appid} is served. In WeChat's console, server configuration:",
        appid = text_field(answer, "appid")
    )
    .in_lang(lang);
    let mut lines = vec![head, format!("  URL             https://…{}", text_field(answer, "callback"))];
    for (name, label) in [("token", "Token"), ("encoding_aes_key", "EncodingAESKey"), ("secret", "secret")] {
        if let Some(value) = answer["made_up"][name].as_str() {
            lines.push(format!("  {label:<15} {value}"));
        }
    }
    let made = answer["made_up"].as_object().is_some_and(|made| !made.is_empty());
    lines.extend(made.then(|| text!("These were generated now and are not shown again.").in_lang(lang)));
    lines.extend(lacks_upstream_secret(answer).then(|| {
        text!(
            "The gateway needs WeChat's own AppSecret, too: msgcube account set APPID upstream_secret=@FILE"
        )
        .in_lang(lang)
        .replace("APPID", text_field(answer, "appid"))
    }));
    lines.extend(warnings(answer, lang));
    lines.join("\n")
}

/// The gateway sends calls to WeChat, and WeChat does not know a secret that was generated here.
fn lacks_upstream_secret(answer: &Value) -> bool {
    let has_own = list_field(answer, "secrets").any(|name| name == "upstream_secret");
    answer["upstream"] == true && answer["made_up"]["secret"].is_string() && !has_own
}

fn warnings(answer: &Value, lang: Lang) -> Vec<String> {
    let warnings = list_field(answer, "warnings").filter_map(Value::as_str);
    let one = |warning| format!("{}{}", text!("warning: ").in_lang(lang), i18n::translated(lang, warning));
    warnings.map(one).collect()
}

fn accounts_table(answer: &Value, lang: Lang, columns: usize) -> String {
    let header =
        [Text::plain("appid"), text!("name"), text!("counting since"), text!("gaps"), text!("platforms")]
            .map(|text| text.in_lang(lang));
    let rows = list_field(answer, "accounts").map(|account| {
        let coverage = &account["coverage"];
        let gaps = coverage["gaps"].as_array().map_or(0, Vec::len);
        let since = short_time(text_field(coverage, "since"));
        let [appid, name] = ["appid", "name"].map(|field| text_field(account, field).to_owned());
        [appid, name, since, gaps.to_string(), platforms(account, lang)]
    });
    fitted(header, rows, columns).to_string()
}

/// The platforms that bring an account's messages, with the state of each authorization.
fn platforms(account: &Value, lang: Lang) -> String {
    let one = |platform: &Value| {
        let status = match text_field(platform, "status") {
            "pending" => text!("pending").in_lang(lang),
            "authorized" => text!("authorized").in_lang(lang),
            _ => text!("unauthorized").in_lang(lang),
        };
        let bound = platform["original_id"].as_str().map(|id| format!(", {id}")).unwrap_or_default();
        format!("{} ({status}{bound})", text_field(platform, "component"))
    };
    list_field(account, "platforms").map(one).collect::<Vec<_>>().join("; ")
}

fn account_text(answer: &Value, lang: Lang, columns: usize) -> String {
    let relay = match &answer["relay"] {
        Value::Null => text!("none").in_lang(lang),
        relay => format!(
            "{} (when_not_durable {}, on_late {})",
            text_field(relay, "url"),
            text_field(relay, "when_not_durable"),
            text_field(relay, "on_late")
        ),
    };
    let yes = |name: &str| match answer[name].as_bool() {
        Some(true) => text!("yes").in_lang(lang),
        _ => text!("no").in_lang(lang),
    };
    let rows = [
        ("appid".to_owned(), text_field(answer, "appid").to_owned()),
        (text!("name").in_lang(lang), text_field(answer, "name").to_owned()),
        (text!("from").in_lang(lang), text_field(answer, "origin").to_owned()),
        (text!("callback").in_lang(lang), text_field(answer, "callback").to_owned()),
        (
            text!("messages come through").in_lang(lang),
            Some(platforms(answer, lang))
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| text!("its own callback").in_lang(lang)),
        ),
        (text!("platforms allowed").in_lang(lang), allowed_platforms(answer, lang)),
        (text!("original id").in_lang(lang), text_field(answer, "original_id").to_owned()),
        (text!("kind").in_lang(lang), text_field(answer, "kind").to_owned()),
        (text!("certified").in_lang(lang), yes("certified")),
        (text!("require encryption").in_lang(lang), yes("require_encryption")),
        (text!("calls per day").in_lang(lang), quota_text(answer, lang)),
        (text!("allowed addresses").in_lang(lang), allowed_addresses(answer, lang)),
        (text!("secret frozen").in_lang(lang), yes("secret_frozen")),
        (text!("secrets").in_lang(lang), join_texts(&answer["secrets"])),
        (text!("relay").in_lang(lang), relay),
        (text!("counting since").in_lang(lang), short_time(text_field(&answer["coverage"], "since"))),
    ];
    let table = fitted(
        [text!("setting").in_lang(lang), text!("value").in_lang(lang)],
        rows.map(|(name, value)| [name, value]),
        columns,
    );
    [vec![table.to_string()], warnings(answer, lang)].concat().join("\n")
}

fn quota_text(answer: &Value, lang: Lang) -> String {
    match answer["quota_per_day"].as_u64() {
        Some(0) | None => text!("no limit").in_lang(lang),
        Some(limit) => limit.to_string(),
    }
}

fn allowed_addresses(answer: &Value, lang: Lang) -> String {
    let addresses = join_texts(&answer["ip_allow"]);
    if addresses.is_empty() { text!("any address").in_lang(lang) } else { addresses }
}

/// The platforms that may bring its messages.
fn allowed_platforms(answer: &Value, lang: Lang) -> String {
    match &answer["components"] {
        Value::Array(named) if named.is_empty() => text!("none").in_lang(lang),
        named @ Value::Array(_) => join_texts(named),
        _ => text!("the one that brought it").in_lang(lang),
    }
}

fn rotated_text(answer: &Value, what: RotatedValue, lang: Lang) -> String {
    let value = text_field(answer, what.name());
    let next = if what == RotatedValue::Secret {
        text!("Callers need it from now on; it is not shown again.")
    } else {
        text!("Enter it in WeChat's console; the former one is still accepted. It is not shown again.")
    };
    let next = next.in_lang(lang);
    format!("{} = {value}\n{next}", what.name())
}

#[cfg(test)]
mod tests;
