//! HTTPS without a proxy.

use reqwest::{Certificate, Method, StatusCode, Version};
use serde_json::json;

use crate::{
    front::neighbour::until,
    harness::{
        APPID, Folder, Program,
        callbacks::{CallbackReply, Text, success},
        local_http,
    },
};

/// Lets the program make an authority and a certificate for this machine.
fn make_certificate(folder: &Folder, name: &str) {
    let args = ["tls", "ca", "--host", "localhost", "--host", "127.0.0.1", "--dir", name];
    let ended = folder.run(&args).unwrap();
    assert_eq!(ended.status, 0, "{ended:?}");
}

fn client(ca: &std::path::Path) -> reqwest::ClientBuilder {
    let ca = Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
    local_http().tls_certs_only([ca])
}

#[tokio::test]
async fn http_1_and_2_work_over_tls_and_the_certificate_can_change_at_run_time() {
    let files = Folder::holding("");
    make_certificate(&files, "one");
    make_certificate(&files, "two");
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
    // A certificate and key that do not match are ignored. A matching pair is used.
    std::fs::copy(of("two").join("server.pem"), live.join("server.pem")).unwrap();
    until("the log complains", async || program.log().contains("the former one stays in use")).await;
    let again = client(&of("one").join("ca.pem")).build().unwrap();
    assert_eq!(again.get(&health).send().await.unwrap().status(), StatusCode::OK);
    install("two");
    until("the new certificate is presented", async || {
        let second = client(&of("two").join("ca.pem")).build().unwrap();
        second.get(&health).send().await.is_ok()
    })
    .await;
    let kept = program.receive(APPID, &Text::new("o1", 2).usual()).await;
    assert!(kept == success() || kept == CallbackReply::Nothing, "an open connection stays usable: {kept:?}");
}

#[tokio::test]
async fn a_reload_uses_the_new_certificate_at_once() {
    let files = Folder::holding("");
    for name in ["one", "two", "three"] {
        make_certificate(&files, name);
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
    let reload = async |program: &Program| program.admin_call(Method::POST, "/v1/reload", None).await;
    assert_eq!(reload(&program).await.1["settings"], json!([]));
    // The configuration names other files.
    std::fs::write(program.folder().join("msgcube.toml"), file.replace(&tls("one"), &tls("two"))).unwrap();
    assert_eq!(reload(&program).await.1["settings"], json!(["tls.cert", "tls.key"]));
    assert!(
        trusted("two").get(&health).send().await.is_ok() && trusted("one").get(&health).send().await.is_err()
    );
    // The same files with other content. Open connections are not cut off.
    std::fs::copy(of("three").join("server.pem"), of("two").join("server.pem")).unwrap();
    let (status, answer) = reload(&program).await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("do not serve together"), "{answer}");
    assert!(trusted("two").get(&health).send().await.is_ok(), "nothing was changed");
    std::fs::copy(of("three").join("server.key"), of("two").join("server.key")).unwrap();
    assert_eq!(reload(&program).await.0, 200);
    assert!(trusted("three").get(&health).send().await.is_ok());
    assert_eq!(program.receive(APPID, &Text::new("o1", 1).usual()).await, success());
    // TLS is switched off in the file: it stays on until a restart, and the answer says so.
    std::fs::write(program.folder().join("msgcube.toml"), file.replace(&tls("one"), "")).unwrap();
    assert_eq!(reload(&program).await.1["needs_restart"], json!(["tls"]));
    assert!(trusted("three").get(&health).send().await.is_ok());
}

#[tokio::test]
async fn commands_reach_a_server_on_this_machine_even_if_its_certificate_names_another_host() {
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
        "the certificate of a named server is checked: {text}"
    );
}
