//! Reads request bodies, with a limit in bytes and in time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use datacube::ErrorCode;
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};
use system::byte_budget::{BudgetShare, ByteBudget};

/// Limit in bytes of all unauthenticated bodies that are being read.
const UNPROVEN_BYTES_MAX: usize = 64 << 20;
/// Limit in bytes of all bodies with a valid token that are being read.
const PROVEN_BYTES_MAX: usize = 256 << 20;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke.
    Broken,
    /// The bodies being read hold too much memory already.
    Full,
}

impl BodyError {
    /// The error code that WeChat's interfaces answer.
    pub fn code(self) -> ErrorCode {
        if self == BodyError::Full { ErrorCode::SYSTEM_ERROR } else { ErrorCode::DATA_FORMAT }
    }
}

/// Limits of the memory of bodies that are being read. A body in one piece takes nothing of it, so small requests
/// work even if someone uses it up.
#[derive(Debug)]
pub struct Budgets {
    /// Bytes for callers without a token yet.
    pub unproven: ByteBudget,
    /// Bytes for callers with a valid token.
    pub proven: ByteBudget,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets { unproven: ByteBudget::new(UNPROVEN_BYTES_MAX), proven: ByteBudget::new(PROVEN_BYTES_MAX) }
    }
}

/// Reads a body of at most `bytes_max` bytes within `time_max`.
pub async fn read_within(body: Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, BodyError> {
    in_time(time_max, read(body, bytes_max)).await
}

/// Reads a body within the limits and within a budget shared with other bodies.
pub async fn read_sharing(
    body: Body,
    bytes_max: usize,
    time_max: Duration,
    budget: &ByteBudget,
) -> Result<Bytes, BodyError> {
    in_time(time_max, gather(body, bytes_max, Some(budget))).await
}

async fn in_time(
    time_max: Duration,
    read: impl Future<Output = Result<Bytes, BodyError>>,
) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(time_max, read).await {
        Ok(result) => result,
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// Parses a JSON object. The errors are those of WeChat.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, ErrorCode> {
    if bytes.is_empty() {
        return Err(ErrorCode::EMPTY_BODY);
    }
    serde_json::from_slice(bytes).map_err(|_| ErrorCode::DATA_FORMAT)
}

/// Reads a body of at most `bytes_max` bytes. The caller limits the time.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    gather(body, bytes_max, None).await
}

async fn gather(mut body: Body, bytes_max: usize, budget: Option<&ByteBudget>) -> Result<Bytes, BodyError> {
    let mut share: Option<BudgetShare> = None;
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length += data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if let Some(budget) = budget.filter(|_| !body.is_end_stream())
            && !share.get_or_insert_with(|| budget.new_share()).take(data.len())
        {
            return Err(BodyError::Full);
        }
        match &first {
            // Nearly every body is one piece. It is not copied.
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::Request;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        config::Config,
        http::{self, state::App},
    };
    use storage::store::{Memory, Store};
    use system::{clock::Clock, data_key::DataKey};

    /// A body in pieces that does not say which piece is the last.
    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(*piece)))).collect();
        Body::new(StreamBody::new(BodyPieces(pieces.into_iter())))
    }

    struct BodyPieces<I>(I);

    impl<I: Iterator + Unpin> futures_core::Stream for BodyPieces<I> {
        type Item = I::Item;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<I::Item>> {
            std::task::Poll::Ready(self.0.next())
        }
    }

    async fn read_4(body: Body, budget: &ByteBudget) -> Result<Bytes, BodyError> {
        read_sharing(body, 4, Duration::from_secs(60), budget).await
    }

    #[tokio::test]
    async fn bodies_in_pieces_share_a_budget_and_give_it_back_and_those_in_one_need_none() {
        let budget = ByteBudget::new(4);
        for _ in 0..3 {
            assert_eq!(read_4(pieces(&["ab", "cd"]), &budget).await.unwrap(), "abcd");
            assert_eq!(read_4(pieces(&["ab", "cde"]), &budget).await, Err(BodyError::TooLarge));
            assert_eq!(budget.bytes(), 0);
        }
        let mut others = budget.new_share();
        assert!(others.take(1));
        assert_eq!(read_4(pieces(&["ab", "cd"]), &budget).await, Err(BodyError::Full));
        assert_eq!(read_4(Body::from("abcd"), &budget).await.unwrap(), "abcd");
        assert_eq!(budget.bytes(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn while_others_hold_all_of_it_bodies_in_pieces_are_refused_wherever_nobody_is_known_yet() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n\
                    [[cloud]]\nenv = \"e\"\nsecret_id = \"id\"\nsecret_key = \"key\"\nappids = [\"wx1\"]\n";
        let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let (app, writer) =
            App::start_with(config, Clock::real(), Store::Memory(Memory::default()), key).unwrap();
        let mut others = app.bodies.unproven.new_share();
        assert!(others.take(UNPROVEN_BYTES_MAX));
        let now_s = app.clock.now_s();
        let today = jiff::Timestamp::from_second(now_s).unwrap().strftime("%Y-%m-%d");
        let signature = format!(
            "TC3-HMAC-SHA256 Credential=id/{today}/tcb/tc3_request, SignedHeaders=content-type;host, \
             SignedParams=a, Signature={}",
            "0".repeat(64)
        );
        for (path, timestamp_s, status, said) in [
            ("/cloud/admin", 1, 200, "signature is expired"),
            ("/cgi-bin/stable_token", now_s, 200, "\"errcode\":-1,"),
            ("/cgi-bin/clear_quota/v2", now_s, 200, "\"errcode\":-1,"),
            ("/cgi-bin/component/api_component_token", now_s, 200, "\"errcode\":-1,"),
            ("/cgi-bin/componentloginpage", now_s, 503, "notice bad"),
            ("/cloud/admin", now_s, 200, "too many bodies are being read"),
        ] {
            let ask = async |body: Body| {
                let request = Request::post(path).header("authorization", &signature);
                let request = request.header("x-timestamp", timestamp_s).body(body).unwrap();
                let response = http::router(app.clone()).router.oneshot(request).await.unwrap();
                let status = response.status().as_u16();
                let hint = format!("{:?}", response.headers());
                let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                (status, format!("{hint}{}", String::from_utf8_lossy(&bytes)))
            };
            let (found, text) = ask(pieces(&["{", "}"])).await;
            assert!(found == status && text.contains(said), "{path}: {found} {text}");
            let (_, text) = ask(Body::from("{}")).await;
            assert!(!text.contains(said) || path.ends_with("page") || timestamp_s != now_s, "{path}: {text}");
        }
        tokio::task::spawn_blocking(|| writer.stop()).await.unwrap();
    }
}
