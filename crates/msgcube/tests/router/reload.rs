//! A reload of the configuration on a failing disk changes everything or nothing.

use std::{path::Path, sync::Arc};

use server::{
    accounts::registry::ServedAccount,
    config::Config,
    http::state::App,
    reload::{ReloadError, Source},
};
use storage::store::{Embedded, Options, Store};
use system::{clock::Clock, data_key::DataKey};

use crate::disk::{self, FaultyDisk};

const START_S: i64 = 1_417_363_200;

fn account_table(appid: &str, secret: &str) -> String {
    format!("[[account]]\nappid = \"{appid}\"\nsecret = \"{secret}\"\ntoken = \"t\"\n")
}

fn accounts_in_service(app: &App) -> Vec<Arc<ServedAccount>> {
    let mut all = app.accounts.all();
    all.sort_by(|one, other| one.config.appid.cmp(&other.config.appid));
    all
}

fn read_config(path: &Path) -> Result<Config, String> {
    Config::read(path, |_| None).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_reload_that_cannot_become_durable_changes_nothing_and_works_once_the_disk_recovers() {
    let (folder, disk) = (disk::folder(), FaultyDisk::default());
    let path = folder.path().join("msgcube.toml");
    std::fs::write(&path, account_table("wxa", "s") + &account_table("wxb", "s")).unwrap();
    let config = read_config(&path).unwrap();
    let key = DataKey::load_or_create(&config.data_key_file).unwrap();
    let options = Options { disk: Arc::new(disk.clone()), ..Options::default() };
    let store = Store::Embedded(Box::new(Embedded::open(&config.data_dir, &options).unwrap()));
    let (app, writer) = App::start_with(config, Clock::starting_at(START_S), store, key).unwrap();
    assert!(matches!(app.reload().run().await, Err(ReloadError::NoFile)));
    let file = path.clone();
    app.source.set(Source::new(move || read_config(&file))).unwrap();
    let (former, tokens) = (accounts_in_service(&app), &app.tokens);
    let token = tokens.issue_stable("wxb", false, &app.ingest, &app.clock).await.unwrap().access_token;
    let is_good = || tokens.look_up(&token, |_| (), app.clock.now_s()).is_ok();
    // The first changes one account and removes another; the second also adds one.
    let texts = [account_table("wxa", "other"), account_table("wxa", "other") + &account_table("wxc", "s")];
    for text in &texts {
        std::fs::write(&path, format!("callback_max_age_s = 7\n{text}")).unwrap();
        disk.break_down();
        let error = app.reload().run().await.unwrap_err();
        assert!(matches!(error, ReloadError::NotDurable(_)), "{error}");
        let now = accounts_in_service(&app);
        assert!(
            now.len() == 2 && now.iter().zip(&former).all(|(one, other)| Arc::ptr_eq(one, other)),
            "{now:?}"
        );
        assert!(is_good() && app.config.get().callback_max_age_s == 3600);
        disk.mend();
    }
    let difference = loop {
        match app.reload().run().await {
            Ok(difference) => break difference,
            // The writer recovers a little later.
            Err(error) => assert!(matches!(error, ReloadError::NotDurable(_)), "{error}"),
        }
    };
    assert_eq!(
        (difference.accounts.added, difference.accounts.removed),
        (vec!["wxc".to_owned()], vec!["wxb".to_owned()])
    );
    assert_eq!(app.config.get().callback_max_age_s, 7);
    let appids: Vec<String> =
        accounts_in_service(&app).iter().map(|account| account.config.appid.clone()).collect();
    assert_eq!(appids, ["wxa", "wxc"]);
    assert!(!is_good());
    writer.stop();
}
