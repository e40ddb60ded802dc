//! The baseline of the benchmarks: the same HTTP stack reads the same bodies and does nothing with them. It answers
//! `success` to callbacks, so it can be a bot behind the relay. It answers the month interface with rows. It can also be
//! WeChat behind the gateway, with a token and a user. `cargo run --release --bin noop`

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{any, post};
use tokio::net::TcpListener;

const ROWS: &str = r#"{"list":[{"ref_date":"2026-10-01","msg_type":1,"msg_user":1000,"msg_count":100000}]}"#;

const TOKEN: &str = r#"{"access_token":"98_a-real-token-of-the-benchmarks","expires_in":7200}"#;
const USER: &str = r#"{"subscribe":1,"openid":"oBench","language":"zh_CN","subscribe_time":1741000000,"unionid":"oUnionBench","remark":"","groupid":0,"tagid_list":[128,2],"subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":98765,"qr_scene_str":""}"#;

/// The allocator of msgcube, so that the ratio shows only the work of msgcube.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let routes = axum::Router::new()
        .route(
            "/callback/{appid}",
            post(|body: Bytes| async move { if body.is_empty() { "" } else { "success" } }),
        )
        .route("/datacube/{interface}", post(rows))
        .route("/cgi-bin/stable_token", post(async |_: Bytes| json(TOKEN)))
        .route("/cgi-bin/{*path}", any(async |_: Bytes| json(USER)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes).await
}

async fn rows(body: Bytes) -> impl IntoResponse {
    json(if body.is_empty() { "{}" } else { ROWS })
}

fn json(text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json; encoding=utf-8")], text)
}
