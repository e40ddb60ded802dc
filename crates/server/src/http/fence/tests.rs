//! Tests of requests that cannot pass.

use axum::{body::to_bytes, extract::Request};
use storage::{
    store::{Change, Memory, Store},
    writer::Writer,
};
use system::{clock::Clock, data_key::DataKey};
use tempfile::TempDir;
use tokio::time::Instant;
use wechat::callback::seal::{CallbackSigner, Draft};

use super::*;
use crate::{
    config::Config,
    http::{callback, connection::CloseWithoutAnswer},
};

const NOW_S: i64 = 1_400_000_000;

fn start() -> (Arc<App>, Writer, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[account]]\nappid = \"wx1\"\nsecret = \"s\"\ntoken = \"t\"\n";
    let config = Config::parse(text, &folder.path().join("msgcube.toml"), |_| None).unwrap();
    let (key, store) = (DataKey::from_bytes([1; 32]), Store::Memory(Memory::default()));
    let (app, writer) = App::start_with(config, Clock::starting_at(NOW_S), store, key).unwrap();
    (app, writer, folder)
}

#[tokio::test]
async fn each_path_is_refused_as_its_callers_expect() {
    let (app, writer, _folder) = start();
    let text = async |path: &str| {
        let response = refusal(&app, path);
        assert!(response.extensions().get::<CloseWithoutAnswer>().is_none(), "{path}");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    for path in ["/cgi-bin/token", "/datacube/getupstreammsg", "/cgi-bin/component/x", "/v10", "/wxa/x"] {
        let (status, body) = text(path).await;
        assert!(status == 200 && body.starts_with(r#"{"errcode":-1,"#), "{path}: {body}");
    }
    for path in ["/v1", "/v1/keys", "/metrics", "/ui/", "/ui/keys", "/cgi-bin/componentloginpage"] {
        let (status, body) = text(path).await;
        let is_json = body.starts_with(r#"{"error":"#);
        assert_eq!(
            (status, is_json),
            (503, !path.contains("/ui") && !path.contains("page")),
            "{path}: {body}"
        );
    }
    assert!(!text("/cloud/admin").await.1.contains("errcode"), "the SDK of the cloud reads another form");
    for path in ["/callback/wx1", "/component/wxp/events", "/component/wxp/callback/wx1"] {
        assert!(refusal(&app, path).extensions().get::<CloseWithoutAnswer>().is_some(), "{path}");
    }
    writer.stop();
}

#[tokio::test]
async fn with_a_store_of_one_process_all_pass() {
    let (app, writer, _folder) = start();
    for path in ["/callback/wx1", "/v1/keys", "/metrics", "/"] {
        assert!(pass(&app, path, true).await.is_ok() && pass(&app, path, false).await.is_ok(), "{path}");
    }
    assert!(check(&app).await.is_ok());
    writer.stop();
}

#[tokio::test]
async fn a_callback_that_is_left_unanswered_is_a_gap_if_it_is_authentic() {
    let (app, writer, _folder) = start();
    app.ingest.begin_anew();
    let account = app.accounts.get("wx1").unwrap().number;
    let claim = Change::Claim { account, from_s: NOW_S - 100, to_s: NOW_S };
    app.ingest.submit(claim).await.unwrap();
    for (token, is_lost) in [("wrong", false), ("t", true)] {
        let draft = Draft {
            to_user: "gh_1",
            from_user: "o1",
            create_time: NOW_S,
            msg_type: "text",
            fields: vec![("Content", "hi")],
            msg_id: Some(1),
        };
        let sealed = CallbackSigner { token, timestamp: NOW_S, nonce: "1" }.plain(&draft);
        let uri = format!("/callback/wx1?{}", sealed.query);
        let request = Request::post(uri).body(Body::from(sealed.body)).unwrap();
        let response = callback::leave(&app, request, Instant::now()).await;
        assert!(response.extensions().get::<CloseWithoutAnswer>().is_some());
        app.ingest.submit(Change::Fact { key: "a".to_owned(), value: None }).await.unwrap();
        let is_covered = app.store.coverage(account, |coverage| coverage.holds(NOW_S - 3, NOW_S, NOW_S));
        assert_eq!(is_covered, !is_lost, "{token}");
    }
    writer.stop();
}
