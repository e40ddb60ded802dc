//! Counts of the last 24 hours, in memory of a fixed size.

/// Hours that are counted: the current one and the 23 before it.
pub const HOURS: usize = 24;
const HOUR_S: i64 = 3600;
/// Different things that are counted. Each takes about 120 bytes.
const KEYS_MAX: usize = 32;

/// How often each of a few things happened in each of the last hours. Counting allocates only when something happens
/// for the first time.
#[derive(Debug)]
pub struct HourRing<K> {
    /// Which hour each place counts, in hours since 1970.
    hours: [u32; HOURS],
    counts: Vec<(K, [u32; HOURS])>,
}

impl<K> Default for HourRing<K> {
    fn default() -> HourRing<K> {
        HourRing { hours: [0; HOURS], counts: Vec::new() }
    }
}

impl<K: Copy + PartialEq> HourRing<K> {
    /// Counts one more at this time, in Unix seconds. The keys must be values that the program has, at most 32.
    pub fn add(&mut self, key: K, now_s: i64) {
        let hour = hour_of(now_s);
        let place = hour as usize % HOURS;
        if self.hours[place] != hour {
            // The place still counts an hour that is over, or one of a clock that was ahead.
            self.hours[place] = hour;
            self.counts.iter_mut().for_each(|(_, of_hours)| of_hours[place] = 0);
        }
        let known = self.counts.iter().position(|(known, _)| *known == key);
        let row = known.unwrap_or_else(|| {
            debug_assert!(self.counts.len() < KEYS_MAX, "too many different keys");
            self.counts.push((key, [0; HOURS]));
            self.counts.len() - 1
        });
        let count = &mut self.counts[row].1[place];
        *count = count.saturating_add(1);
    }

    /// What happened in the hour of this time (Unix seconds) or the 23 before, each with its count, never 0.
    pub fn totals(&self, now_s: i64) -> impl Iterator<Item = (K, u64)> {
        let newest = hour_of(now_s);
        let is_recent = self.hours.map(|hour| hour <= newest && ((newest - hour) as usize) < HOURS);
        let total = move |of_hours: &[u32; HOURS]| {
            let recent = of_hours.iter().zip(is_recent).filter(|(_, is_recent)| *is_recent);
            recent.map(|(count, _)| u64::from(*count)).sum::<u64>()
        };
        self.counts.iter().map(move |(key, of_hours)| (*key, total(of_hours))).filter(|(_, count)| *count > 0)
    }
}

fn hour_of(now_s: i64) -> u32 {
    u32::try_from(now_s.div_euclid(HOUR_S)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of an hour.
    const START_S: i64 = 500_000 * HOUR_S;

    fn totals(ring: &HourRing<char>, now_s: i64) -> Vec<(char, u64)> {
        ring.totals(now_s).collect()
    }

    #[test]
    fn an_hour_counts_until_23_more_have_begun() {
        let mut ring = HourRing::default();
        ring.add('a', START_S);
        ring.add('a', START_S + HOUR_S - 1);
        ring.add('b', START_S + HOUR_S);
        assert_eq!(totals(&ring, START_S + HOUR_S), [('a', 2), ('b', 1)]);
        assert_eq!(totals(&ring, START_S + 24 * HOUR_S - 1), [('a', 2), ('b', 1)]);
        assert_eq!(totals(&ring, START_S + 24 * HOUR_S), [('b', 1)]);
        assert_eq!(totals(&ring, START_S + 25 * HOUR_S), []);
    }

    #[test]
    fn a_place_is_used_again_for_the_same_hour_of_the_next_day() {
        let mut ring = HourRing::default();
        for hour in 0..60 {
            ring.add('a', START_S + hour * HOUR_S);
            ring.add('b', START_S + hour * HOUR_S);
            ring.add('b', START_S + hour * HOUR_S + 1);
            let hours = u64::try_from(hour + 1).unwrap().min(24);
            assert_eq!(totals(&ring, START_S + hour * HOUR_S), [('a', hours), ('b', 2 * hours)], "{hour}");
        }
        // A whole day without anything, then one more.
        ring.add('b', START_S + 100 * HOUR_S);
        assert_eq!(totals(&ring, START_S + 100 * HOUR_S), [('b', 1)]);
        assert_eq!(ring.counts.len(), 2, "nothing is added for what was counted before");
    }

    #[test]
    fn a_clock_that_was_ahead_leaves_nothing_behind() {
        let mut ring = HourRing::default();
        let ahead_s = START_S + 24 * 400 * HOUR_S;
        ring.add('a', ahead_s);
        assert_eq!(totals(&ring, START_S), [], "that hour has not come yet");
        ring.add('a', START_S);
        assert_eq!(totals(&ring, START_S), [('a', 1)]);
        assert_eq!(totals(&ring, ahead_s), [], "the same place counts an hour of now");
    }
}
