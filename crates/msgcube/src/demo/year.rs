//! One year of messages in order of arrival; a few are late, and a few arrive twice. Pure: the end of the year is given,
//! and the same seed gives the same messages.

use std::vec;

use counting::{HOUR_S, Message, day_of, start_of_day_s};
use datacube::Day;

use super::{
    account::{AUDIENCES, Audience, DemoAccount, accounts},
    crowd::Crowd,
    random::Random,
    rhythm::Rhythm,
};

/// Per mille of messages that arrive late, and that WeChat repeats because no answer came in time.
const LATE: u64 = 15;
const REPEATED: u64 = 25;
/// WeChat waits 5 s for an answer before it repeats a message. Source: its page on receiving messages.
const REPEAT_AFTER_S: u64 = 5;
const LATE_MAX_S: u64 = 36 * 3600;
/// Position of the account that has a viral day.
const VIRAL_ACCOUNT: usize = 0;

/// A message and the time of its arrival in Unix seconds, both before the end of the year.
#[derive(Clone, Debug)]
struct Arrival {
    due_s: i64,
    account: usize,
    message: Message,
}

/// The state of one account while the year is generated.
#[derive(Clone, Debug)]
pub struct AccountStream {
    pub audience: &'static Audience,
    pub crowd: Crowd,
    pub random: Random,
    /// Messages beyond the number of the last day. They are subtracted from the next day.
    ahead: usize,
}

/// A year of messages: an iterator over (position in [`Year::accounts`], message), in order of arrival.
#[derive(Clone, Debug)]
pub struct Year {
    accounts: Vec<DemoAccount>,
    streams: Vec<AccountStream>,
    rhythm: Rhythm,
    scale_per_mille: u64,
    now_s: i64,
    next_day: Day,
    /// Messages that arrive after the days generated so far.
    later: Vec<Arrival>,
    today: vec::IntoIter<Arrival>,
}

/// What the days after the year begin with.
#[derive(Clone, Debug)]
pub struct YearEnd {
    /// One stream for each account, at its position.
    pub streams: Vec<AccountStream>,
    pub rhythm: Rhythm,
    pub scale_per_mille: u64,
}

/// The twelve full months before `now_s` (Unix seconds) and the days since, for 1 to 3 accounts. A scale of 1 is
/// about 300,000 messages for three accounts.
pub fn year(seed: u64, scale: f64, account_count: u8, now_s: i64) -> Year {
    let last = day_of(now_s);
    let first = first_of_twelve_months(last);
    let scale_per_mille = per_mille(scale);
    let accounts = accounts(seed, account_count);
    let streams = (1..).zip(&AUDIENCES).take(accounts.len());
    Year {
        streams: streams.map(|(number, audience)| stream(seed, number, audience, scale_per_mille)).collect(),
        accounts,
        rhythm: Rhythm { first, last, viral: viral_day(seed, last) },
        scale_per_mille,
        now_s,
        next_day: first,
        later: Vec::new(),
        today: Vec::new().into_iter(),
    }
}

fn stream(seed: u64, number: u64, audience: &'static Audience, scale_per_mille: u64) -> AccountStream {
    let mut random = Random::derive(seed, 1000 + number);
    let crowd = Crowd::new(random.next(), audience.followers * scale_per_mille / 1000);
    AccountStream { audience, crowd, random, ahead: 0 }
}

fn first_of_twelve_months(last: Day) -> Day {
    (0..12).fold(last.first_of_month(), |first, _| first.plus_days(-1).first_of_month())
}

/// A Wednesday about four months before the end: late enough to be the maximum of the year, early enough to be in the
/// shown months.
fn viral_day(seed: u64, last: Day) -> Day {
    let weeks_before = 14 + Random::derive(seed, 2000).below(8);
    last.monday().plus_days(2 - 7 * i32::try_from(weeks_before).unwrap_or(14))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn per_mille(scale: f64) -> u64 {
    (scale * 1000.0).clamp(1.0, 1e9).round() as u64
}

impl Year {
    /// The accounts, at the positions that the iterator gives.
    pub fn accounts(&self) -> &[DemoAccount] {
        &self.accounts
    }

    /// The first day with messages: the 1st of a month.
    pub fn first_day(&self) -> Day {
        self.rhythm.first
    }

    /// The 1st of the last complete month.
    pub fn last_month(&self) -> Day {
        self.rhythm.last.first_of_month().plus_days(-1).first_of_month()
    }

    /// What goes on after the year.
    pub fn end(self) -> YearEnd {
        let Year { streams, rhythm, scale_per_mille, .. } = self;
        YearEnd { streams, rhythm, scale_per_mille }
    }

    /// Generates the messages that arrive on the next day.
    fn advance(&mut self) {
        let day = self.next_day;
        self.next_day = day.plus_days(1);
        let mut arrivals = std::mem::take(&mut self.later);
        for account in 0..self.streams.len() {
            self.generate(account, day, &mut arrivals);
        }
        arrivals.retain(|arrival| arrival.due_s <= self.now_s);
        arrivals.sort_by_key(|arrival| (arrival.due_s, arrival.account));
        let ends_s = start_of_day_s(self.next_day);
        let ended = arrivals.partition_point(|arrival| arrival.due_s < ends_s);
        self.later = arrivals.split_off(ended);
        self.today = arrivals.into_iter();
    }

    /// Generates one account's messages of one day.
    fn generate(&mut self, account: usize, day: Day, arrivals: &mut Vec<Arrival>) {
        let AccountStream { audience, crowd, random, ahead } = &mut self.streams[account];
        let goes_viral = account == VIRAL_ACCOUNT;
        let millionths = self.rhythm.factor(audience, goes_viral, day);
        let wanted = messages_of_day(random, audience.daily * self.scale_per_mille, millionths);
        let is_viral = goes_viral && day == self.rhythm.viral;
        let mut messages = Vec::new();
        while messages.len() + *ahead < wanted {
            let start_s = start_of_day_s(day) + second_of_day(random, audience);
            crowd.conversation(random, audience, start_s, is_viral, &mut messages);
        }
        *ahead = (messages.len() + *ahead).saturating_sub(wanted);
        for message in messages {
            arrive(random, account, message, arrivals);
        }
    }
}

/// The number of messages of a day: the average plus or minus a tenth. A fraction is rounded at random.
fn messages_of_day(random: &mut Random, daily_per_mille: u64, millionths: u64) -> usize {
    let jitter = 900 + random.below(201);
    let exact = u128::from(daily_per_mille) * u128::from(millionths) * u128::from(jitter);
    let one = 1_000_000_000_000;
    let fraction = u64::try_from(exact % one).unwrap_or(0);
    let extra = random.below(1_000_000_000_000) < fraction;
    usize::try_from(exact / one).unwrap_or(usize::MAX).saturating_add(usize::from(extra))
}

/// A random second of the day, weighted by the account's hours.
fn second_of_day(random: &mut Random, audience: &Audience) -> i64 {
    let hour = i64::try_from(random.weighted(&audience.hour)).unwrap_or(0);
    hour * HOUR_S + i64::try_from(random.below(3600)).unwrap_or(0)
}

fn arrive(random: &mut Random, account: usize, message: Message, arrivals: &mut Vec<Arrival>) {
    let late_s = if random.per_mille(LATE) { 60 + random.below(LATE_MAX_S) } else { random.below(3) };
    let due_s = message.create_time + i64::try_from(late_s).unwrap_or(0);
    if random.per_mille(REPEATED) {
        let again_s = REPEAT_AFTER_S * (1 + random.below(3));
        let due_s = due_s + i64::try_from(again_s).unwrap_or(0);
        arrivals.push(Arrival { due_s, account, message: message.clone() });
    }
    arrivals.push(Arrival { due_s, account, message });
}

impl Iterator for Year {
    type Item = (usize, Message);

    fn next(&mut self) -> Option<(usize, Message)> {
        loop {
            if let Some(arrival) = self.today.next() {
                return Some((arrival.account, arrival.message));
            }
            if self.next_day > self.rhythm.last {
                return None;
            }
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests;
