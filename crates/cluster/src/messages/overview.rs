//! Counts of all accounts around one moment.

use std::collections::HashMap;

use clickhouse::{Client, query::Query};
use counting::{COUNTED_TYPES, HOUR_S, Kind, day_of, hour_of, start_of_day_s};

use super::{
    buckets::stored_bounds,
    error::ClickHouseError,
    questions::{StoredBounds, counted_kinds, whole},
};

const DAYS: usize = 28;
const MINUTES: usize = 60;
/// Room for the names of many accounts, in bytes.
const STATEMENT_MAX: &str = "64000000";

/// An account's messages of the counted types around one moment, without users. Times ahead of the moment count for their
/// day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountOverview {
    /// The account.
    pub appid: Box<str>,
    /// The newest CreateTime up to the end of tomorrow, in Unix seconds. It may be ahead of the moment.
    pub last_message_s: Option<i64>,
    /// Of the moment's Beijing day, in the order of [`COUNTED_TYPES`].
    pub today_by_type: [u64; COUNTED_TYPES.len()],
    /// Of the last 28 days, today last.
    pub days: [u64; DAYS],
    /// Of the whole hours of the day that are over.
    pub same_hours_today: u64,
    /// Of the same hours seven days before.
    pub same_hours_last_week: u64,
    /// Of the calendar month of the day.
    pub month: u64,
    /// Of the days of that month that are over.
    pub month_before_today: u64,
    /// Of the calendar month before.
    pub last_month: u64,
    /// Of the days of the calendar month before that have the numbers of this month's days which are over: on the
    /// 11th, of its 1st to 10th.
    pub same_days_last_month: u64,
    /// Of the last minutes by CreateTime, the current one last.
    pub minutes: [u32; MINUTES],
}

/// Counts of an account in one shard: appid, newest message (0: none), today by type, days, stretches, minutes.
pub type OverviewFound = (String, u32, Vec<u64>, Vec<u64>, Vec<u64>, Vec<u64>);

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
        let from = last_month.min(today.plus_days(1 - DAYS as i32));
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

    /// Days before today and not before `from`: the last week has the same number of the month.
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
    let list = |items: Vec<String>| items.join(", ");
    let of_type = |number: &u8| {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.counted_type() == Some(*number));
        let codes: Vec<String> = kinds.map(|kind| kind.code().to_string()).collect();
        format!("countIf(kind IN ({})) AS t{number}", codes.join(", "))
    };
    let days = (0..DAYS as i64).map(|at| around.today - (DAYS as i64 - 1) + at);
    let minutes = (0..MINUTES as i64).map(|at| around.minute - (MINUTES as i64 - 1) + at);
    let (today, week_ago) = (around.today, around.today - 7);
    let mut stretches =
        vec![format!("sumIf(early, day = {today})"), format!("sumIf(early, day = {week_ago})")];
    let between = |(from, to): (i64, i64)| format!("sumIf(all, day >= {from} AND day < {to})");
    stretches.extend(around.stretches().map(between));
    let sql = format!(
        "SELECT appid, max(newest) AS last_s, [{today_by_type}] AS today_by_type, [{days}] AS days,
            [{stretches}] AS stretches, [{minutes}] AS minutes
        FROM (
            SELECT appid, intDiv(toInt64(create_time) + 28800, 86400) AS day,
                if(intDiv(toInt64(create_time), 60) BETWEEN {first_minute} AND {last_minute},
                    intDiv(toInt64(create_time), 60), -1) AS minute,
                {types}, {all} AS all,
                countIf(kind IN ({counted}) AND (toInt64(create_time) + 28800) % 86400 < {over_s}) AS early,
                maxIf(toUInt32(create_time), kind IN ({counted}) AND create_time <= {tomorrow_s}) AS newest
            FROM raw FINAL WHERE create_time >= ? AND create_time <= ?
            GROUP BY appid, day, minute
        ) GROUP BY appid HAVING sum(all) > 0",
        today_by_type =
            list(COUNTED_TYPES.iter().map(|number| format!("sumIf(t{number}, day = {today})")).collect()),
        days = list(days.map(|day| format!("sumIf(all, day = {day})")).collect()),
        stretches = list(stretches),
        minutes = list(minutes.map(|minute| format!("sumIf(all, minute = {minute})")).collect()),
        first_minute = around.minute - (MINUTES as i64 - 1),
        last_minute = around.minute,
        types = list(COUNTED_TYPES.iter().map(of_type).collect()),
        all = COUNTED_TYPES.map(|number| format!("t{number}")).join(" + "),
        counted = counted_kinds(),
        over_s = around.over_s,
        tomorrow_s = around.tomorrow_s,
    );
    let sql = whole("appid, last_s, today_by_type, days, stretches, minutes", &sql);
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
    let sql = whole("appid, last_s", &sql);
    let before = around.within.0;
    move |client| {
        let query = client.query(&sql).bind(before).with_setting("max_query_size", STATEMENT_MAX);
        if without.is_empty() { query } else { query.bind(&without) }
    }
}

/// The overviews of all accounts, united from all shards.
#[derive(Debug, Default)]
pub struct Overviews(HashMap<Box<str>, AccountOverview>);

impl Overviews {
    /// Adds the counts of one shard.
    pub fn add(&mut self, found: OverviewFound) -> Result<(), ClickHouseError> {
        fn fill<const N: usize>(sums: &mut [u64; N], found: &[u64]) -> Result<(), ClickHouseError> {
            if found.len() != N {
                return Err(ClickHouseError::Unanswered("counts of another form than asked for".to_owned()));
            }
            sums.iter_mut().zip(found).for_each(|(sum, more)| *sum += more);
            Ok(())
        }
        let (appid, last_s, today_by_type, days, stretches, minutes) = found;
        let known = self.of(appid);
        known.see(last_s);
        fill(&mut known.today_by_type, &today_by_type)?;
        fill(&mut known.days, &days)?;
        let found = minutes;
        let mut minutes = known.minutes.map(u64::from);
        fill(&mut minutes, &found)?;
        known.minutes = minutes.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let found = stretches;
        let mut stretches = [
            known.same_hours_today,
            known.same_hours_last_week,
            known.month,
            known.month_before_today,
            known.last_month,
            known.same_days_last_month,
        ];
        fill(&mut stretches, &found)?;
        [
            known.same_hours_today,
            known.same_hours_last_week,
            known.month,
            known.month_before_today,
            known.last_month,
            known.same_days_last_month,
        ] = stretches;
        Ok(())
    }

    /// Adds the newest message of one shard.
    pub fn add_last(&mut self, (appid, last_s): LastFound) {
        self.of(appid).see(last_s);
    }

    /// The accounts that have a newest message.
    pub fn with_last(&self) -> Vec<String> {
        let with_last = self.0.values().filter(|account| account.last_message_s.is_some());
        with_last.map(|account| account.appid.to_string()).collect()
    }

    /// The overviews by appid.
    pub fn sorted(self) -> Vec<AccountOverview> {
        let mut all: Vec<AccountOverview> = self.0.into_values().collect();
        all.sort_by(|one, other| one.appid.cmp(&other.appid));
        all
    }

    fn of(&mut self, appid: String) -> &mut AccountOverview {
        let appid: Box<str> = appid.into();
        let empty = || AccountOverview {
            appid: appid.clone(),
            last_message_s: None,
            today_by_type: [0; COUNTED_TYPES.len()],
            days: [0; DAYS],
            same_hours_today: 0,
            same_hours_last_week: 0,
            month: 0,
            month_before_today: 0,
            last_month: 0,
            same_days_last_month: 0,
            minutes: [0; MINUTES],
        };
        self.0.entry(appid.clone()).or_insert_with(empty)
    }
}

impl AccountOverview {
    /// A message of this time; 0: none.
    fn see(&mut self, last_s: u32) {
        if last_s > 0 {
            self.last_message_s = self.last_message_s.max(Some(last_s.into()));
        }
    }
}
