//! Asks the server for accounts and figures, page by page.

use axum::http::Method;
use i18n::{Lang, text};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{StatsBy, StatsError, StatsPeriod, days::DayRange};
use crate::{admin::AdminConnection, progress::steps_bar};

/// Rows of one page. Source: the server's limit.
const PAGE_ROWS: &str = "10000";
/// Most rows that are kept, about 300 MiB.
const ROWS_MAX: usize = 1_000_000;

/// What is asked, and of whom.
pub(super) struct Asking<'a> {
    pub(super) server: &'a AdminConnection,
    /// Empty: all accounts that the key may read.
    pub(super) appids: &'a [String],
    pub(super) days: DayRange,
    pub(super) by: Option<StatsBy>,
    pub(super) lang: Lang,
    /// Number of accounts that the key may read.
    pub(super) all: usize,
}

/// An account, as `GET /v1/accounts` lists it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReadableAccount {
    pub(super) appid: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) coverage: ListedCoverage,
}

/// Since when the account is counted, and when it was not.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListedCoverage {
    pub(super) since: Option<String>,
    /// `[from, to, reason, …]`.
    gaps: Vec<Vec<Value>>,
}

/// One row of `GET /v1/stats`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AskedRow {
    pub(super) account: String,
    pub(super) period: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) count: Option<String>,
    pub(super) users: u64,
    pub(super) messages: Option<u64>,
    pub(super) new: Option<u64>,
    pub(super) new_is_early: Option<bool>,
    pub(super) covered: bool,
    pub(super) bridged: u64,
}

/// All pages of an answer.
pub(super) struct AskedFigures {
    pub(super) rows: Vec<AskedRow>,
    /// The same rows, as the server wrote them.
    values: Vec<Value>,
    days: DayRange,
}

impl AskedFigures {
    /// The answer as if it had come on one page.
    pub(super) fn as_answered(&self) -> Value {
        let DayRange { from, to } = self.days;
        json!({ "from": from, "to": to, "rows": self.values, "next": null })
    }
}

impl ListedCoverage {
    /// The stretches that are not covered, in Unix seconds.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (i64, i64)> {
        let moment = |value: &Value| value.as_str().and_then(unix_s);
        self.gaps.iter().filter_map(move |gap| Some((moment(gap.first()?)?, moment(gap.get(1)?)?)))
    }

    /// When counting began, in Unix seconds.
    pub(super) fn since_s(&self) -> Option<i64> {
        self.since.as_deref().and_then(unix_s)
    }
}

fn unix_s(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

impl Asking<'_> {
    /// The accounts that the key may read.
    pub(super) async fn accounts(&self) -> Result<Vec<ReadableAccount>, StatsError> {
        let mut answer = self.server.ask(Method::GET, &["accounts"], None).await?;
        Ok(serde_json::from_value(answer["accounts"].take())?)
    }

    /// The rows of all pages.
    pub(super) async fn figures(&self, period: StatsPeriod, new: bool) -> Result<AskedFigures, StatsError> {
        let (from, to) = (self.days.from.to_string(), self.days.to.to_string());
        let accounts = if self.appids.is_empty() { "*".to_owned() } else { self.appids.join(",") };
        let mut query = vec![("accounts", accounts.as_str()), ("from", &from), ("to", &to)];
        query.extend([("period", period.name()), ("limit", PAGE_ROWS)]);
        query.extend(self.by.map(|by| ("by", by.name())));
        query.extend(new.then_some(("new", "true")));
        let mut asked = AskedFigures { rows: Vec::new(), values: Vec::new(), days: self.days };
        let mut cursor: Option<String> = None;
        // One page comes at once, so only the second shows a bar.
        let mut bar = None;
        loop {
            let query: Vec<_> =
                query.iter().copied().chain(cursor.as_deref().map(|at| ("cursor", at))).collect();
            let mut page = self.server.ask_with(Method::GET, &["stats"], &query, None).await?;
            let values: Vec<Value> = serde_json::from_value(page["rows"].take())?;
            for value in &values {
                asked.rows.push(AskedRow::deserialize(value)?);
            }
            asked.values.extend(values);
            if asked.rows.len() > ROWS_MAX {
                return Err(StatsError::TooManyRows(ROWS_MAX));
            }
            cursor = page["next"].as_str().map(ToOwned::to_owned);
            if cursor.is_none() {
                return Ok(asked);
            }
            let bar =
                bar.get_or_insert_with(|| steps_bar(self.steps(), text!("accounts").in_lang(self.lang)));
            bar.set_position(accounts_done(&asked.rows));
        }
    }

    fn steps(&self) -> u64 {
        let named = self.appids.len();
        (if named == 0 { self.all } else { named }) as u64
    }
}

/// How many accounts the rows are of. They are sorted by account.
fn accounts_done(rows: &[AskedRow]) -> u64 {
    rows.chunk_by(|one, other| one.account == other.account).count() as u64
}
