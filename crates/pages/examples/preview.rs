//! Writes all pages with made-up figures to a folder: `cargo run -p pages --example preview -- FOLDER`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example that cannot write has to stop")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::{env, fs, path::Path};

use i18n::Lang;
use pages::{LoginPage, NavEntry};
use sample::Sample;

fn main() {
    let folder = env::args().nth(1).expect("give the folder as the argument");
    for lang in [Lang::En, Lang::Zh] {
        let folder = Path::new(&folder).join(lang.code());
        fs::create_dir_all(&folder).expect("the folder can be made");
        for (name, content) in files(Sample { lang, prefix: "" }) {
            fs::write(folder.join(name), content).expect("the file can be written");
        }
    }
}

fn files(sample: Sample) -> Vec<(String, String)> {
    let account_path = "/ui/accounts/wxde00000000000000";
    let frame = |entry: NavEntry| sample.frame(entry.path(), Some(entry));
    let account = sample.account(28);
    let mut files = vec![
        ("overview", pages::overview(&frame(NavEntry::Overview), &sample.overview(3, 3, 28))),
        ("overview-many", pages::overview(&frame(NavEntry::Overview), &sample.overview(5000, 50, 28))),
        ("account", pages::account(&sample.frame(account_path, None), &account)),
        ("account-year", pages::account(&sample.frame(account_path, None), &sample.account(400))),
        ("account-wrong", pages::account(&sample.frame(account_path, None), &sample.account_with_error())),
        ("share", pages::account(&sample.bare_frame("/ui/share/x"), &account)),
        ("live", pages::live(&frame(NavEntry::Live), &sample.live())),
        ("health", pages::health(&frame(NavEntry::Health), &sample.health(false))),
        ("health-well", pages::health(&frame(NavEntry::Health), &sample.health(true))),
        ("keys", pages::keys(&frame(NavEntry::Keys), &sample.keys())),
        (
            "login",
            pages::login(&sample.bare_frame("/ui/login"), &LoginPage { error: None, ..sample.login() }),
        ),
        ("error", pages::error(&frame(NavEntry::Overview), &sample.error())),
    ];
    let steps = [(1, "connect-1"), (2, "connect-2"), (3, "connect-3"), (4, "connect-4"), (5, "connect-5")];
    files.extend(
        steps.map(|(step, name)| (name, pages::connect(&frame(NavEntry::Connect), &sample.connect(step)))),
    );
    let pages = files.into_iter().map(|(name, page)| (format!("{name}.html"), page));
    let charts =
        pages::account_svg_files(&sample.frame(account_path, None), account.figures.as_ref().unwrap());
    pages.chain(charts.into_iter().map(|(name, chart)| (format!("{name}.svg"), chart))).collect()
}
