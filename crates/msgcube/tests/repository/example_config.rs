//! The packaged example configuration is valid as it is, and also with every commented-out setting enabled.

use std::{fs, path::Path};

use server::config::{Config, ConfigError};

const EXAMPLE: &str = include_str!("../../../../packaging/msgcube.example.toml");
const REFERENCE: &str = include_str!("../../../../docs/reference.md");
/// A valid value for every secret. It has the 43 characters of an EncodingAESKey.
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The setting or table in a comment line.
fn commented_setting(line: &str) -> Option<&str> {
    let text = line.strip_prefix("# ")?;
    let key = text.split_once(" = ").map_or("", |(key, _)| key);
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_key || text.starts_with('[')).then_some(text)
}

fn with_all_settings(text: &str) -> String {
    text.lines().map(|line| commented_setting(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Parses a configuration in a folder that holds all the files it names.
fn parse(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let files = text.lines().filter_map(|line| line.split_once("_file = \"")?.1.strip_suffix('"'));
    for file in files.filter(|file| !file.starts_with('/')) {
        fs::write(folder.path().join(file), SECRET).expect("the file is written");
    }
    Config::parse(text, &folder.path().join("msgcube.toml"), |_| None)
}

#[test]
fn the_example_is_valid_as_it_is() {
    let folder = Path::new("/nowhere");
    let config =
        Config::parse(EXAMPLE, &folder.join("msgcube.toml"), |_| None).expect("the configuration is valid");
    assert_eq!(config.data_dir, Path::new("/var/lib/msgcube"));
    assert_eq!(config.check_key_location(), Ok(()));
    assert!(config.accounts.is_empty() && config.admin_key.is_none());
}

#[test]
fn the_example_is_valid_with_every_setting_enabled() {
    let config = parse(&with_all_settings(EXAMPLE)).expect("the configuration is valid");
    assert!(config.admin_key.is_some() && config.admin_listen.is_some());
    let account = config.accounts.first().expect("an account");
    assert!(account.require_encryption && account.token_previous.is_some() && account.original_id.is_some());
}

#[test]
fn the_example_shows_the_true_defaults() {
    let general = EXAMPLE.split("# ---- 3. ").next().unwrap_or_default();
    let shown = parse(&with_all_settings(general)).expect("the configuration is valid");
    let left_out = parse("").expect("no setting is required");
    assert_eq!(shown.listen, left_out.listen);
    assert_eq!(shown.callback_max_age_s, left_out.callback_max_age_s);
    assert_eq!(shown.memory_mib, left_out.memory_mib);
    assert_eq!(shown.metrics_accounts, left_out.metrics_accounts);
    assert_eq!(shown.datacube, left_out.datacube);
}

#[test]
fn every_setting_of_the_reference_is_in_the_example() {
    let rows = REFERENCE.split("## Configuration").nth(1).expect("the section").split("\n## ").next();
    let names = rows.expect("its text").lines().filter(|line| line.starts_with("| `"));
    let names = names.flat_map(|line| line.split('|').nth(1).unwrap_or("").split('`').skip(1).step_by(2));
    let settings: Vec<&str> =
        EXAMPLE.lines().filter_map(|line| commented_setting(line).or(Some(line))).collect();
    let mut checked = 0;
    for name in names.filter_map(|name| name.split_whitespace().last()) {
        let key = name.trim_matches(['[', ']']);
        let here = |line: &str| {
            line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("{key}_file = "))
        };
        assert!(settings.iter().any(|line| here(line)), "{name} is not in the example");
        checked += 1;
    }
    assert!(checked > 15, "the table was not found: {checked}");
}
