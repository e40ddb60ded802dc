//! Parses the bytes of an answer into rows, a token or an error.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{ClientError, Hint, WechatError};
use crate::Row;

/// A successful answer of one of the seven interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The rows in the order in which the server sent them.
    pub rows: Vec<Row>,
    /// The server's remark: that a period is not fully covered, or that WeChat answered.
    pub hint: Option<Hint>,
}

/// A token, and the seconds until it expires.
pub(super) struct NewToken {
    pub token: SecretString,
    pub expires_in_s: u64,
}

#[derive(Deserialize)]
struct ErrorFields {
    #[serde(default)]
    errcode: i32,
    #[serde(default)]
    errmsg: String,
}

#[derive(Deserialize)]
struct RawList {
    list: Vec<Value>,
}

#[derive(Deserialize)]
struct RawToken {
    access_token: String,
    expires_in: u64,
}

/// Parses an answer of one of the seven interfaces.
pub(super) fn rows(call: &'static str, body: &[u8], hint: Option<Hint>) -> Result<Answer, ClientError> {
    check_errcode(call, body, hint.as_ref())?;
    let raw: RawList = parse(call, body)?;
    let rows = raw.list.into_iter().enumerate().map(|(index, value)| row(call, index, value));
    Ok(Answer { rows: rows.collect::<Result<_, _>>()?, hint })
}

/// Parses an answer of `stable_token`.
pub(super) fn token(call: &'static str, body: &[u8], hint: Option<&Hint>) -> Result<NewToken, ClientError> {
    check_errcode(call, body, hint)?;
    let raw: RawToken = parse(call, body)?;
    if raw.access_token.is_empty() {
        return Err(malformed(call, &"access_token is empty"));
    }
    Ok(NewToken { token: raw.access_token.into(), expires_in_s: raw.expires_in })
}

fn check_errcode(call: &'static str, body: &[u8], hint: Option<&Hint>) -> Result<(), ClientError> {
    let fields: ErrorFields = parse(call, body)?;
    if fields.errcode == 0 {
        return Ok(());
    }
    let error = WechatError { call, code: fields.errcode, message: fields.errmsg, hint: hint.cloned() };
    Err(ClientError::Refused(error.into()))
}

fn parse<T: DeserializeOwned>(call: &'static str, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| malformed(call, &error))
}

fn row(call: &'static str, index: usize, value: Value) -> Result<Row, ClientError> {
    serde_json::from_value(value).map_err(|error| malformed(call, &format!("list[{index}]: {error}")))
}

fn malformed(call: &'static str, problem: &dyn fmt::Display) -> ClientError {
    ClientError::Malformed { call, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> String {
        match rows("/datacube/x", body.as_bytes(), None) {
            Ok(answer) => format!("{} rows", answer.rows.len()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_malformed_answer_names_the_wrong_place() {
        let row = r#"{"ref_date":"2014-12-07","msg_type":1,"msg_user":282,"msg_count":817}"#;
        let bad_row = r#"{"ref_date":"2014-12-07","msg_type":1,"msg_user":"282"}"#;
        let cases = [
            (r#"{"list":[]}"#.to_owned(), "0 rows"),
            (format!(r#"{{"errcode":0,"errmsg":"ok","list":[{row},{row}]}}"#), "2 rows"),
            (
                format!(r#"{{"list":[{row},{bad_row}]}}"#),
                "list[1]: invalid type: string \"282\", expected u64",
            ),
            (
                r#"{"list":[{"ref_date":"2014-2-30"}]}"#.to_owned(),
                "list[0]: date \"2014-2-30\": not of the form",
            ),
            ("{}".to_owned(), "malformed answer: missing field `list` at line 1 column 2"),
            (r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(), "missing field `list`"),
            (
                r#"{"errcode":61501,"errmsg":"date range error rid: 1-2-3"}"#.to_owned(),
                "61501 date range error rid: 1-2-3",
            ),
            (r#"{"errcode":"61501"}"#.to_owned(), "expected i32"),
            ("<html>".to_owned(), "expected value at line 1 column 1"),
            (String::new(), "EOF while parsing"),
        ];
        for (body, expected) in cases {
            let result = check(&body);
            assert!(result.contains(expected), "{body}: {result}");
        }
    }

    #[test]
    fn a_token_answer_needs_a_token_and_its_lifetime() {
        let good =
            token("/t", br#"{"access_token":"A","expires_in":7200}"#, None).map(|token| token.expires_in_s);
        assert_eq!(good.unwrap(), 7200);
        for body in [r#"{"access_token":"A"}"#, r#"{"access_token":"","expires_in":7200}"#, "[]"] {
            assert!(
                matches!(token("/t", body.as_bytes(), None), Err(ClientError::Malformed { .. })),
                "{body}"
            );
        }
    }
}
