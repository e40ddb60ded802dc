//! A folder in which tests run commands, and messages to import.

use std::ops::{Deref, RangeInclusive};

use jiff::Timestamp;

use crate::harness::{Folder, Program, account, bulk_line};

pub(crate) use crate::harness::{ADMIN_KEY, APPID, Ended, TestResult};

/// 2025-03-03 in Beijing.
const MARCH_S: i64 = 1_741_000_000;

/// A folder with the admin key in a file, and the time at which the test began.
pub(crate) struct Scene {
    folder: Folder,
    now: Timestamp,
}

/// One message per number, each of another user, in March 2025. One message a line.
pub(crate) fn lines(numbers: RangeInclusive<u64>) -> Vec<u8> {
    let line = |number: u64| {
        let second = i64::try_from(number % 86_400).unwrap();
        bulk_line(&format!("oUser{number}"), MARCH_S + second, "text", number)
    };
    numbers.map(line).collect::<String>().into_bytes()
}

impl Scene {
    pub(crate) fn new() -> TestResult<Scene> {
        let general = "listen = \"127.0.0.1:0\"\nadmin_key_file = \"admin.key\"\n\n";
        let folder = Folder::holding(&(general.to_owned() + &account("")));
        folder.write("admin.key", ADMIN_KEY.as_bytes())?;
        Ok(Scene { folder, now: Timestamp::now() })
    }

    pub(crate) fn admin_key(&self) -> String {
        self.path("admin.key")
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.now.as_second()
    }

    /// The day in Beijing `later` days after the start of the test.
    pub(crate) fn day(&self, later: i64) -> TestResult<String> {
        let moment = Timestamp::from_second(self.now_s() + (8 + later * 24) * 3600)?;
        Ok(moment.to_string()[..10].to_owned())
    }
}

impl Deref for Scene {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Program {
    /// Number of text messages counted from one day to another.
    pub(crate) async fn texts(&self, from: &str, to: &str) -> u64 {
        let answer = self.stats(APPID, from, to).await;
        let rows = answer["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["type"] == "text");
        row.map_or(0, |row| row["messages"].as_u64().unwrap())
    }
}
