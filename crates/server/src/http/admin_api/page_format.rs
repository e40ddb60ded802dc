//! Writes rows of statistics as JSON, NDJSON or CSV.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
};
use datacube::Day;
use serde::Serialize;

use crate::figures::statistics::{AccountRow, QueryValues, Split, StatisticsQuery};

/// `GET /v1/stats` as JSON.
#[derive(Serialize)]
pub struct StatisticsPage {
    /// First day, in Beijing time.
    pub from: Day,
    /// Last day, included.
    pub to: Day,
    /// Sorted by account, then by period.
    pub rows: Vec<AccountRow>,
    /// The value of `cursor` for the next page. `null` on the last page.
    pub next: Option<String>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    /// The format in the query, otherwise the one in the header Accept, otherwise JSON.
    ///
    /// # Errors
    ///
    /// Says in English which formats exist, if the query names another.
    pub fn choose(values: &QueryValues<'_>, headers: &HeaderMap) -> Result<Format, String> {
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

/// The rows as NDJSON or CSV. None for JSON, which has more than rows.
pub fn rows_alone(rows: &[AccountRow], format: Format, query: &StatisticsQuery) -> Option<Response<Body>> {
    match format {
        Format::Json => None,
        Format::Ndjson => Some(with_type("application/x-ndjson", ndjson(rows))),
        Format::Csv => Some(with_type("text/csv; charset=utf-8", csv(rows, query))),
    }
}

fn with_type(content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A page with a link to the next one.
///
/// `query_text` is the query as it was received.
pub fn response(
    page: &StatisticsPage,
    format: Format,
    query: &StatisticsQuery,
    query_text: &str,
) -> Response<Body> {
    let alone = rows_alone(&page.rows, format, query);
    let json = || with_type("application/json", serde_json::to_vec(page).unwrap_or_default());
    let mut response = alone.unwrap_or_else(json);
    if let Some(next) = &page.next
        && let Ok(link) = HeaderValue::try_from(link(query_text, next))
    {
        response.headers_mut().insert(HeaderName::from_static("link"), link);
    }
    response
}

/// The header Link that names the next page. Source: RFC 8288.
fn link(query: &str, next: &str) -> String {
    let mut next_query = form_urlencoded::Serializer::new(String::new());
    next_query.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor"));
    next_query.append_pair("cursor", next);
    format!("</v1/stats?{}>; rel=\"next\"", next_query.finish())
}

fn ndjson(rows: &[AccountRow]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        // Writing a row to memory cannot fail.
        let _ = serde_json::to_writer(&mut lines, row);
        lines.push(b'\n');
    }
    lines
}

/// CSV with a heading. It has no column for `events`. Source: RFC 4180.
fn csv(rows: &[AccountRow], query: &StatisticsQuery) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let messages = (query.by() != Some(Split::Count)).then_some("messages");
    let new = query.with_new().then_some(["new", "new_is_early"]);
    let heading = ["account", "period"].into_iter().chain(query.by().map(Split::column)).chain(["users"]);
    let heading = heading.chain(messages).chain(new.into_iter().flatten()).chain(["covered", "bridged"]);
    // Writing to memory cannot fail.
    let _ = writer.write_record(heading);
    for AccountRow { account, row, covered, bridged } in rows {
        let mut fields = vec![account.clone(), row.period.clone()];
        fields.extend(row.key().map(ToOwned::to_owned));
        fields.push(row.users.to_string());
        fields.extend(row.messages.map(|messages| messages.to_string()));
        fields.extend(row.new.iter().flat_map(|new| [new.users.to_string(), new.is_early.to_string()]));
        fields.extend([covered.to_string(), bridged.to_string()]);
        let _ = writer.write_record(fields);
    }
    writer.into_inner().unwrap_or_default()
}
