//! Reading request bodies, with a limit in bytes and one in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use msgcube_client::ErrorCode;
use serde_json::{Map, Value};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Reads a body of at most `bytes_max` bytes within `time_max`.
pub async fn read_within(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(time_max, read(body, bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// What was read is to be a JSON object; WeChat's errors if it is none.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, ErrorCode> {
    if bytes.is_empty() {
        return Err(ErrorCode::EMPTY_BODY);
    }
    serde_json::from_slice(bytes).map_err(|_| ErrorCode::DATA_FORMAT)
}

/// Reads a body of at most `bytes_max` bytes. The caller limits the time.
pub async fn read(mut body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length += data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge);
        }
        match &first {
            // Nearly every body is one piece; it is not copied.
            None => first = Some(data),
            Some(start) => {
                if rest.is_empty() {
                    rest.extend_from_slice(start);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}
