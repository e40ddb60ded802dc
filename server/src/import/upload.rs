//! Sends chunks to `POST /v1/accounts/{appid}/messages`, again and again within a bound. Sending again is
//! always safe: a repeat counts nothing.

use std::time::Duration;

use bytes::Bytes;
use msgcube_client::{Day, Secret};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::{error::UploadError, summary::Totals, target::Destination};
use crate::admin::client_of_server;

/// Largest answer taken: 100 errors with room to spare.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
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
    http: reqwest::Client,
    url: Url,
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
        let (server, admin_key) = (&to.server, to.admin_key.clone());
        let appid = utf8_percent_encode(&to.appid, NON_ALPHANUMERIC);
        let url = format!("{}/v1/accounts/{appid}/messages", server.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| UploadError::Server(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UploadError::Server("it must begin with http:// or https://".into()));
        }
        let http = client_of_server(&url, to.is_configured)
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|error| UploadError::Server(error.to_string()))?;
        Ok(Upload { http, url, admin_key, patience })
    }

    /// Sends lines.
    pub async fn send(&self, body: Bytes) -> Result<BulkAnswer, UploadError> {
        self.send_patiently(self.url.clone(), body).await
    }

    /// Claims that everything from the first to the last of these days has been imported.
    pub async fn claim(&self, covers: (Day, Day)) -> Result<BulkAnswer, UploadError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("covers", &format!("{}..{}", covers.0, covers.1));
        self.send_patiently(url, Bytes::new()).await
    }

    async fn send_patiently(&self, url: Url, body: Bytes) -> Result<BulkAnswer, UploadError> {
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

    async fn send_once(&self, url: Url, body: Bytes) -> Result<BulkAnswer, UploadError> {
        let request = self.http.post(url).bearer_auth(self.admin_key.expose());
        let request = request.header("Content-Type", "application/x-ndjson").body(body);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let text = text_of(response).await?;
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

async fn text_of(mut response: Response) -> Result<Vec<u8>, UploadError> {
    let mut text = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        if text.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(UploadError::Malformed(format!("over {ANSWER_BYTES_MAX} bytes")));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// The last cause says what happened; reqwest's own text repeats the URL.
fn lost(error: reqwest::Error) -> UploadError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    UploadError::Lost(cause.to_string())
}

fn beginning(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(200).collect()
}
