//! Rows of the seven interfaces. The fields have the order of real answers.

use serde::{Deserialize, Serialize};

use crate::Day;

/// One row. The interface decides which optional fields are present; the others are left out on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The first day of the period: the day itself, the Monday of the week or the 1st of the month.
    pub ref_date: Day,
    /// Hour interface only: the hour times 100, from 0 to 2300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_hour: Option<u16>,
    /// Not documented by WeChat; 0 in all known real answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_source: Option<i64>,
    /// Totals only: 1 text, 2 image, 3 voice, 4 video, 6 link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg_type: Option<u8>,
    /// Distribution only: 1 for 1 to 5 messages, 2 for 6 to 10, 3 for more than 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_interval: Option<u8>,
    /// Number of distinct users.
    pub msg_user: u64,
    /// Totals only: number of messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg_count: Option<u64>,
}

/// A successful answer: `{"list":[…]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The rows, sorted by ref_date, then ref_hour, then msg_type or count_interval.
    pub list: Vec<Row>,
}
