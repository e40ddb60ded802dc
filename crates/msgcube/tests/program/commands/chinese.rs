//! Texts on screen are Chinese if the user asks for it, in every part of the program.

use crate::commands::scene::{ADMIN_KEY, APPID, Scene, TestResult, lines};

#[test]
fn help_and_usage_errors_follow_the_language_and_keep_their_status() -> TestResult<()> {
    let scene = Scene::new()?;
    let help = scene.run(&["query", "--help", "--lang", "zh"])?;
    assert_eq!(help.status, 0, "{help:?}");
    assert!(help.out.contains("用法：msgcube query [选项]") && help.out.contains("第一天"), "{help:?}");
    assert!(help.err.is_empty() && !help.out.contains("Usage"), "{help:?}");
    let wrong = scene.run(&["--lang=zh", "query", "month", "--fom", "2026"])?;
    assert_eq!(wrong.status, 2, "{wrong:?}");
    assert!(wrong.out.is_empty() && wrong.err.starts_with("错误：不认识的参数 --fom\n"), "{wrong:?}");
    let english = scene.run(&["query", "month", "--fom", "2026", "--lang", "en"])?;
    assert!(english.err.starts_with("error: unexpected argument '--fom' found\n"), "{english:?}");
    Ok(())
}

#[test]
fn errors_name_the_place_the_cause_and_what_to_do_in_chinese() -> TestResult<()> {
    let scene = Scene::new()?;
    let broken = scene.write("broken.toml", b"listen = \"127.0.0.1:0\"\nlistn = 1\n")?;
    let nothing = scene.path("nothing.toml");
    let free = "http://127.0.0.1:9";
    for (line, expected) in [
        (vec!["serve", "--config", &broken], "broken.toml 第 2 行：没有 listn 这个键；可用的键"),
        (vec!["serve", "--config", &nothing], "没有这个文件或目录（os error 2）；README 中有可用的配置样例"),
        (vec!["send", "--config", &broken], "broken.toml 第 2 行"),
        (vec!["account", "list", "--server", free, "--admin-key", "k"], "没有响应：连接被拒绝"),
        (vec!["conformance", "--replay", &nothing], "没有这个文件或目录"),
    ] {
        let ended = scene.run(&[&line[..], &["--lang", "zh"]].concat())?;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.err.starts_with("错误：") && ended.err.contains(expected), "{expected}: {ended:?}");
    }
    let ended = scene.run(&["import", "--server", "x", "--lang", "zh", "f"])?;
    assert!(ended.status == 2 && ended.err.contains("须以 http:// 或 https:// 加主机名开头"), "{ended:?}");
    Ok(())
}

#[test]
fn refusals_of_the_running_server_are_shown_in_chinese() -> TestResult<()> {
    let scene = Scene::new()?;
    let server = scene.serve()?;
    let file = scene.write("one.ndjson", &lines(1..=1))?;
    let key = ["--server", &server.base, "--admin-key", ADMIN_KEY, "--lang", "zh"];
    for (line, expected) in [
        (vec!["account", "show", "wx0000000000000000"], "没有此 appid 的公众号"),
        (vec!["account", "set", APPID, "certified=false"], "写在配置文件中"),
        (vec!["key", "remove", "mk_0"], "服务拒绝：没有编号为"),
        (vec!["import", "--appid", "wx9", &file], "HTTP 状态 404：没有此 appid 的公众号"),
        (vec!["key", "add", "--scope", "read", "--expires-in-days", "0"], "不写则永不过期"),
    ] {
        let ended = scene.run(&[&line[..], &key[..]].concat())?;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.err.starts_with("错误：") && ended.err.contains(expected), "{expected}: {ended:?}");
    }
    Ok(())
}
