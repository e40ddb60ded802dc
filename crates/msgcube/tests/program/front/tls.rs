//! HTTPS by the program itself.

use reqwest::{Certificate, Method, StatusCode, Version};
use serde_json::json;

use crate::{
    front::neighbour::until,
    harness::{
        APPID, Folder, Program,
        callbacks::{Heard, Text, success},
        local_http,
    },
};

/// An authority and a certificate for this machine, made by the program.
fn make(folder: &Folder, name: &str) {
    let args = ["tls", "ca", "--host", "localhost", "--host", "127.0.0.1", "--dir", name];
    let ended = folder.run(&args).unwrap();
    assert_eq!(ended.status, 0, "{ended:?}");
}

fn client(ca: &std::path::Path) -> reqwest::ClientBuilder {
    let ca = Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    local_http().tls_certs_only([ca])
}

#[tokio::test]
async fn http_1_and_2_over_tls_and_a_certificate_that_changes_while_it_runs() {
    let files = Folder::holding("");
    make(&files, "one");
    make(&files, "two");
    let of = |name: &str| files.root().join(name);
    std::fs::create_dir(of("live")).unwrap();
    let install = |from: &str| {
        for file in ["server.key", "server.pem"] {
            std::fs::copy(of(from).join(file), of("live").join(file)).unwrap();
        }
    };
    install("one");
    let live = of("live");
    let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", live.join("server.pem"), live.join("server.key"));
    let mut program = Program::start(&tls, "");
    assert!(program.base.starts_with("https://127.0.0.1:"), "{}", program.base);
    let health = format!("{}/healthz", program.base);
    let first = client(&of("one").join("ca.pem")).build().unwrap();
    let response = first.get(&health).send().await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let old = client(&of("one").join("ca.pem")).http1_only().build().unwrap();
    assert_eq!(old.get(&health).send().await.unwrap().version(), Version::HTTP_11);
    program.http = first;
    assert_eq!(program.receive(APPID, &Text::new("o1", 1).usual()).await, success());
    let plain = program.http.get(health.replace("https", "http")).send().await;
    assert!(plain.is_err(), "plain HTTP is not answered");
    // A broken pair is not taken; the right one is.
    std::fs::copy(of("two").join("server.pem"), live.join("server.pem")).unwrap();
    until("the log complains", async || program.log().contains("the former one is kept")).await;
    let again = client(&of("one").join("ca.pem")).build().unwrap();
    assert_eq!(again.get(&health).send().await.unwrap().status(), StatusCode::OK);
    install("two");
    until("the new certificate is presented", async || {
        let second = client(&of("two").join("ca.pem")).build().unwrap();
        second.get(&health).send().await.is_ok()
    })
    .await;
    let kept = program.receive(APPID, &Text::new("o1", 2).usual()).await;
    assert!(kept == success() || kept == Heard::Nothing, "an open connection goes on: {kept:?}");
}

#[tokio::test]
async fn a_reload_presents_the_certificate_of_the_file_at_once() {
    let files = Folder::holding("");
    for name in ["one", "two", "three"] {
        make(&files, name);
    }
    let of = |name: &str| files.root().join(name);
    let tls = |name: &str| {
        let (cert, key) = (of(name).join("server.pem"), of(name).join("server.key"));
        format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n")
    };
    let mut program = Program::start(&tls("one"), "");
    let file = std::fs::read_to_string(program.folder().join("msgcube.toml")).unwrap();
    let trusted = |name: &str| client(&of(name).join("ca.pem")).build().unwrap();
    let health = format!("{}/healthz", program.base);
    program.http = trusted("one");
    let reload = async |program: &Program| program.own(Method::POST, "/v1/reload", None).await;
    assert_eq!(reload(&program).await.1["settings"], json!([]));
    // Other files.
    std::fs::write(program.folder().join("msgcube.toml"), file.replace(&tls("one"), &tls("two"))).unwrap();
    assert_eq!(reload(&program).await.1["settings"], json!(["tls.cert", "tls.key"]));
    assert!(
        trusted("two").get(&health).send().await.is_ok() && trusted("one").get(&health).send().await.is_err()
    );
    // Others in the same files; of a connection that was there before nothing is cut off.
    std::fs::copy(of("three").join("server.pem"), of("two").join("server.pem")).unwrap();
    let (status, answer) = reload(&program).await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("do not serve together"), "{answer}");
    assert!(trusted("two").get(&health).send().await.is_ok(), "nothing was changed");
    std::fs::copy(of("three").join("server.key"), of("two").join("server.key")).unwrap();
    assert_eq!(reload(&program).await.0, 200);
    assert!(trusted("three").get(&health).send().await.is_ok());
    assert_eq!(program.receive(APPID, &Text::new("o1", 1).usual()).await, success());
    // Off: it stays on, and that is said.
    std::fs::write(program.folder().join("msgcube.toml"), file.replace(&tls("one"), "")).unwrap();
    assert_eq!(reload(&program).await.1["needs_restart"], json!(["tls"]));
    assert!(trusted("three").get(&health).send().await.is_ok());
}

#[tokio::test]
async fn the_commands_reach_a_server_of_this_machine_whatever_its_certificate_names() {
    let files = Folder::holding("");
    let made = files.run(&["tls", "ca", "--host", "wx.example.com", "--dir", "ca"]).unwrap();
    assert_eq!(made.status, 0, "{made:?}");
    let of = |name: &str| files.root().join("ca").join(name);
    let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", of("server.pem"), of("server.key"));
    let program = Program::start(&tls, "");
    let config = std::fs::read_to_string(program.folder().join("msgcube.toml")).unwrap();
    let address = program.base.trim_start_matches("https://");
    std::fs::write(program.folder().join("here.toml"), config.replace("127.0.0.1:0", address)).unwrap();
    let run = |args: &[&str]| program.command(&[args, &["--config", "here.toml"]].concat());
    let (is_fine, text) = run(&["account", "list"]);
    assert!(is_fine && text.contains(APPID), "{text}");
    let (is_fine, text) = run(&["send", "--safe"]);
    assert!(is_fine && text.contains("200 success"), "{text}");
    let (is_fine, text) = run(&["account", "list", "--server", &program.base]);
    assert!(
        !is_fine && text.contains("as its certificate does"),
        "a server that is named is checked: {text}"
    );
}
