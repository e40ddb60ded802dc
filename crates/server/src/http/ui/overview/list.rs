//! The list of accounts: searched, filtered, sorted, one page of it.

use std::cmp::Reverse;

use i18n::{Text, text};
use pages::{BeijingTime, Compared, ListState, OverviewRow, OverviewSort, ShownState, Words};

use super::{
    super::export::{ExportCell, ExportTable},
    OverviewAccount, compared,
};

/// Accounts on a page of the list.
const ROWS: usize = 50;
/// Most characters of a search. What is longer is cut.
const SEARCH_MAX: usize = 100;

/// How the list is asked for. A value that does not exist is as if it were left out.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    search: String,
    sort: OverviewSort,
    state: Option<ShownState>,
    page: usize,
}

impl ListQuery {
    pub fn parse(query: &str) -> ListQuery {
        let mut parsed = ListQuery { page: 1, ..ListQuery::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "q" => parsed.search = value.trim().chars().take(SEARCH_MAX).collect(),
                "sort" => {
                    let sort = OverviewSort::ALL.into_iter().find(|sort| sort.code() == value);
                    parsed.sort = sort.unwrap_or_default();
                }
                "state" => parsed.state = ShownState::ALL.into_iter().find(|state| state.code() == value),
                "page" => parsed.page = value.parse().unwrap_or(1).max(1),
                _ => {}
            }
        }
        parsed
    }

    /// One page of the list.
    pub fn rows(&self, accounts: &[OverviewAccount], now_s: i64) -> (ListState, Vec<OverviewRow>) {
        let found = self.sorted(accounts);
        let pages = found.len().div_ceil(ROWS).max(1);
        let page = self.page.min(pages);
        let rows =
            found.iter().skip((page - 1) * ROWS).take(ROWS).map(|account| row(account, now_s)).collect();
        let state = ListState {
            search: self.search.clone(),
            sort: self.sort,
            state: self.state,
            found: found.len(),
            page,
            pages,
        };
        (state, rows)
    }

    /// All pages of the list.
    pub fn all_rows(&self, accounts: &[OverviewAccount], now_s: i64) -> Vec<OverviewRow> {
        self.sorted(accounts).into_iter().map(|account| row(account, now_s)).collect()
    }

    fn sorted<'a>(&self, accounts: &'a [OverviewAccount]) -> Vec<&'a OverviewAccount> {
        let search = self.search.to_lowercase();
        let is_found = |account: &&OverviewAccount| {
            let named = [&account.name.name, &account.name.appid];
            let is_state = self.state.is_none_or(|state| state == account.state);
            is_state && named.iter().any(|text| text.to_lowercase().contains(&search))
        };
        let mut found: Vec<&OverviewAccount> = accounts.iter().filter(is_found).collect();
        // The accounts come sorted by appid, and sorting keeps that order among equals.
        match self.sort {
            OverviewSort::Attention => {
                found.sort_by_key(|account| (account.state, Reverse(account.summary.month)));
            }
            OverviewSort::Name => found.sort_by_cached_key(|account| account.name.shown().to_lowercase()),
            OverviewSort::Today => found.sort_by_key(|account| Reverse(account.summary.today())),
            OverviewSort::Month => found.sort_by_key(|account| Reverse(account.summary.month)),
            OverviewSort::LastMonth => found.sort_by_key(|account| Reverse(account.summary.last_month)),
            OverviewSort::LastMessage => found.sort_by_key(|account| account.summary.last_message_s),
        }
        found
    }
}

fn row(account: &OverviewAccount, now_s: i64) -> OverviewRow {
    let (summary, today) = (&account.summary, BeijingTime::from_unix_s(now_s).day);
    let last_month = today.first_of_month().plus_days(-1).first_of_month();
    let with = |first, value| compared(account.since_s, first, value);
    let first_day = account.since_s.map(|since_s| BeijingTime::from_unix_s(since_s).day);
    // Without today, which is not over and would look like a fall.
    let days = (0..).zip(summary.days.iter().rev()).skip(1).map(|(age, messages)| {
        let is_counted = first_day.is_some_and(|first| first <= today.plus_days(-age));
        (is_counted || *messages > 0).then_some(*messages)
    });
    let mut sparkline: Vec<Option<u64>> = days.collect();
    sparkline.reverse();
    OverviewRow {
        account: account.name.clone(),
        state: account.state,
        last_message: summary.last_message_s.map(BeijingTime::from_unix_s),
        today: summary.today(),
        same_hours: (summary.same_hours_today, with(today.plus_days(-7), summary.same_hours_last_week)),
        month: summary.month,
        same_days: (summary.month_before_today, with(last_month, summary.same_days_last_month)),
        last_month: summary.last_month,
        sparkline,
    }
}

/// The list as a table for a file.
pub fn table(rows: &[OverviewRow], words: Words) -> ExportTable {
    let heads = [
        text!("Account"),
        Text::plain("AppID"),
        text!("State"),
        text!("Last message"),
        text!("Today"),
        text!("Today, whole hours"),
        text!("Last week, same hours"),
        text!("This month"),
        text!("This month, whole days"),
        text!("Last month, same days"),
        text!("Last month"),
    ];
    let before = |compared: Compared| match compared {
        Compared::With(number) => ExportCell::Number(number),
        _ => ExportCell::Blank,
    };
    let row = |row: &OverviewRow| {
        vec![
            ExportCell::Words(row.account.shown().to_owned()),
            ExportCell::Words(row.account.appid.clone()),
            ExportCell::Words(words.state(row.state)),
            row.last_message.map_or(ExportCell::Blank, ExportCell::At),
            ExportCell::Number(row.today),
            ExportCell::Number(row.same_hours.0),
            before(row.same_hours.1),
            ExportCell::Number(row.month),
            ExportCell::Number(row.same_days.0),
            before(row.same_days.1),
            ExportCell::Number(row.last_month),
        ]
    };
    ExportTable {
        file: "accounts",
        title: words.say(text!("Accounts")),
        head: heads.map(|head| words.say(head)).into(),
        rows: rows.iter().map(row).collect(),
    }
}
