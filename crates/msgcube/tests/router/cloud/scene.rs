//! A server in this process with two accounts and two clouds.

use std::{net::SocketAddr, path::Path};

use axum::{
    body::Body,
    http::{Request, header::CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::{Value, json};
use server::{
    config::Config,
    http::{self, Peer, Routes, state::App},
};
use storage::{
    store::{Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};
use tower::ServiceExt as _;
use wechat::cloud::message::CommOpenApiResp;

pub const SECRET_ID: &str = "id-of-recorded-calls";
pub const SECRET_KEY: &str = "key-of-recorded-calls";
pub const FIRST: &str = "wx00000000000000a1";
pub const OTHER: &str = "wx00000000000000b2";

const CONFIG: &str = r#"
admin_key = "k"
[[account]]
appid = "wx00000000000000a1"
secret = "s"
token = "t"
[[account]]
appid = "wx00000000000000b2"
secret = "s"
token = "t"
[[account]]
appid = "wx00000000000000c3"
secret = "s"
token = "t"
[[cloud]]
env = "env-one"
secret_id = "id-of-recorded-calls"
secret_key = "key-of-recorded-calls"
appids = ["wx00000000000000a1", "wx00000000000000b2", "wx00000000000000d4"]
allow_from = ["192.0.2.0/24"]
[[cloud]]
env = "env-two"
secret_id = "id-two"
secret_key = "key-two"
appids = ["wx00000000000000c3"]
allow_from = ["2001:db8::/32"]
"#;

/// A running server without sockets.
pub struct Scene {
    pub routes: Routes,
    _folder: tempfile::TempDir,
    _writer: Writer,
}

/// An answer of the server.
#[derive(Debug)]
pub struct ReceivedAnswer {
    pub head: axum::http::response::Parts,
    pub body: Vec<u8>,
}

impl Scene {
    /// A server at this time. The first account has one message in January, February and March, the other account two.
    pub async fn at(now_s: i64) -> Scene {
        Scene::with(now_s, "").await
    }

    /// A server with more settings.
    pub async fn with(now_s: i64, more: &str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::parse(&format!("{CONFIG}{more}"), Path::new("."), |_| None).unwrap();
        config.data_dir = folder.path().join("data");
        let key = DataKey::load_or_create(&folder.path().join("key")).unwrap();
        let store = Store::Memory(Memory::default());
        let (app, writer) = App::start_with(config, Clock::starting_at(now_s), store, key).unwrap();
        let scene = Scene { routes: http::router(app), _folder: folder, _writer: writer };
        // Each message is on the 2nd of its month, which is a Monday in February.
        for (month, created) in [1_767_326_400, 1_770_004_800, 1_772_424_000].into_iter().enumerate() {
            scene.feed(FIRST, created, 1 + month).await;
            scene.feed(OTHER, created, 11 + month).await;
        }
        scene
    }

    async fn feed(&self, appid: &str, created: i64, messages: usize) {
        let line = |id| json!({ "FromUserName": "u", "CreateTime": created, "MsgType": "text", "MsgId": id });
        let lines: Vec<String> = (0..messages).map(|id| line(id).to_string()).collect();
        let request = Request::post(format!("/v1/accounts/{appid}/messages"))
            .header("authorization", "Bearer k")
            .body(Body::from(lines.join("\n")));
        let answer = self.send(request.unwrap()).await;
        assert_eq!(answer.json()["accepted"], messages);
    }

    pub async fn send(&self, request: Request<Body>) -> ReceivedAnswer {
        let response = self.routes.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        ReceivedAnswer { head, body: body.collect().await.unwrap().to_bytes().into() }
    }

    /// Posts a query for February to one of the seven interfaces, from this address.
    pub async fn hosted(&self, path: &str, from: &str) -> ReceivedAnswer {
        let mut request = Request::post(path)
            .body(Body::from(r#"{"begin_date":"2026-02-01","end_date":"2026-02-01"}"#))
            .unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::new(from.parse().unwrap(), 1)));
        self.send(request).await
    }

    /// The number of refused cloud calls with this reason, from `/metrics`.
    pub async fn refused(&self, reason: &str) -> u64 {
        let request = Request::get("/metrics").header("authorization", "Bearer k").body(Body::empty());
        let text = String::from_utf8(self.send(request.unwrap()).await.body).unwrap();
        let start = format!("msgcube_cloud_calls_total{{result=\"refused\",reason=\"{reason}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).map_or(0, |count| count.parse().unwrap())
    }
}

impl ReceivedAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn content_type(&self) -> &str {
        self.head.headers[CONTENT_TYPE].to_str().unwrap()
    }

    /// Code and message of a cloud error.
    pub fn cloud_error(&self) -> Option<(String, String)> {
        let text = |name: &str| self.json()[name].as_str().unwrap().to_owned();
        (self.content_type() == "application/json; charset=utf-8").then(|| {
            assert!(!text("requestId").is_empty());
            (text("code"), text("message"))
        })
    }

    /// The answer decoded from protobuf.
    pub fn answer(&self) -> CommOpenApiResp {
        assert_eq!(self.content_type(), "application/octet-stream", "{:?}", self.cloud_error());
        CommOpenApiResp::decode(self.body.as_slice()).unwrap()
    }

    /// The JSON of the interface inside the protobuf answer.
    pub fn inner_json(&self) -> Value {
        let answer = self.answer();
        assert_eq!((answer.error_code, answer.http_code), (0, 200));
        assert_eq!(answer.content_type, "application/json; encoding=utf-8");
        serde_json::from_slice(&answer.resp_data).unwrap()
    }
}
