//! Counts of all accounts around one moment.

use std::collections::HashMap;

use clickhouse::{Client, query::Query};
use counting::{
    AccountSummary, BEIJING_OFFSET_S, COUNTED_TYPES, HOUR_S, Kind, day_of, hour_of, start_of_day_s,
};

use super::{
    buckets::stored_bounds,
    error::ClickHouseError,
    questions::{StoredBounds, counted_kinds, whole},
};

/// From the first to the last of the days and minutes that are shown.
const DAYS_BACK: i32 = 27;
const MINUTES_BACK: i64 = 59;
const _: () = assert!(AccountSummary::DAYS == 28 && AccountSummary::MINUTES == 60);
/// Room for the names of many accounts, in bytes.
const STATEMENT_MAX: &str = "64000000";

/// Sums by number of the day or minute.
type SumsByNumber = (Vec<i64>, Vec<u64>);

/// Counts of an account in one shard: appid, newest message (0: none), today by type, of the hours of today and of a week
/// ago that are over, by day, by minute of the last hour.
pub type OverviewFound = (String, u32, Vec<u64>, Vec<u64>, SumsByNumber, SumsByNumber);

/// The newest message of an account in one shard.
pub type LastFound = (String, u32);

/// The stretches of days that an overview counts, as numbers of days since 1970 in Beijing.
#[derive(Debug)]
pub struct Around {
    today: i64,
    month: i64,
    next_month: i64,
    last_month: i64,
    /// Seconds of the hours of the day that are over.
    over_s: i64,
    /// The last minute, since 1970.
    minute: i64,
    /// First and last second of all that is counted.
    within: StoredBounds,
    /// The last second of tomorrow.
    tomorrow_s: u32,
}

impl Around {
    /// The stretches around a time. None if messages cannot have such times.
    pub fn of(now_s: i64) -> Option<Around> {
        let today = day_of(now_s);
        let month = today.first_of_month();
        let last_month = month.plus_days(-1).first_of_month();
        let next_month = month.plus_days(31).first_of_month();
        let from = last_month.min(today.plus_days(-DAYS_BACK));
        let after_tomorrow = today.plus_days(2);
        let to = next_month.max(after_tomorrow);
        let (_, tomorrow_s) = stored_bounds(0, start_of_day_s(after_tomorrow))?;
        Some(Around {
            today: today.days_since_1970().into(),
            month: month.days_since_1970().into(),
            next_month: next_month.days_since_1970().into(),
            last_month: last_month.days_since_1970().into(),
            over_s: i64::from(hour_of(now_s)) * HOUR_S,
            minute: now_s.div_euclid(60),
            within: stored_bounds(start_of_day_s(from), start_of_day_s(to))?,
            tomorrow_s,
        })
    }

    /// First and last second up to the end of tomorrow, of the last days.
    pub fn up_to_tomorrow(&self, days: u32) -> StoredBounds {
        (self.tomorrow_s.saturating_sub(days * 86_400), self.tomorrow_s)
    }

    /// `[from, to)` of this month, of its days that are over, of the month before, and of its days with those numbers.
    fn stretches(&self) -> [(i64, i64); 4] {
        let days_over = self.today - self.month;
        [
            (self.month, self.next_month),
            (self.month, self.today),
            (self.last_month, self.month),
            (self.last_month, (self.last_month + days_over).min(self.month)),
        ]
    }
}

/// Counts of all accounts: by account, day and, for the last hour, minute first, then the sums. Numbers in the statement
/// come from the calendar.
pub fn counts(around: &Around) -> impl Fn(&Client) -> Query + use<> {
    let of_type = |number: u8| {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.counted_type() == Some(number));
        let codes: Vec<String> = kinds.map(|kind| kind.code().to_string()).collect();
        format!("countIf(kind IN ({})) AS t{number}", codes.join(", "))
    };
    let today = around.today;
    let sql = format!(
        "SELECT appid, max(newest) AS last_s, [{today_by_type}] AS today_by_type,
            [sumIf(early, day = {today}), sumIf(early, day = {week_ago})] AS hours_over,
            sumMap([day], [all]) AS by_day, sumMap([minute], [all]) AS by_minute
        FROM (
            SELECT appid, intDiv(toInt64(create_time) + {offset}, 86400) AS day,
                if(intDiv(toInt64(create_time), 60) BETWEEN {first_minute} AND {last_minute},
                    intDiv(toInt64(create_time), 60), -1) AS minute,
                {types}, {all} AS all,
                countIf(kind IN ({counted}) AND (toInt64(create_time) + {offset}) % 86400 < {over_s}) AS early,
                maxIf(toUInt32(create_time), kind IN ({counted}) AND create_time <= {tomorrow_s}) AS newest
            FROM raw FINAL WHERE create_time >= ? AND create_time <= ?
            GROUP BY appid, day, minute
        ) GROUP BY appid HAVING sum(all) > 0",
        today_by_type = COUNTED_TYPES.map(|number| format!("sumIf(t{number}, day = {today})")).join(", "),
        week_ago = today - 7,
        offset = BEIJING_OFFSET_S,
        first_minute = around.minute - MINUTES_BACK,
        last_minute = around.minute,
        types = COUNTED_TYPES.map(of_type).join(", "),
        all = COUNTED_TYPES.map(|number| format!("t{number}")).join(" + "),
        counted = counted_kinds(),
        over_s = around.over_s,
        tomorrow_s = around.tomorrow_s,
    );
    let sql = whole("tuple(appid, last_s, today_by_type, hours_over, by_day, by_minute)", &sql);
    let within = around.within;
    move |client| client.query(&sql).bind(within.0).bind(within.1)
}

/// The newest message of all accounts but these, before what [`counts`] counts.
pub fn dormant(around: &Around, without: Vec<String>) -> impl Fn(&Client) -> Query + use<> {
    let others = if without.is_empty() { "" } else { "AND appid NOT IN ?" };
    let sql = format!(
        "SELECT appid, maxIf(toUInt32(create_time), kind IN ({counted})) AS last_s
        FROM raw FINAL WHERE create_time < ? {others}
        GROUP BY appid HAVING countIf(kind IN ({counted})) > 0",
        counted = counted_kinds()
    );
    let sql = whole("tuple(appid, last_s)", &sql);
    let before = around.within.0;
    move |client| {
        let query = client.query(&sql).bind(before).with_setting("max_query_size", STATEMENT_MAX);
        if without.is_empty() { query } else { query.bind(&without) }
    }
}

/// The overviews of all accounts, united from all shards.
#[derive(Debug)]
pub struct Overviews {
    around: Around,
    accounts: HashMap<Box<str>, AccountSummary>,
}

impl Overviews {
    /// No account, around this moment.
    pub fn new(around: Around) -> Overviews {
        Overviews { around, accounts: HashMap::new() }
    }

    /// The moment.
    pub fn around(&self) -> &Around {
        &self.around
    }

    /// Adds the counts of one shard.
    pub fn add(&mut self, found: OverviewFound) -> Result<(), ClickHouseError> {
        let (appid, last_s, by_type, hours_over, by_day, by_minute) = found;
        let (today, first_minute) = (self.around.today, self.around.minute - MINUTES_BACK);
        let stretches = self.around.stretches();
        let account = self.of(appid);
        see(account, last_s);
        let [hours_today, hours_last_week] = hours_over.as_slice() else { return Err(wrong()) };
        account.same_hours_today += hours_today;
        account.same_hours_last_week += hours_last_week;
        if by_type.len() != account.today_by_type.len() {
            return Err(wrong());
        }
        account.today_by_type.iter_mut().zip(by_type).for_each(|(sum, more)| *sum += more);
        for (day, count) in by_day.0.into_iter().zip(by_day.1) {
            let at = usize::try_from(day - (today - i64::from(DAYS_BACK)));
            if let Some(sum) = at.ok().and_then(|at| account.days.get_mut(at)) {
                *sum += count;
            }
            for (sum, (from, to)) in sums_of_stretches(account).into_iter().zip(stretches) {
                if (from..to).contains(&day) {
                    *sum += count;
                }
            }
        }
        for (minute, count) in by_minute.0.into_iter().zip(by_minute.1) {
            let at = usize::try_from(minute - first_minute);
            if let Some(sum) = at.ok().and_then(|at| account.minutes.get_mut(at)) {
                *sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        Ok(())
    }

    /// Adds the newest message of one shard.
    pub fn add_last(&mut self, (appid, last_s): LastFound) {
        see(self.of(appid), last_s);
    }

    /// The accounts that have a newest message.
    pub fn with_last(&self) -> Vec<String> {
        let with_last = self.accounts.iter().filter(|(_, account)| account.last_message_s.is_some());
        with_last.map(|(appid, _)| appid.to_string()).collect()
    }

    /// The summaries by appid.
    pub fn by_appid(self) -> HashMap<Box<str>, AccountSummary> {
        self.accounts
    }

    fn of(&mut self, appid: String) -> &mut AccountSummary {
        self.accounts.entry(appid.into()).or_default()
    }
}

fn wrong() -> ClickHouseError {
    ClickHouseError::Unanswered("counts of another form than asked for".to_owned())
}

/// In the order of [`Around::stretches`].
fn sums_of_stretches(account: &mut AccountSummary) -> [&mut u64; 4] {
    let AccountSummary { month, month_before_today, last_month, same_days_last_month, .. } = account;
    [month, month_before_today, last_month, same_days_last_month]
}

/// A message of this time; 0: none.
fn see(account: &mut AccountSummary, last_s: u32) {
    if last_s > 0 {
        account.last_message_s = account.last_message_s.max(Some(last_s.into()));
    }
}
