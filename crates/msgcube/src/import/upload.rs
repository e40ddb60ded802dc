//! Sends chunks to `POST /v1/accounts/{appid}/messages`, again and again within a bound. Sending again is
//! always safe: a repeat counts nothing.

use std::time::Duration;

use axum::http::{Request, StatusCode, Uri, header};
use bytes::Bytes;
use datacube::Day;
use http_body_util::Full;
use msgcube_client::{
    Secret,
    http::{Address, HttpClient, HttpError, Limits},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::time::Instant;

use super::{error::UploadError, summary::Totals, target::Destination};
use crate::admin::client_of_server;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The answer has 100 errors at most.
const LIMITS: Limits = Limits { time: Duration::from_secs(120), bytes: 1024 * 1024 };
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long a request that fails is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Pause after the first failure; doubled each time.
    pub first_pause: Duration,
    /// No further try once this much time has gone by.
    pub total: Duration,
}

/// Sends to one account of one server.
#[derive(Debug)]
pub struct Upload {
    http: HttpClient<Full<Bytes>>,
    base: Address,
    path: String,
    admin_key: Secret,
    patience: Patience,
}

/// The server's answer.
#[derive(Debug, Deserialize)]
pub struct BulkAnswer {
    /// Figures of the request.
    #[serde(flatten)]
    pub totals: Totals,
    /// The first 100 rejected lines.
    #[serde(default)]
    pub errors: Vec<BulkError>,
    /// How often the request was sent again.
    #[serde(skip)]
    pub repeats: u64,
}

/// A rejected line.
#[derive(Debug, Deserialize)]
pub struct BulkError {
    /// Number in the request, from 1.
    pub line: u64,
    /// Why.
    pub error: String,
}

impl Upload {
    /// Nothing is sent yet.
    pub(super) fn new(to: &Destination, patience: Patience) -> Result<Upload, UploadError> {
        let base = Address::parse_base(&to.server).map_err(|why| UploadError::Server(format!("it {why}")))?;
        let path = format!("/v1/accounts/{}/messages", utf8_percent_encode(&to.appid, NON_ALPHANUMERIC));
        let http = client_of_server(&base, to.is_configured, Some(CONNECT_TIME_MAX));
        Ok(Upload { http, base, path, admin_key: to.admin_key.clone(), patience })
    }

    /// Sends lines.
    pub async fn send(&self, body: Bytes) -> Result<BulkAnswer, UploadError> {
        self.send_patiently(&self.path, body).await
    }

    /// Claims that everything from the first to the last of these days has been imported.
    pub async fn claim(&self, covers: (Day, Day)) -> Result<BulkAnswer, UploadError> {
        let path = format!("{}?covers={}..{}", self.path, covers.0, covers.1);
        self.send_patiently(&path, Bytes::new()).await
    }

    async fn send_patiently(&self, path: &str, body: Bytes) -> Result<BulkAnswer, UploadError> {
        let url = self.base.below(path).map_err(|error| UploadError::Server(error.to_string()))?;
        let began = Instant::now();
        let mut pause = self.patience.first_pause;
        let mut repeats = 0;
        loop {
            match self.send_once(url.clone(), body.clone()).await {
                Err(error) if error.is_passing() && began.elapsed() + pause <= self.patience.total => {
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
            .header(header::AUTHORIZATION, format!("Bearer {}", self.admin_key.expose()))
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
            _ => Err(UploadError::Status { status: status.as_u16(), text: beginning(&text) }),
        }
    }
}

fn beginning(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(200).collect()
}
