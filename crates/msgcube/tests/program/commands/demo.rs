//! `msgcube demo`: every command that it prints can be pasted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::{
    commands::scene::{Scene, TestResult},
    harness::{binary, client, form},
};

#[test]
fn every_command_that_the_demo_prints_works() -> TestResult<()> {
    let scene = Scene::new()?;
    let program = binary().into_string().map_err(|_| "its path is not UTF-8")?;
    let mut demo = Command::new(&program)
        .args(["demo", "--accounts", "1", "--scale", "0.01"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = BufReader::new(demo.stdout.take().ok_or("no output")?);
    let mut results = Vec::new();
    for line in output.lines() {
        let line = line?;
        let words = line.strip_prefix(&program).map(|rest| rest.split_whitespace().collect::<Vec<_>>());
        if let Some(words) = words {
            results.push((line.clone(), scene.run(&words)?));
        } else if line.starts_with("curl ") {
            let answer = Command::new("sh").args(["-c", &format!("{line} -s")]).output()?;
            let rows: serde_json::Value = serde_json::from_slice(&answer.stdout)?;
            assert!(rows["list"][0]["msg_count"].as_u64() > Some(0), "{line}: {rows}");
        } else if line.starts_with("Ctrl-C") {
            break;
        }
    }
    demo.kill()?;
    demo.wait()?;
    assert_eq!(results.len(), 2, "query and send: {results:?}");
    for (line, ended) in results {
        assert_eq!(ended.status, 0, "{line}: {ended:?}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_browser_on_this_machine_is_signed_in_without_a_key() -> TestResult<()> {
    let mut demo = Command::new(binary())
        .args(["demo", "--accounts", "1", "--scale", "0.001"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(demo.stdout.take().ok_or("no output")?).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(str::to_owned));
    let base = line.ok_or("it does not listen")?;
    let port = base.rsplit(':').next().ok_or("no port")?.to_owned();
    let ask = async |path: &str, headers: &[(&str, String)]| -> TestResult<(u16, String)> {
        let mut request = client().get(format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    };
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(ask("/ui/keys", &[("Host", format!("{host}:{port}"))]).await?.0, 200, "{host}");
    }
    for foreign in [
        &[("Host", "demo.example.com".to_owned())][..],
        &[("Host", format!("127.0.0.1.example.com:{port}"))],
        &[("X-Forwarded-For", "192.0.2.1".to_owned())],
        &[("Forwarded", "for=192.0.2.1".to_owned())],
        &[("Via", "1.1 proxy".to_owned())],
    ] {
        assert_eq!(ask("/ui/keys", foreign).await?.0, 401, "{foreign:?}");
    }
    let (_, page) = ask("/ui/keys", &[]).await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let csrf = csrf.ok_or("the page has no form")?;
    for (token, status) in [("", 403), (csrf, 200)] {
        let fields = [("scopes", "read"), ("csrf", token)];
        let answer = client().post(format!("{base}/ui/keys")).body(form(&fields)).send().await?;
        assert_eq!(answer.status(), status);
    }
    demo.kill()?;
    demo.wait()?;
    Ok(())
}
