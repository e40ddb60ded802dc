//! Sends chunks to `POST /v1/accounts/{appid}/messages`, with retries for a limited time. A retry is safe: a repeated
//! message is not counted again.

use std::time::Duration;

use axum::http::{Request, StatusCode, Uri, header};
use bytes::Bytes;
use datacube::Day;
use http_body_util::Full;
use msgcube_client::{
    ExposeSecret as _, SecretString,
    http::{Address, HttpClient, HttpError, Limits},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;

use super::{error::UploadError, summary::LineCounts, target::Destination};
use crate::admin::client_of_server;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// An answer has at most 100 errors, so 1 MiB is enough.
const LIMITS: Limits = Limits { time: Duration::from_secs(120), bytes: 1024 * 1024 };
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a failing request is retried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Pause after the first failure; it doubles each time, up to 10 s.
    pub first_pause: Duration,
    /// No further attempt after this time.
    pub total: Duration,
}

/// Sends lines to one account of one server.
#[derive(Debug)]
pub struct Upload {
    http: HttpClient,
    base: Address,
    path: String,
    admin_key: SecretString,
    retry_policy: RetryPolicy,
}

/// The server's answer to a chunk.
#[derive(Debug, Deserialize)]
pub struct BulkAnswer {
    /// Line counts of the request.
    #[serde(flatten)]
    pub totals: LineCounts,
    /// The first 100 rejected lines.
    #[serde(default)]
    pub errors: Vec<BulkError>,
    /// How often the request was retried.
    #[serde(skip)]
    pub repeats: u64,
}

/// A rejected line of the request.
#[derive(Debug, Deserialize)]
pub struct BulkError {
    /// Line number in the request, from 1.
    pub line: u64,
    /// Why it was rejected.
    pub error: String,
}

impl Upload {
    /// Prepares an upload. Nothing is sent yet.
    pub(super) fn new(to: &Destination, retry_policy: RetryPolicy) -> Result<Upload, UploadError> {
        let base = Address::parse_base(&to.server).map_err(UploadError::Server)?;
        let path = format!("/v1/accounts/{}/messages", utf8_percent_encode(&to.appid, NON_ALPHANUMERIC));
        let http = client_of_server(&base, to.is_configured, Some(CONNECT_TIME_MAX));
        Ok(Upload { http, base, path, admin_key: to.admin_key.clone(), retry_policy })
    }

    /// Sends lines and returns the answer.
    pub async fn send(&self, body: Bytes) -> Result<BulkAnswer, UploadError> {
        self.send_with_retries(&self.path, body).await
    }

    /// Claims that all messages of these days, both included, have been imported.
    pub async fn claim(&self, covers: (Day, Day)) -> Result<BulkAnswer, UploadError> {
        let path = format!("{}?covers={}..{}", self.path, covers.0, covers.1);
        self.send_with_retries(&path, Bytes::new()).await
    }

    async fn send_with_retries(&self, path: &str, body: Bytes) -> Result<BulkAnswer, UploadError> {
        let url = self.base.below(path).map_err(|error| UploadError::Server(error.to_string()))?;
        let began = Instant::now();
        let mut pause = self.retry_policy.first_pause;
        let mut repeats = 0;
        loop {
            match self.send_once(url.clone(), body.clone()).await {
                Err(error) if error.is_temporary() && began.elapsed() + pause <= self.retry_policy.total => {
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome.map(|answer| BulkAnswer { repeats, ..answer }),
            }
            pause = (pause * 2).min(PAUSE_MAX);
            repeats += 1;
        }
    }

    async fn send_once(&self, url: Uri, body: Bytes) -> Result<BulkAnswer, UploadError> {
        let request = Request::post(url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.admin_key.expose_secret()))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Full::from(body))
            .map_err(|error| UploadError::Server(error.to_string()))?;
        let answer = self.http.exchange(request, LIMITS).await.map_err(|error| match error {
            HttpError::TooLarge(_) => UploadError::Malformed(error.to_string()),
            error => UploadError::Lost(error.root()),
        })?;
        let (status, text) = (answer.status(), answer.into_body());
        match status {
            StatusCode::OK => {
                serde_json::from_slice(&text).map_err(|error| UploadError::Malformed(error.to_string()))
            }
            StatusCode::SERVICE_UNAVAILABLE => Err(UploadError::NotDurable),
            StatusCode::UNAUTHORIZED => Err(UploadError::Key),
            _ => Err(UploadError::Status { status: status.as_u16(), text: first_characters(&text) }),
        }
    }
}

fn first_characters(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(200).collect()
}
