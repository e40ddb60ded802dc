//! What users send after the year: pure, the caller gives the time.

use counting::{HOUR_S, Message, day_of, hour_of};

use super::{
    random::Random,
    year::{AccountStream, YearEnd},
};

/// While somebody looks at the demo for the first time, a message arrives about this often, even at night.
const BUSY_PAUSE_MS: u64 = 3_000;
const BUSY_S: i64 = 600;
/// The longest average pause afterwards.
const PAUSE_MS_MAX: u64 = 10_000;
const HOUR_MS: u64 = HOUR_S.unsigned_abs() * 1000;

/// A message of a conversation that has begun.
#[derive(Clone, Debug)]
struct Planned {
    account: usize,
    message: Message,
}

impl Planned {
    fn is_due(&self, now_s: i64) -> bool {
        self.message.create_time <= now_s
    }
}

/// Messages from now on, from the users of the year and new ones.
#[derive(Clone, Debug)]
pub struct LiveMessages {
    year: YearEnd,
    /// For the times, and for which account is written to.
    random: Random,
    /// At most a few conversations: while one of these messages is due, no conversation begins.
    planned: Vec<Planned>,
}

impl LiveMessages {
    /// Goes on where the year ended.
    pub fn after(year: YearEnd) -> LiveMessages {
        LiveMessages { year, random: Random::new(0), planned: Vec::new() }
    }

    /// The position of an account, and what a user sends to it at `now_s`, in Unix seconds.
    pub fn next(&mut self, now_s: i64) -> Option<(usize, Message)> {
        if !self.planned.iter().any(|planned| planned.is_due(now_s)) {
            self.begin_conversation(now_s);
        }
        let due = self.planned.iter().position(|planned| planned.is_due(now_s))?;
        let Planned { account, mut message } = self.planned.swap_remove(due);
        message.create_time = now_s;
        Some((account, message))
    }

    fn begin_conversation(&mut self, now_s: i64) {
        let account = self.random.weighted(&self.rates(now_s));
        let AccountStream { audience, crowd, random, .. } = &mut self.year.streams[account];
        let mut messages = Vec::new();
        crowd.conversation(random, audience, now_s, false, &mut messages);
        self.planned.extend(messages.into_iter().map(|message| Planned { account, message }));
    }

    /// Milliseconds until the next message, for a demo that has served since `since_s`. Both times are Unix seconds.
    pub fn pause_ms(&mut self, since_s: i64, now_s: i64) -> u64 {
        let millionths: u64 = self.rates(now_s).iter().sum();
        let of_hour = HOUR_MS.saturating_mul(1_000_000).checked_div(millionths).unwrap_or(PAUSE_MS_MAX);
        let longest = if now_s - since_s < BUSY_S { BUSY_PAUSE_MS } else { PAUSE_MS_MAX };
        of_hour.min(longest) * (500 + self.random.below(1001)) / 1000
    }

    /// Millionths of a message that each account gets in this hour of this day.
    fn rates(&self, now_s: i64) -> Vec<u64> {
        let (day, hour) = (day_of(now_s), usize::from(hour_of(now_s)));
        let rate = |stream: &AccountStream| {
            let audience = stream.audience;
            let of_day = audience.daily * self.year.scale_per_mille / 1000
                * self.year.rhythm.factor(audience, false, day);
            of_day * audience.hour[hour] / audience.hour.iter().sum::<u64>()
        };
        self.year.streams.iter().map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::demo::year;

    /// Sunday, 22 November 2026, 03:00 in Beijing: few messages arrive at this time.
    const NIGHT_S: i64 = 1_795_287_600;

    fn live(scale: f64) -> LiveMessages {
        LiveMessages::after(year(1, scale, 3, NIGHT_S).end())
    }

    /// Seconds from the first message to the last of so many, which begin `after_s` seconds after the start.
    fn duration_s(live: &mut LiveMessages, after_s: i64, messages: u32) -> u64 {
        (0..messages).map(|_| live.pause_ms(NIGHT_S, NIGHT_S + after_s)).sum::<u64>() / 1000
    }

    #[test]
    fn messages_come_every_few_seconds_at_night_too() {
        let mut live = live(0.01);
        assert!((250..350).contains(&duration_s(&mut live, 0, 100)));
        assert!((850..1150).contains(&duration_s(&mut live, BUSY_S, 100)));
    }

    #[test]
    fn a_large_demo_is_busier_by_day_than_at_night() {
        let mut live = live(1000.0);
        let (night, day) = (duration_s(&mut live, 0, 1000), duration_s(&mut live, 6 * HOUR_S, 1000));
        assert!(day > 0 && night > 10 * day, "{night} {day}");
    }

    #[test]
    fn all_accounts_get_messages_and_none_is_a_repeat() {
        let mut live = live(1.0);
        let sent: Vec<_> = (0..2000).map(|number| live.next(NIGHT_S + 3 * number).unwrap()).collect();
        assert_eq!(sent.iter().collect::<HashSet<_>>().len(), sent.len());
        let count = |account| sent.iter().filter(|(at, _)| *at == account).count();
        assert!(count(0) > count(2) && count(1) > count(2) && count(2) > 0);
        assert!(live.planned.len() < 200, "{}", live.planned.len());
        assert!((0..).zip(&sent).all(|(number, (_, message))| message.create_time == NIGHT_S + 3 * number));
    }
}
