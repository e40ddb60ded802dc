//! A page of rows as it is written: JSON, NDJSON or CSV.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
};
use datacube::Day;
use serde::Serialize;
use storage::store::statistics::Span;

use super::parameters::Values;
use crate::{accounts::registry::Account, http::state::App};

/// A row of a period.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub period: String,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<&'static str>,
    pub users: u64,
    pub messages: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, u64>,
}

/// A row of one account.
#[derive(Serialize)]
pub struct AccountRow {
    pub account: String,
    #[serde(flatten)]
    pub row: Row,
    /// All of its time that is over was covered: otherwise the figures may be too low.
    pub covered: bool,
    /// How many short planned stops lie in it that count as covered, since WeChat repeats what was not answered.
    pub bridged: usize,
}

impl AccountRow {
    /// The rows of one stretch of time.
    pub fn all(app: &App, account: &Account, span: Span, rows: Vec<Row>) -> Vec<AccountRow> {
        let (start_s, end_s) = span.seconds();
        let now_s = app.clock.now_s();
        let (covered, bridged) = app.store.coverage(account.number, |known| {
            (known.holds(start_s, end_s, now_s), known.bridged_within(start_s, end_s))
        });
        let of_account = |row| AccountRow { account: account.config.appid.clone(), row, covered, bridged };
        rows.into_iter().map(of_account).collect()
    }
}

#[derive(Serialize)]
pub struct Page {
    pub from: Day,
    pub to: Day,
    pub rows: Vec<AccountRow>,
    /// Where the next page begins; none: this is the last one.
    pub next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    /// What the query says, otherwise what the caller accepts.
    pub fn of(values: &Values<'_>, headers: &HeaderMap) -> Result<Format, String> {
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match values.get("format").map(AsRef::as_ref) {
            Some("json") => Ok(Format::Json),
            Some("ndjson") => Ok(Format::Ndjson),
            Some("csv") => Ok(Format::Csv),
            Some(other) => Err(format!("format={other}: use json, ndjson or csv")),
            None if accepted.contains("ndjson") => Ok(Format::Ndjson),
            None if accepted.contains("text/csv") => Ok(Format::Csv),
            None => Ok(Format::Json),
        }
    }
}

/// Rows without what stands around them in JSON.
pub fn rows_alone(rows: &[AccountRow], format: Format, by_type: bool) -> Option<Response<Body>> {
    match format {
        Format::Json => None,
        Format::Ndjson => Some(of_type("application/x-ndjson", ndjson(rows))),
        Format::Csv => Some(of_type("text/csv; charset=utf-8", csv(rows, by_type))),
    }
}

fn of_type(content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub fn response(page: &Page, format: Format, by_type: bool, query: &str) -> Response<Body> {
    let alone = rows_alone(&page.rows, format, by_type);
    let json = || of_type("application/json", serde_json::to_vec(page).unwrap_or_default());
    let mut response = alone.unwrap_or_else(json);
    if let Some(next) = &page.next
        && let Ok(link) = HeaderValue::try_from(link(query, next))
    {
        response.headers_mut().insert(HeaderName::from_static("link"), link);
    }
    response
}

/// Where the next page is (RFC 8288).
fn link(query: &str, next: &str) -> String {
    let mut again = form_urlencoded::Serializer::new(String::new());
    again.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor"));
    again.append_pair("cursor", next);
    format!("</v1/stats?{}>; rel=\"next\"", again.finish())
}

fn ndjson(rows: &[AccountRow]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        // Nothing in a row can fail to be written.
        let _ = serde_json::to_writer(&mut lines, row);
        lines.push(b'\n');
    }
    lines
}

/// RFC 4180, with a heading. Which events there were stands in the other formats only.
fn csv(rows: &[AccountRow], by_type: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let kind = by_type.then_some("type");
    let heading =
        ["account", "period"].into_iter().chain(kind).chain(["users", "messages", "covered", "bridged"]);
    // Writing to memory does not fail.
    let _ = writer.write_record(heading);
    for AccountRow { account, row, covered, bridged } in rows {
        let figures =
            [row.users.to_string(), row.messages.to_string(), covered.to_string(), bridged.to_string()];
        let names = [account.as_str(), &row.period].into_iter().chain(row.kind);
        let _ = writer.write_record(names.chain(figures.iter().map(String::as_str)));
    }
    writer.into_inner().unwrap_or_default()
}
