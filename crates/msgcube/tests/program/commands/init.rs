//! `msgcube init`: what it writes is private, complete and served at once, and it overwrites nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    commands::scene::{APPID, Scene, TestResult},
    harness::Program,
};

const NAMES: [&str; 5] = ["admin.key", "aes.key", "msgcube.toml", "secret", "token"];

fn names(folder: &str) -> TestResult<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let mut names: Vec<String> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<TestResult<_>>()?;
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn what_it_writes_is_private_and_counts_a_message_at_once() -> TestResult<()> {
    let scene = Scene::new()?;
    let public = ["--public-url", "https://wx.example.com", "--name", "A \"name\""];
    let made = scene.run(&[&["init", "fresh/one", "--appid", APPID][..], &public].concat())?;
    assert_eq!(made.status, 0, "{made:?}");
    let folder = scene.path("fresh/one");
    assert_eq!(names(&folder)?, NAMES);
    for name in NAMES {
        let mode = fs::metadata(Path::new(&folder).join(name))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let read = |name: &str| fs::read_to_string(Path::new(&folder).join(name));
    let url = format!("https://wx.example.com/callback/{APPID}");
    for shown in [&url, read("token")?.trim(), read("aes.key")?.trim(), "msgcube serve --config", "/ui/"] {
        assert!(made.out.contains(shown), "{shown}: {made:?}");
    }
    assert!(!made.out.contains(read("admin.key")?.trim()) && !made.out.contains(read("secret")?.trim()));
    // Each installation has secrets of its own.
    assert_eq!(scene.run(&["init", "--config", "two.toml", "--appid", APPID])?.status, 1);
    assert_eq!(scene.run(&["init", "--config", "two/two.toml", "--appid", APPID])?.status, 0);
    assert_ne!(read("token")?, fs::read_to_string(scene.path("two/token"))?);

    let config = "fresh/one/msgcube.toml";
    let serve = scene.command(&["serve", "--config", config, "--listen", "127.0.0.1:0"]);
    let server = Program::listening(&scene, scene.logged(serve)?)?;
    let ask = ["--config", config, "--server", &server.base];
    let sent = scene.run(&[&["send", "--safe"][..], &ask].concat())?;
    assert!(sent.status == 0 && sent.out.contains("It is counted"), "{sent:?}");
    let stats = scene.run(&[&["stats", "--period", "total"][..], &ask].concat())?;
    assert!(stats.out.contains("A \"name\"") && stats.out.contains(APPID), "{stats:?}");
    let plain = scene.run(&[&["send"][..], &ask].concat())?;
    assert!(plain.status == 1 && plain.err.contains("require_encryption"), "{plain:?}");
    Ok(())
}

#[test]
fn it_overwrites_nothing_and_leaves_nothing_half() -> TestResult<()> {
    let scene = Scene::new()?;
    let before = fs::read(scene.config())?;
    let refused = scene.run(&["init", "--appid", APPID])?;
    assert_eq!((refused.status, refused.out.as_str()), (1, ""), "{refused:?}");
    assert!(refused.err.contains("admin.key exists and is not overwritten"), "{refused:?}");
    assert_eq!(fs::read(scene.config())?, before);
    fs::create_dir(scene.path("used"))?;
    scene.write("used/token", b"mine")?;
    let refused = scene.run(&["init", "used", "--appid", APPID, "--lang", "zh"])?;
    assert!(refused.status == 1 && refused.err.contains("不会覆盖"), "{refused:?}");
    assert_eq!(
        (names(&scene.path("used"))?, fs::read(scene.path("used/token"))?),
        (vec!["token".to_owned()], b"mine".to_vec())
    );
    // The server would refuse this configuration.
    let refused = scene.run(&["init", "bad", "--appid", APPID, "--relay", "not a url"])?;
    assert!(refused.status == 1 && refused.err.contains("nothing was written"), "{refused:?}");
    assert_eq!(names(&scene.path("bad"))?, [""; 0]);
    for wrong in
        [&["--name", "x"][..], &["--appid", APPID, "--public-url", "wx.example.com"], &["x", "--config", "y"]]
    {
        assert_eq!(scene.run(&[&["init"][..], wrong].concat())?.status, 2, "{wrong:?}");
    }
    Ok(())
}

#[test]
fn without_an_account_it_says_how_to_add_one() -> TestResult<()> {
    let scene = Scene::new()?;
    let made = scene.run(&["init", "empty"])?;
    assert_eq!(
        (made.status, names(&scene.path("empty"))?),
        (0, vec!["admin.key".to_owned(), "msgcube.toml".to_owned()])
    );
    assert!(made.out.contains("msgcube account add APPID --config empty/msgcube.toml"), "{made:?}");
    let serve = scene.command(&["serve", "--config", "empty/msgcube.toml", "--listen", "127.0.0.1:0"]);
    let server = Program::listening(&scene, scene.logged(serve)?)?;
    let ask = ["--config", "empty/msgcube.toml", "--server", &server.base];
    let none = scene.run(&[&["stats"][..], &ask].concat())?;
    assert!(none.status == 0 && none.out.contains("account add"), "{none:?}");
    assert_eq!(scene.run(&[&["account", "add", APPID][..], &ask].concat())?.status, 0);
    Ok(())
}
