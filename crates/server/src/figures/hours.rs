//! Messages by the hour of a day, of one account or of several together.

use std::sync::Arc;

use counting::Period;
use datacube::{Day, Interface};
use storage::store::{Store, StoreError};

use crate::accounts::registry::ServedAccount;

/// Hours of a day.
const HOURS: usize = 24;

/// Messages of the five counted types in each hour of a day, added up over accounts. Blocks for the disk.
///
/// # Errors
///
/// If figures cannot be read.
pub fn messages_by_hour<'a>(
    store: &Store,
    accounts: impl IntoIterator<Item = &'a Arc<ServedAccount>>,
    day: Day,
) -> Result<[u64; HOURS], StoreError> {
    let Some(interface) = Interface::by_short_name("hour") else {
        unreachable!("one of the seven interfaces has hours")
    };
    let mut sums = [0_u64; HOURS];
    for account in accounts {
        for row in store.rows(account.number, interface, &hours(day))? {
            let hour = usize::from(row.ref_hour.unwrap_or_default() / 100);
            if let Some(sum) = sums.get_mut(hour) {
                *sum += row.msg_count.unwrap_or_default();
            }
        }
    }
    Ok(sums)
}

/// In which hours of a day messages of any of these accounts were counted. `now_s` is in Unix seconds.
pub fn counted_hours(store: &Store, accounts: &[Arc<ServedAccount>], day: Day, now_s: i64) -> [bool; HOURS] {
    hours(day).map(|hour| {
        let (from_s, to_s) = (hour.start_s(), hour.end_s());
        let is_counted = |account: &Arc<ServedAccount>| {
            store.coverage(account.number, |coverage| coverage.touches(from_s, to_s, now_s))
        };
        from_s < now_s && accounts.iter().any(is_counted)
    })
}

fn hours(day: Day) -> [Period; HOURS] {
    std::array::from_fn(|hour| Period::hour(day, u8::try_from(hour).unwrap_or_default()))
}
