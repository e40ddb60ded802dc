//! `GET /v1/live`: today's messages as server-sent events, as they are counted.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, task::ready};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use counting::{COUNTED_TYPES, Kind};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;

use super::{access, answer, beijing_time};
use crate::{
    figures::live::{LiveAccount, LiveEvent, LiveEvents},
    http::{poll_body, state::App},
};

/// The first line of a stream: a browser connects again after this time.
const RETRY: &str = "retry: 3000\n\n";
/// A comment. It shows proxies and callers that the stream is alive.
const COMMENT: &str = ":\n\n";
/// Tells nginx not to hold events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The data of an event. Times are RFC 3339 in Beijing time.
#[derive(Serialize)]
struct LiveData {
    time: String,
    /// The accounts that have changed since the event before; in the first event all that the key may read.
    accounts: Vec<LiveAccountData>,
}

#[derive(Serialize)]
struct LiveAccountData {
    account: String,
    /// Messages of today, by type as WeChat counts it: `video` includes `shortvideo`.
    messages: BTreeMap<&'static str, u64>,
    /// The newest CreateTime of a message. `null` if there is none.
    last_message: Option<String>,
}

impl LiveAccountData {
    fn new(account: LiveAccount) -> LiveAccountData {
        let type_name = |number| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.counted_type() == Some(number));
            kind.map_or("other", Kind::name)
        };
        LiveAccountData {
            account: account.appid,
            messages: COUNTED_TYPES.into_iter().map(type_name).zip(account.by_type).collect(),
            last_message: account.last_message_s.map(beijing_time),
        }
    }
}

/// Answers a stream of events. It ends when the key is revoked and when the server stops.
pub async fn answer(State(app): State<Arc<App>>, headers: HeaderMap) -> Response<Body> {
    let holder = access::key_id(&headers).to_owned();
    let shared = app.clone();
    match app.live.open(&holder, move || access::access(&shared, &headers)) {
        Ok(events) => response(events),
        Err(error) => answer::api_error(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// The stream as an answer.
pub fn response(events: LiveEvents) -> Response<Body> {
    let mut retry = Some(Bytes::from_static(RETRY.as_bytes()));
    let mut coming = Box::pin(next(events));
    // An event is made only when the one before is on its way, so a slow reader holds one event and no more.
    let body = poll_body::body(&SizeHint::default(), move |context, _| {
        if let Some(retry) = retry.take() {
            return std::task::Poll::Ready(Some(Ok::<_, Infallible>(Frame::data(retry))));
        }
        let (events, event) = ready!(coming.as_mut().poll(context));
        coming.set(next(events));
        std::task::Poll::Ready(event.map(|event| Ok(Frame::data(text(event)))))
    });
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

async fn next(mut events: LiveEvents) -> (LiveEvents, Option<LiveEvent>) {
    let event = events.next().await;
    (events, event)
}

fn text(event: LiveEvent) -> Bytes {
    let LiveEvent::Changed { time_s, accounts } = event else {
        return Bytes::from_static(COMMENT.as_bytes());
    };
    let accounts = accounts.into_iter().map(LiveAccountData::new).collect();
    let data = LiveData { time: beijing_time(time_s), accounts };
    Bytes::from(format!("data: {}\n\n", serde_json::to_string(&data).unwrap_or_default()))
}
