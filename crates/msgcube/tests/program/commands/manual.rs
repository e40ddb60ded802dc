//! `msgcube completions` and `msgcube man`.

use std::{collections::BTreeSet, fs, process::Command};

use crate::commands::scene::{Scene, TestResult};

#[test]
fn every_shell_has_a_completion_script_and_bash_accepts_its_own() -> TestResult<()> {
    let scene = Scene::new()?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = scene.run(&["completions", shell])?;
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(ended.out.contains("serve") && ended.out.contains("config"), "{shell}");
        if shell == "bash" {
            let script = scene.write("msgcube.bash", ended.out.as_bytes())?;
            let offered =
                "COMP_WORDS=(msgcube tl); COMP_CWORD=1; _msgcube msgcube tl msgcube; echo ${COMPREPLY[@]}";
            let command = format!("source {script} && {offered}");
            let output = Command::new("bash").args(["--norc", "-c", &command]).output()?;
            assert_eq!(String::from_utf8(output.stdout)?, "tls\n", "{}", String::from_utf8(output.stderr)?);
        }
    }
    Ok(())
}

#[test]
fn the_program_and_each_command_have_a_manual_page() -> TestResult<()> {
    let scene = Scene::new()?;
    let ended = scene.run(&["man", "pages"])?;
    assert_eq!(ended.status, 0, "{ended:?}");
    let pages = fs::read_dir(scene.path("pages"))?;
    let pages: BTreeSet<String> =
        pages.map(|page| Ok(page?.file_name().to_string_lossy().into_owned())).collect::<TestResult<_>>()?;
    let help = scene.run(&["help"])?.out;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"serve") && commands.contains(&"man"), "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(pages.contains(&format!("msgcube-{command}.1")), "{command}: {pages:?}");
    }
    assert!(pages.contains("msgcube.1") && pages.contains("msgcube-tls-ca.1"), "{pages:?}");
    let page = fs::read_to_string(format!("{}/msgcube-tls-ca.1", scene.path("pages")))?;
    assert!(page.contains(r"\-\-host") && page.starts_with(".ie"), "{page}");
    Ok(())
}

#[test]
fn the_error_names_a_folder_that_cannot_be_written() -> TestResult<()> {
    let scene = Scene::new()?;
    let ended = scene.run(&["man", "msgcube.toml"])?;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("msgcube.toml: "), "{ended:?}");
    Ok(())
}
