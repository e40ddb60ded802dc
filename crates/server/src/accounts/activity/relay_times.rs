//! How long bots take to answer, as a histogram with fixed bounds.

use std::time::Duration;

/// Upper bounds of the times in milliseconds. A bot has 4.9 s, so no answer is later than the last bound.
const BOUNDS_MS: [u32; 12] = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000];

/// What became of a callback that was passed on to a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotReply {
    /// The bot answered with a status 2xx.
    Answered(RelayTime),
    /// The bot has the callback and did not answer in time.
    Late,
    /// The bot was not reached, its reply was too large, or its status was no 2xx.
    Failed,
}

/// A time as the number of its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayTime(u8);

/// Callbacks that were passed on to a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayReport {
    /// All of them.
    pub count: u64,
    /// Those that the bot did not answer in time.
    pub late: u64,
    /// Those that did not reach the bot, or that it answered with a status other than 2xx or with too large a reply.
    pub failed: u64,
    /// Half of the other answers took at most this many milliseconds. None without such answers.
    pub p50_ms: Option<u32>,
    /// 99 % of the other answers took at most this many milliseconds. None without such answers.
    pub p99_ms: Option<u32>,
}

impl RelayTime {
    /// The first bound that is not below this time.
    pub fn of(took: Duration) -> RelayTime {
        let bound = BOUNDS_MS.partition_point(|bound| Duration::from_millis(u64::from(*bound)) < took);
        RelayTime(u8::try_from(bound.min(BOUNDS_MS.len() - 1)).unwrap_or(0))
    }
}

impl RelayReport {
    /// Adds up how callbacks ended, each with its count. None without any.
    pub fn of(ends: impl Iterator<Item = (BotReply, u64)>) -> Option<RelayReport> {
        let (mut within, mut late, mut failed) = ([0; BOUNDS_MS.len()], 0, 0);
        for (end, count) in ends {
            match end {
                BotReply::Answered(RelayTime(bound)) => within[usize::from(bound)] += count,
                BotReply::Late => late += count,
                BotReply::Failed => failed += count,
            }
        }
        let count = within.iter().sum::<u64>() + late + failed;
        let (p50_ms, p99_ms) = (bound_of(&within, 50), bound_of(&within, 99));
        (count > 0).then_some(RelayReport { count, late, failed, p50_ms, p99_ms })
    }
}

/// The first bound that so many per cent of the answers do not exceed.
fn bound_of(within: &[u64; BOUNDS_MS.len()], per_cent: u64) -> Option<u32> {
    let wanted = (within.iter().sum::<u64>() * per_cent).div_ceil(100);
    let mut sum = 0;
    let reached = |(_, count): &(&u32, &u64)| {
        sum += **count;
        sum >= wanted
    };
    BOUNDS_MS.iter().zip(within).find(reached).map(|(bound, _)| *bound).filter(|_| wanted > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(ms: u64) -> BotReply {
        BotReply::Answered(RelayTime::of(Duration::from_millis(ms)))
    }

    #[test]
    fn a_percentile_is_the_bound_above_it() {
        let p50_and_p99 = |ends: &[(BotReply, u64)]| {
            RelayReport::of(ends.iter().copied()).map(|report| (report.p50_ms, report.p99_ms))
        };
        assert_eq!(p50_and_p99(&[]), None);
        assert_eq!(p50_and_p99(&[(answered(0), 1)]), Some((Some(5), Some(5))));
        assert_eq!(p50_and_p99(&[(answered(5), 1)]), Some((Some(5), Some(5))), "a bound belongs to its time");
        assert_eq!(p50_and_p99(&[(answered(6), 1)]), Some((Some(10), Some(10))));
        assert_eq!(p50_and_p99(&[(answered(90_000), 1)]), Some((Some(5000), Some(5000))));
        assert_eq!(p50_and_p99(&[(answered(700), 1), (answered(15), 99)]), Some((Some(20), Some(20))));
        assert_eq!(p50_and_p99(&[(answered(700), 2), (answered(15), 98)]), Some((Some(20), Some(1000))));
        assert_eq!(p50_and_p99(&[(answered(15), 1), (answered(700), 1)]), Some((Some(20), Some(1000))));
        assert_eq!(p50_and_p99(&[(answered(15), 1), (answered(700), 2)]), Some((Some(1000), Some(1000))));
    }

    #[test]
    fn late_and_failed_answers_count_and_have_no_time() {
        let ends = [(BotReply::Late, 3), (BotReply::Failed, 2)];
        let none = RelayReport { count: 5, late: 3, failed: 2, p50_ms: None, p99_ms: None };
        assert_eq!(RelayReport::of(ends.into_iter()), Some(none.clone()));
        let some = RelayReport { count: 6, p50_ms: Some(50), p99_ms: Some(50), ..none };
        assert_eq!(RelayReport::of(ends.into_iter().chain([(answered(21), 1)])), Some(some));
    }
}
