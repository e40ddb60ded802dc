//! `msgcube demo`: every command that it prints can be pasted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use crate::{
    commands::scene::{Scene, TestResult},
    harness::binary,
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
