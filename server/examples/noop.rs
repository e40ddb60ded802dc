//! The baseline of the benchmarks: the same HTTP stack, the same bodies read, and nothing done with them. It answers
//! `success` to callbacks and a month's rows to the month interface. `cargo run --release --example noop`

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

const ROWS: &str = r#"{"list":[{"ref_date":"2026-10-01","msg_type":1,"msg_user":1000,"msg_count":100000}]}"#;

/// The same allocator as the program's, so that the ratio is about what the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let routes = axum::Router::new()
        .route(
            "/callback/{appid}",
            post(|body: Bytes| async move { if body.is_empty() { "" } else { "success" } }),
        )
        .route("/datacube/{interface}", post(rows));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes).await
}

async fn rows(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json; encoding=utf-8")], if body.is_empty() { "{}" } else { ROWS })
}
