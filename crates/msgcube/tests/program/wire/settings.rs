//! The usual configuration, with the changes of a case.

use msgcube::conformance::case::Case;
use toml::{Table, Value};

pub use crate::harness::{ADMIN_KEY, AES_KEY as KEY, APPID, SECRET, TOKEN};

pub const OTHER: &str = "wx00000000000000b2";
pub const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";
pub const OTHER_TOKEN: &str = "callbackTokenTwo";

/// The text of the configuration file. `store` is its section of that name.
pub fn of(case: &Case, store: Option<Value>) -> String {
    let mut first = table(&[("appid", APPID), ("secret", SECRET), ("token", TOKEN)]);
    first.insert("encoding_aes_key".to_owned(), KEY.into());
    let second = table(&[("appid", OTHER), ("secret", OTHER_SECRET), ("token", OTHER_TOKEN)]);
    change(&mut first, &case.account);
    let mut all = table(&[("listen", "127.0.0.1:0"), ("admin_key", ADMIN_KEY)]);
    change(&mut all, &case.config);
    all.insert("account".to_owned(), Value::Array(vec![first.into(), second.into()]));
    if let Some(store) = store {
        all.insert("store".to_owned(), store);
    }
    toml::to_string(&all).unwrap()
}

/// Changes the table. An empty text removes a key.
fn change(table: &mut Table, changes: &Table) {
    for (name, value) in changes {
        match value.as_str() {
            Some("") => drop(table.remove(name)),
            _ => drop(table.insert(name.clone(), value.clone())),
        }
    }
}

fn table(values: &[(&str, &str)]) -> Table {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// Unix seconds of a time in Beijing such as `2014-12-01T12:00:00`, or of a number.
pub fn moment(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| {
        let moment: jiff::Timestamp = format!("{text}+08:00").parse().unwrap_or_else(|_| panic!("{text}"));
        moment.as_second()
    })
}
