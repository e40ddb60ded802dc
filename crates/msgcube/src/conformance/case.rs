//! A case as it is written. Says nothing of how a server is built, so that any server of this interface can be asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// What the cases of the file are about. Needed by those that any server can be asked.
    pub title: Option<Title>,
    pub case: Vec<Case>,
}

/// A heading in the two languages of the screen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    pub en: String,
    pub zh: String,
}

/// How sure it is that WeChat answers so, in the words of COMPATIBILITY.md.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sure {
    /// Our choice.
    Assumed,
    /// An answer of the live service, printed in public, shows it.
    Seen,
    /// An official page says so.
    Documented,
}

/// One server, what it was told beforehand, and what happens then.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// The same in Chinese, for those that any server can be asked.
    pub zh: Option<String>,
    /// Of the case as a whole; a step may say otherwise for itself.
    pub sure: Option<Sure>,
    /// It ends tokens that others use, or spends what there is little of: only for who asks for it.
    #[serde(default)]
    pub disturbs: bool,
    /// Where the server's clock starts, in Beijing.
    #[serde(default = "noon")]
    pub now: String,
    /// Keys of the configuration that differ from the usual: top level (with its tables) and the first account's.
    #[serde(default)]
    pub config: toml::Table,
    #[serde(default)]
    pub account: toml::Table,
    /// Messages of the first and the second account: `USER TYPE TIME [ID] [xN]`, see feed.rs. A server that cannot be fed
    /// answers the case without them.
    #[serde(default)]
    pub feed: Vec<String>,
    #[serde(default)]
    pub feed_other: Vec<String>,
    #[serde(default)]
    pub feed_by: FeedBy,
    /// Days claimed as covered for the first account: `2014-11-01..2014-11-30`.
    pub covers: Option<String>,
    /// More than the plain model, which counts everything anew each time, answers in a test's time.
    #[serde(default)]
    pub is_large: bool,
    pub step: Vec<Step>,
}

/// How messages get in before the first step.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum FeedBy {
    #[default]
    Bulk,
    /// Signed ones; encrypted in safe mode if the account has a key.
    Callbacks,
}

/// One request with its answer, or a restart.
#[allow(clippy::struct_excessive_bools, reason = "each is a key of the files, and most steps have none")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `METHOD TARGET`
    pub send: Option<String>,
    /// `[SHORT NAME, BEGIN, END]`: one of the seven, as the most used client asks.
    pub ask: Option<[String; 3]>,
    pub callback: Option<Callback>,
    /// The server ends gracefully and is started on the same folder at this moment.
    pub restart: Option<String>,

    /// Whole header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    pub body: Option<String>,
    /// How often the body stands there; 1 if absent.
    pub body_times: Option<usize>,
    /// The body goes in chunks, without a length.
    #[serde(default)]
    pub chunked: bool,
    /// The request goes twice over one connection; both answers must fit.
    #[serde(default)]
    pub twice: bool,
    /// To the operator's address.
    #[serde(default)]
    pub at_admin: bool,
    /// What `/v1` and `/metrics` are shown; the right key if absent, nothing if empty.
    pub admin_key: Option<String>,

    /// 200 if absent.
    pub status: Option<u16>,
    /// The connection ends without an answer.
    #[serde(default)]
    pub closed: bool,
    /// The exact body, with the placeholders of template.rs.
    pub answer: Option<String>,
    /// The body as JSON, in any order of names; `"<text>"` is any text, `"<any>"` any value, `"<token>"` a text as tokens
    /// are, `"<1 to 9>"` an integer between.
    pub json: Option<String>,
    #[serde(default)]
    pub answer_has: Vec<String>,
    #[serde(default)]
    pub answer_lacks: Vec<String>,
    /// The body is this error, with its text and a rid.
    pub errcode: Option<i64>,
    /// These errors are as good as what is expected otherwise.
    #[serde(default)]
    pub or_errcodes: Vec<i64>,
    /// The body is a list of rows as the interface's page has them: fields in order, integers, dates.
    #[serde(default)]
    pub rows: bool,
    /// It is about the rows: an answer without any, right as it may be, shows nothing of it.
    #[serde(default)]
    pub needs_rows: bool,
    /// And they ascend by date, hour, and type or interval.
    #[serde(default)]
    pub sorted: bool,
    /// Contained in the English hint; `*`: any hint; empty: no hint.
    pub hint: Option<String>,
    /// By lower-case name; `*`: any value; empty: not there.
    #[serde(default)]
    pub answer_headers: BTreeMap<String, String>,
    /// Placeholders that take the values of these fields of the answer; `/a/b` is a field within a field, `rid` also the
    /// one in an error's text.
    #[serde(default)]
    pub remember: BTreeMap<String, String>,
    /// If it differs from the case's.
    pub sure: Option<Sure>,
}

/// A callback as WeChat sends it, or one with something wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// A GET with this `echostr`, as it stands in the query.
    pub verify: Option<String>,
    #[serde(default)]
    pub mode: Mode,
    /// The second account's, with its token and without a key.
    #[serde(default)]
    pub other: bool,
    #[serde(default = "user")]
    pub user: String,
    #[serde(default = "text")]
    pub kind: String,
    /// `CreateTime`: a moment in Beijing or a number; now if absent.
    pub at: Option<String>,
    pub id: Option<String>,
    /// `ToUserName`
    #[serde(default = "original_id")]
    pub to: String,
    /// Further fields.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The message itself, instead of the one made of the above.
    pub raw: Option<String>,
    /// The outer body is JSON.
    #[serde(default)]
    pub json: bool,
    /// The callback token, key and appid used, if not the right ones.
    pub token: Option<String>,
    pub key: Option<String>,
    pub appid: Option<String>,
    /// Seconds that its timestamp lies in the past.
    #[serde(default)]
    pub age_s: i64,
    /// Names of query values that are left out.
    #[serde(default)]
    pub without: Vec<String>,
    /// Names of query values that are wrong.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// The body is filled up with blanks to this many bytes.
    #[serde(default)]
    pub bytes: usize,
}

/// WeChat's three modes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Plain,
    Compatible,
    #[default]
    Safe,
}

/// A Monday and a first of a month.
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
