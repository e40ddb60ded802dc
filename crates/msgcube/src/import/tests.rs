//! Whole imports against a small server that records the requests.

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use clap::Parser;
use serde_json::json;

use super::*;

#[derive(Parser, Debug)]
struct ImportCommandLine {
    #[command(flatten)]
    import: ImportArgs,
}

#[derive(Default)]
struct SmallServer {
    requests: Vec<(Option<String>, String)>,
    /// From this request on the server answers 503.
    unavailable_from: Option<usize>,
    /// How many requests still get 503.
    unavailable: usize,
}

type SharedServer = Arc<Mutex<SmallServer>>;

/// Accepts lines that begin with `{`.
async fn messages(
    State(server): State<SharedServer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let mut server = server.lock().unwrap();
    if !["Bearer the key", "Bearer the-key"].iter().any(|known| headers["authorization"] == *known) {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    if server.unavailable_from.is_some_and(|from| server.requests.len() >= from) && server.unavailable > 0 {
        server.unavailable -= 1;
        let answer = json!({"accepted": 0, "duplicate": 0, "rejected": 0, "errors": [], "durable_lines": 0});
        return (StatusCode::SERVICE_UNAVAILABLE, answer.to_string());
    }
    let (mut accepted, mut errors) = (0, Vec::new());
    for (index, line) in body.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if line.starts_with('{') {
            accepted += 1;
        } else {
            errors.push(json!({"line": index + 1, "error": "not JSON"}));
        }
    }
    server.requests.push((query, body));
    let answer = json!({"accepted": accepted, "duplicate": 0, "rejected": errors.len(), "errors": errors});
    (StatusCode::OK, answer.to_string())
}

async fn serve(server: SmallServer) -> (SharedServer, String) {
    let shared = Arc::new(Mutex::new(server));
    let routes = Router::new().route("/v1/accounts/wx1/messages", post(messages)).with_state(shared.clone());
    let routes = routes.layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (shared, base)
}

async fn imported(base: &str, file: &Path, more: &str) -> Result<(ImportSummary, String), ImportError> {
    let line = format!("import {} --server {base} --appid wx1 {more}", file.display());
    imported_by(&line, more).await
}

/// Reads a configuration without environment variables.
fn read_config(path: &Path) -> Result<server::config::Config, String> {
    server::config::Config::read(path, |_| None).map_err(|error| error.to_string())
}

async fn imported_by(line: &str, more: &str) -> Result<(ImportSummary, String), ImportError> {
    let key = if more.contains("admin-key") { "" } else { " --admin-key=the\u{a0}key" };
    let words: Vec<String> = format!("{line}{key}")
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('\u{a0}', " "))
        .collect();
    let mut out = Vec::new();
    let summary =
        run(ImportCommandLine::try_parse_from(words).unwrap().import, Lang::En, &read_config, &mut out)
            .await?;
    Ok((summary, String::from_utf8(out).unwrap()))
}

fn export(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.ndjson");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

#[tokio::test]
async fn rejected_lines_have_the_files_line_numbers_and_keep_coverage_back() {
    let (server, base) = serve(SmallServer::default()).await;
    let (_folder, file) = export(&format!("{}bad\n\n{{}}\nworse", "{}\n".repeat(20_001)));
    let (summary, out) = imported(&base, &file, "--covers 2025-01-01..2025-12-31").await.unwrap();
    assert_eq!(summary.totals, LineCounts { accepted: 20_002, duplicate: 0, rejected: 2 });
    assert_eq!(summary.errors.iter().map(|error| error.line).collect::<Vec<_>>(), [20_002, 20_005]);
    assert_eq!((summary.exit_status(), summary.covers_claimed), (3, false));
    assert!(out.starts_with("20002 accepted, 0 known before, 2 rejected\nCoverage not claimed"), "{out}");
    assert_eq!(server.lock().unwrap().requests.len(), 2);
    assert!(!progress_file::progress_path(&file).exists());
}

#[tokio::test]
async fn coverage_is_claimed_by_the_very_last_request_alone() {
    let (server, base) = serve(SmallServer::default()).await;
    let (_folder, file) = export("{}\n{}\n");
    let (summary, out) = imported(&base, &file, "--covers 2025-01-01..2025-12-31 --json").await.unwrap();
    assert!(summary.covers_claimed);
    let requests = &server.lock().unwrap().requests;
    assert_eq!(requests[0], (None, "{}\n{}\n".to_owned()));
    assert_eq!(requests[1..], [(Some("covers=2025-01-01..2025-12-31".to_owned()), String::new())]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["accepted"], &json["covers_claimed"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn an_import_that_broke_off_goes_on_behind_the_last_durable_chunk() {
    let down = SmallServer { unavailable_from: Some(1), unavailable: 1, ..SmallServer::default() };
    let (server, base) = serve(down).await;
    let (_folder, file) = export(&"{}\n".repeat(50_000));
    let error = imported(&base, &file, "--retry-for-s 0").await.unwrap_err();
    assert!(
        matches!(&error, ImportError::Upload { line: 20_000, source: UploadError::NotDurable, .. }),
        "{error}"
    );
    assert!(error.in_lang(Lang::En).ends_with("it continues there, and nothing is counted twice."));
    assert!(progress_file::progress_path(&file).exists());

    let (summary, _) = imported(&base, &file, "").await.unwrap();
    assert_eq!(summary.totals.accepted, 50_000);
    let lines: usize = server.lock().unwrap().requests.iter().map(|(_, body)| body.lines().count()).sum();
    assert_eq!(lines, 50_000, "no line was sent twice");
    assert!(!progress_file::progress_path(&file).exists());
}

#[tokio::test]
async fn a_request_that_finds_no_durability_is_repeated() {
    let down = SmallServer { unavailable_from: Some(0), unavailable: 2, ..SmallServer::default() };
    let (server, base) = serve(down).await;
    let retry_policy = RetryPolicy { first_pause: Duration::ZERO, total: Duration::from_secs(60) };
    let (appid, admin_key) = ("wx1".to_owned(), "the key".into());
    let to = Destination { server: base, is_configured: false, appid, admin_key };
    let upload = Upload::new(&to, retry_policy).unwrap();
    let answer = upload.send("{}\n".into()).await.unwrap();
    assert_eq!((answer.totals.accepted, answer.repeats), (1, 2));
    assert_eq!(server.lock().unwrap().requests.len(), 1);
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_address_say_what_to_check() {
    let (_server, base) = serve(SmallServer::default()).await;
    let (_folder, file) = export("{}\n");
    let key = imported(&base, &file, "--admin-key wrong").await.unwrap_err();
    assert!(key.in_lang(Lang::En).ends_with("Check the admin key."), "{key}");
    assert!(!format!("{key:?}").contains("wrong"));
    let address = ImportCommandLine::try_parse_from(["import", "-", "--server", "127.0.0.1"]).unwrap_err();
    assert!(address.to_string().contains("must begin with http:// or https:// and a host"), "{address}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_with_an_example_before_anything_is_sent() {
    let (server, base) = serve(SmallServer::default()).await;
    let (folder, file) = export("{}\n");
    let two = format!("import {} /nonexistent/file --server {base} --appid wx1", file.display());
    let nothing = imported_by(&two, "").await.unwrap_err();
    let said = nothing.in_lang(Lang::En);
    assert!(
        said.starts_with("no such file: /nonexistent/file\n") && said.contains("`msgcube import "),
        "{said}"
    );
    assert!(nothing.in_lang(Lang::Zh).contains("请给出存在的文件"));
    let is_folder = imported(&base, folder.path(), "").await.unwrap_err().in_lang(Lang::En);
    assert!(is_folder.contains("is a folder") && is_folder.contains("/* --config"), "{is_folder}");
    assert!(server.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn a_configuration_names_the_server_the_key_and_the_account() {
    let (server, base) = serve(SmallServer::default()).await;
    let (folder, file) = export("{}\n");
    let config = folder.path().join("msgcube.toml");
    let listen = base.trim_start_matches("http://");
    let account = |appid: &str| format!("[[account]]\nappid = \"{appid}\"\nsecret = \"s\"\ntoken = \"t\"\n");
    let text = |accounts: &str| format!("listen = \"{listen}\"\nadmin_key = \"the-key\"\n{accounts}");
    let line = format!("import {} --config {}", file.display(), config.display());
    let run = async |more: &str| imported_by(&format!("{line} {more}"), "admin-key").await;
    std::fs::write(&config, text(&account("wx1"))).unwrap();
    assert_eq!(run("").await.unwrap().0.totals.accepted, 1);
    let wrong = run("--admin-key other").await.unwrap_err();
    assert!(matches!(wrong, ImportError::Upload { source: UploadError::Key, .. }), "{wrong}");
    std::fs::write(&config, text(&(account("wx1") + &account("wx2")))).unwrap();
    let which = run("").await.unwrap_err().in_lang(Lang::En);
    assert_eq!(which, "say which account with --appid; the configuration has: wx1, wx2");
    assert_eq!(run("--appid wx1").await.unwrap().0.totals.accepted, 1);
    assert_eq!(server.lock().unwrap().requests.len(), 2);
    let nobody = imported_by(&format!("import {} --appid wx1", file.display()), "").await.unwrap_err();
    assert!(matches!(nobody, ImportError::NoServer), "{nobody}");
}

#[tokio::test]
async fn the_key_may_stand_in_a_file() {
    let (_server, base) = serve(SmallServer::default()).await;
    let (folder, file) = export("{}\n");
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "the key\n").unwrap();
    let more = format!("--admin-key-file {}", key_file.display());
    assert_eq!(imported(&base, &file, &more).await.unwrap().0.totals.accepted, 1);
}

#[test]
fn coverage_is_two_days_in_order() {
    assert!("2025-01-01..2025-12-31".parse::<Covers>().is_ok());
    for text in ["", "2025-01-01", "2025-01-01..", "2025-12-31..2025-01-01", "2025-01..2025-02"] {
        assert!(text.parse::<Covers>().is_err(), "{text}");
    }
}
