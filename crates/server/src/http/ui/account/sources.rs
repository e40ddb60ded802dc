//! Where the figures of an account's page can be had: by `curl`, and as files.

use datacube::Day;
use pages::FigureSource;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::curl::CurlCommands;

/// The charts that can be saved.
pub const CHARTS: [&str; 4] = ["users", "messages", "hours", "weeks"];

/// Makes the sources of one page.
#[derive(Clone, Debug)]
pub struct FigureSources {
    curl: CurlCommands,
    /// The AppID, encoded for a path.
    appid: String,
    /// The address of the page, without its query.
    path: String,
    /// The query of the range.
    query: String,
}

impl FigureSources {
    /// `path` and `query` are those of the page.
    pub fn new(curl: CurlCommands, appid: &str, path: &str, query: String) -> FigureSources {
        let appid = utf8_percent_encode(appid, NON_ALPHANUMERIC).to_string();
        FigureSources { curl, appid, path: path.to_owned(), query }
    }

    /// Figures of days that have a table of their own. `how` is the rest of the query of `/v1`.
    pub fn table(&self, name: &str, days: (Day, Day), how: &str) -> FigureSource {
        FigureSource { csv: self.file(&format!("{name}.csv")), ..self.of_days(days, how) }
    }

    /// Figures of days.
    pub fn of_days(&self, (from, to): (Day, Day), how: &str) -> FigureSource {
        let curl = self.curl.of(&format!("/v1/accounts/{}/stats?from={from}&to={to}&{how}", self.appid));
        FigureSource { curl, ..FigureSource::default() }
    }

    /// The charts as files.
    pub fn charts(&self) -> Vec<(&'static str, String)> {
        CHARTS.map(|name| (name, self.file(&format!("{name}.svg")))).into()
    }

    /// The address of a file.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}?{}", self.path, self.query)
    }
}
