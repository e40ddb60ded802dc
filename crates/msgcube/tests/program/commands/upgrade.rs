//! An upgrade: a set-up that the version of November 2026 left behind is opened as it is. `tests/data/former-setup` holds
//! its configuration, data key and data folder after a planned stop, and what it answered. None of them may be changed.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{commands::scene::TestResult, harness::Folder};

/// A few minutes after the former version stopped.
const NOW: &str = "2026-03-10T04:10:00Z";
const APPID: &str = "wx00000000000000a1";

fn former_setup() -> TestResult<(Folder, Value)> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/former-setup");
    let folder = Folder::holding(&fs::read_to_string(from.join("msgcube.toml"))?);
    fs::create_dir_all(folder.root().join("data/log"))?;
    let files = ["msgcube.key", "data/pages.redb", "data/log/00000000000000000024.log"];
    for file in files {
        fs::copy(from.join(file), folder.root().join(file))?;
    }
    // Git does not keep that only the owner may read the key.
    fs::set_permissions(folder.root().join("msgcube.key"), fs::Permissions::from_mode(0o600))?;
    Ok((folder, serde_json::from_slice(&fs::read(from.join("expected.json"))?)?))
}

#[tokio::test]
async fn a_set_up_of_the_former_version_goes_on_with_its_figures_tokens_keys_and_accounts() -> TestResult<()>
{
    let (folder, expected) = former_setup()?;
    // The second start opens what the first one has saved in today's format.
    for _ in 0..2 {
        let program = folder.serve_with(&["--now", NOW])?;
        let text = |name: &str| expected[name].as_str().unwrap_or_default().to_owned();
        let token = text("access_token");
        let month = json!({"begin_date": "2026-02-01", "end_date": "2026-02-28"});
        assert_eq!(program.ask(&token, "/datacube/getupstreammsgmonth", month).await, expected["month"]);
        let days = json!({"begin_date": "2026-02-01", "end_date": "2026-02-15"});
        let distribution = program.ask(&token, "/datacube/getupstreammsgdist", days).await;
        assert_eq!(distribution, expected["distribution"]);

        let path = format!("/v1/accounts/{APPID}/stats?from=2026-02-01&to=2026-02-28&period=total");
        let answer = program.call(Method::GET, &path, &text("api_key"), None).await;
        assert_eq!(answer.status(), 200);
        let added = program.token(&text("added_appid"), &text("added_secret")).await;
        assert!(added["access_token"].is_string(), "{added}");
        assert_eq!(program.terminate(), Some(0));
    }
    Ok(())
}
