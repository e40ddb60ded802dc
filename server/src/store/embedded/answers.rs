//! What the embedded store answers: figures from ready counters, any range of days counted anew, small things.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use msgcube_client::{Day, Interface, Row};
use msgcube_cube::{Counters, Coverage, Kind, Period, Tally, rollup::KindFigures, tally_cold};

use super::{Cell, Embedded};
use crate::store::{AccountNumber, Aside, Sizes, Slice, StoreError, lock, statistics::Span};

impl Embedded {
    /// See [`crate::store::Store::rows`].
    pub fn rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let Some(cell) = self.cell(account) else { return Ok(rows) };
        let cold = self.pages.of_account(cell.number);
        let mut figures = lock(&cell.figures);
        for period in periods {
            if let Some(counters) = figures.figures(*period, &cold).map_err(|error| self.pages.cold(error))? {
                counters.rows(*period, interface.figures, &mut rows);
            }
        }
        Ok(rows)
    }

    /// See [`crate::store::Store::slice`].
    pub fn slice(&self, account: AccountNumber, span: Span) -> Result<Slice, StoreError> {
        let Some(cell) = self.cell(account) else { return Ok(Slice::default()) };
        let cold = self.pages.of_account(cell.number);
        match span {
            Span::Period(period) => {
                let mut figures = lock(&cell.figures);
                Ok(figures
                    .figures(period, &cold)
                    .map_err(|error| self.pages.cold(error))?
                    .map_or_else(Slice::default, |counters| self.slice_of(counters)))
            }
            Span::Days(from, to) => Ok(self.slice_of(self.tally(&cell, from, to)?.counters())),
        }
    }

    /// Counts days anew, locking the account for one day at a time.
    fn tally(&self, cell: &Cell, from: Day, to: Day) -> Result<Tally, StoreError> {
        let cold = self.pages.of_account(cell.number);
        let mut tally = Tally::new(lock(&cell.figures).users() as usize);
        for day in (0..=to.days_since(from)).map(|n| from.plus_days(n)) {
            let in_memory = lock(&cell.figures).tally_in_memory(day, &mut tally);
            if !in_memory {
                tally_cold(day, &cold, &mut tally).map_err(|error| self.pages.cold(error))?;
            }
        }
        Ok(tally)
    }

    fn slice_of(&self, counters: &Counters) -> Slice {
        let figures_of = |kind| KindFigures {
            users: counters.users(kind),
            messages: counters.messages(kind),
            events: if kind == Kind::Event {
                lock(&self.small).names.of_events(counters.events())
            } else {
                BTreeMap::new()
            },
        };
        let by_kind = Kind::ALL.into_iter().map(|kind| (kind, figures_of(kind)));
        Slice {
            by_kind: by_kind.filter(|(_, figures)| figures.messages > 0).collect(),
            users_counted: counters.users_counted(),
            messages_counted: counters.messages_counted(),
        }
    }

    /// See [`crate::store::Store::coverage`].
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        match self.cell(account) {
            Some(cell) => look(&lock(&cell.coverage)),
            None => look(&Coverage::default()),
        }
    }

    /// See [`crate::store::Store::asides`].
    pub fn asides(&self, account: AccountNumber, limit: usize) -> Result<Vec<Aside>, StoreError> {
        let prefix = account.0.to_be_bytes();
        let mut found = self.pages.asides(&prefix, limit)?;
        let pending: Vec<_> = lock(&self.small)
            .asides
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        found.extend(pending);
        found.sort();
        found.dedup();
        found.reverse();
        Ok(found.iter().take(limit).filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
    }

    /// See [`crate::store::Store::facts`].
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        lock(&self.small).facts(prefix)
    }

    /// See [`crate::store::Store::sizes`].
    pub fn sizes(&self) -> Sizes {
        Sizes {
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            page_bytes: self.pages.bytes(),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
        }
    }
}
