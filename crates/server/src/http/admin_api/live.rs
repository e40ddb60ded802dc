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
use system::secret::Secret;

use super::{access, answer, beijing_time};
use crate::{
    auth::api_keys,
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
    let Some(given) = access::given_key(&headers) else { return access::unauthorized(&headers) };
    // The admin key has no id.
    let holder = api_keys::id_of(given).unwrap_or_default();
    let (shared, given) = (app.clone(), Secret::new(given.to_owned()));
    match app
        .live
        .open(holder, move || access::access_of_key(&shared, given.reveal()).map(|(_, access)| access))
    {
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

#[cfg(test)]
mod tests {
    use counting::{Content, Message};
    use storage::store::{AccountNumber, Change, Memory, Store};
    use system::{clock::Clock, data_key::DataKey};

    use super::*;
    use crate::{auth::api_keys::Access, config::Config};

    const NOW_S: i64 = 1_417_881_600;

    fn app(folder: &std::path::Path) -> Arc<App> {
        let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n[[account]]\nappid = \"wx0\"\nsecret = \"s\"\ntoken = \"u\"\n";
        let config = Config::parse(text, &folder.join("msgcube.toml"), |_| None).unwrap();
        let key = DataKey::load_or_create(&config.data_key_file).unwrap();
        let store = Store::Memory(Memory::default());
        App::start_with(config, Clock::starting_at(NOW_S), store, key).unwrap().0
    }

    fn message(kind: Kind, msg_id: u64) -> Change {
        let content = Content::Message { kind, msg_id };
        let message = Message { user: "o1".into(), create_time: NOW_S, content };
        Change::Message { account: AccountNumber(0), message }
    }

    #[tokio::test]
    async fn each_event_has_the_accounts_that_changed_and_silence_is_broken_by_comments() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        tokio::time::pause();
        let mut events = app.live.open("key", || Some(Access::everything())).unwrap();
        let mut shown = async || {
            let text = String::from_utf8(text(events.next().await.unwrap()).to_vec()).unwrap();
            text.strip_prefix("data: ").map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap())
        };
        let first = shown().await.unwrap();
        assert_eq!(first["time"], "2014-12-07T00:00:00+08:00");
        let none = serde_json::json!({"text": 0, "image": 0, "voice": 0, "video": 0, "link": 0});
        let account =
            |appid: &str| serde_json::json!({"account": appid, "messages": none, "last_message": null});
        assert_eq!(first["accounts"], serde_json::json!([account("wx0"), account("wx1")]));
        let quiet_since = tokio::time::Instant::now();
        assert_eq!(shown().await, None, "a comment");
        assert_eq!(quiet_since.elapsed().as_secs(), 15);
        app.store.commit(&[message(Kind::ShortVideo, 1), message(Kind::Event, 2)]).unwrap();
        let changed = shown().await.unwrap();
        let accounts = changed["accounts"].as_array().unwrap();
        assert_eq!((accounts.len(), &accounts[0]["messages"]["video"]), (1, &serde_json::json!(1)));
        assert_eq!(accounts[0]["last_message"], "2014-12-07T00:00:00+08:00");
        // Neither a repeat nor a location changes a figure.
        app.store.commit(&[message(Kind::ShortVideo, 1), message(Kind::Location, 3)]).unwrap();
        assert_eq!(shown().await, None);
    }

    #[tokio::test]
    async fn a_stream_ends_when_its_caller_may_read_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        tokio::time::pause();
        let access = Arc::new(std::sync::Mutex::new(Some(Access::everything())));
        for changed in [None, Some(Access::for_tests(&["read:wx1"]))] {
            *system::sync::lock(&access) = Some(Access::everything());
            let current = access.clone();
            let mut events = app.live.open("key", move || system::sync::lock(&current).clone()).unwrap();
            assert!(events.next().await.is_some());
            *system::sync::lock(&access) = changed;
            assert_eq!(events.next().await, None);
        }
    }
}
