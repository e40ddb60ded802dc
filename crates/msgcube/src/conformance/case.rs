//! A case as it stands in a file. It does not depend on the kind of server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The subject of the cases. Required for cases of the conformance kit.
    pub title: Option<Title>,
    pub case: Vec<Case>,
}

/// A heading in both languages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    pub en: String,
    pub zh: String,
}

/// How certain an expectation about WeChat is, in the words of COMPATIBILITY.md.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Our assumption.
    Assumed,
    /// A published answer of the live service shows it.
    Seen,
    /// An official page says so.
    Documented,
}

/// A server with its settings and messages, and the steps to run on it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of the case, a sentence.
    pub name: String,
    /// The name in Chinese. Required for cases of the conformance kit.
    pub zh: Option<String>,
    /// The certainty of all steps that do not have their own.
    pub sure: Option<Certainty>,
    /// It invalidates tokens of others or uses up a small quota. Runs only with `--disturb`.
    #[serde(default)]
    pub disturbs: bool,
    /// The start of the server's clock, in Beijing time.
    #[serde(default = "noon")]
    pub now: String,
    /// Settings that differ from the usual configuration: top level with its tables, and those of the first account.
    #[serde(default)]
    pub config: toml::Table,
    #[serde(default)]
    pub account: toml::Table,
    /// Messages of the first and the second account: `USER TYPE TIME [ID] [xN]`, see feed.rs. Other servers than ours run
    /// the case without them.
    #[serde(default)]
    pub feed: Vec<String>,
    #[serde(default)]
    pub feed_other: Vec<String>,
    #[serde(default)]
    pub feed_by: FeedBy,
    /// Days claimed as covered for the first account: `2014-11-01..2014-11-30`.
    pub covers: Option<String>,
    /// Too large for the plain model, which counts all messages again for each answer.
    #[serde(default)]
    pub is_large: bool,
    pub step: Vec<Step>,
}

/// How messages are sent in before the first step.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FeedBy {
    #[default]
    Bulk,
    /// As signed callbacks, encrypted in safe mode if the account has a key.
    Callbacks,
}

/// A request with the expected answer, or a restart.
#[allow(clippy::struct_excessive_bools, reason = "each is a key of the files, and most steps have none")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `METHOD TARGET`
    pub send: Option<String>,
    /// `[SHORT NAME, BEGIN, END]`: a request to one of the seven interfaces, as the most used client (wechatpy) sends it.
    pub ask: Option<[String; 3]>,
    pub callback: Option<Callback>,
    /// The server stops and starts again on the same data folder at this time.
    pub restart: Option<String>,

    /// Whole header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    pub body: Option<String>,
    /// How often the body is repeated; 1 if absent.
    pub body_times: Option<usize>,
    /// The body is sent in chunks, without a length.
    #[serde(default)]
    pub chunked: bool,
    /// The request is sent twice over one connection; both answers must match.
    #[serde(default)]
    pub twice: bool,
    /// The request goes to the admin address.
    #[serde(default)]
    pub at_admin: bool,
    /// The key for `/v1` and `/metrics`: the right key if absent, no key if empty.
    pub admin_key: Option<String>,

    /// The expected HTTP status; 200 if absent.
    pub status: Option<u16>,
    /// The connection must close without an answer.
    #[serde(default)]
    pub closed: bool,
    /// The exact expected body, with the placeholders of template.rs.
    pub answer: Option<String>,
    /// The expected body as JSON; the order of names does not matter. `"<text>"` is any text, `"<any>"` any value,
    /// `"<token>"` a text with the form of a token, `"<1 to 9>"` an integer in this range.
    pub json: Option<String>,
    #[serde(default)]
    pub answer_has: Vec<String>,
    #[serde(default)]
    pub answer_lacks: Vec<String>,
    /// The body must be this error, with its text and a rid.
    pub errcode: Option<i64>,
    /// These errors are accepted, too.
    #[serde(default)]
    pub or_errcodes: Vec<i64>,
    /// The body must be a list of rows as WeChat documents them: fields in order, integers, dates.
    #[serde(default)]
    pub rows: bool,
    /// The step tests the rows: an answer without rows is valid but shows nothing.
    #[serde(default)]
    pub needs_rows: bool,
    /// The rows must ascend by date, hour, and type or interval.
    #[serde(default)]
    pub sorted: bool,
    /// A part of the English hint. `*`: any hint; empty: no hint.
    pub hint: Option<String>,
    /// Expected headers by lower-case name. `*`: any value; empty: the header must be missing.
    #[serde(default)]
    pub answer_headers: BTreeMap<String, String>,
    /// Placeholders that get the values of these fields of the answer. `/a/b` is a nested field; `rid` is also found in an
    /// error's text.
    #[serde(default)]
    pub remember: BTreeMap<String, String>,
    /// The certainty of this step, if it differs from the case.
    pub sure: Option<Certainty>,
}

/// A callback as WeChat sends it, or one with an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// WeChat's check of the address: a GET with this `echostr`, as written in the query.
    pub verify: Option<String>,
    #[serde(default)]
    pub mode: CallbackMode,
    /// The callback is for the second account, which has a token and no key.
    #[serde(default)]
    pub other: bool,
    #[serde(default = "user")]
    pub user: String,
    #[serde(default = "text")]
    pub kind: String,
    /// `CreateTime`: a time in Beijing or a number; now if absent.
    pub at: Option<String>,
    pub id: Option<String>,
    /// `ToUserName`
    #[serde(default = "original_id")]
    pub to: String,
    /// Further fields.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The whole message, instead of one built from the fields above.
    pub raw: Option<String>,
    /// The outer body is JSON.
    #[serde(default)]
    pub json: bool,
    /// Wrong values to use instead of the right callback token, key and appid.
    pub token: Option<String>,
    pub key: Option<String>,
    pub appid: Option<String>,
    /// Age of its timestamp in seconds.
    #[serde(default)]
    pub age_s: i64,
    /// Query parameters that are left out.
    #[serde(default)]
    pub without: Vec<String>,
    /// Query parameters with a wrong value.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// The body is padded with blanks to this number of bytes.
    #[serde(default)]
    pub bytes: usize,
}

/// WeChat's three modes of encryption.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CallbackMode {
    Plain,
    Compatible,
    #[default]
    Safe,
}

/// A Monday and the first day of a month.
fn noon() -> String {
    "2014-12-01T12:00:00".to_owned()
}

fn user() -> String {
    "o1".to_owned()
}

fn text() -> String {
    "text".to_owned()
}

fn original_id() -> String {
    "gh_1".to_owned()
}
