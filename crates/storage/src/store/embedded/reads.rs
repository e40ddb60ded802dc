//! Queries of the embedded store: figures from counters, unions for ranges of days, quarantined messages, facts.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use counting::{Counters, Coverage, Kind, Period, Piece, Senders, rollup::KindFigures};
use datacube::{Day, Interface, Row};

use super::{Cell, Embedded};
use crate::store::{AccountNumber, NewUsers, QuarantinedMessage, Sizes, Slice, StoreError, statistics::Span};
use system::sync::lock;

impl Embedded {
    /// See [`crate::store::Store::rows`].
    pub fn rows(
        &self,
        account: AccountNumber,
        interface: &Interface,
        periods: &[Period],
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let cell = self.cell(account)?;
        let source = self.pages.of_account(cell.number);
        let mut figures = lock(&cell.figures);
        for period in periods {
            if let Some(counters) =
                figures.figures(*period, &source).map_err(|error| self.pages.read_error(error))?
            {
                counters.rows(*period, interface.figures, &mut rows);
            }
        }
        Ok(rows)
    }

    /// See [`crate::store::Store::slice`].
    pub fn slice(&self, account: AccountNumber, span: Span) -> Result<Slice, StoreError> {
        let cell = self.cell(account)?;
        let source = self.pages.of_account(cell.number);
        match span {
            Span::Period(period) => {
                let mut figures = lock(&cell.figures);
                figures
                    .figures(period, &source)
                    .map_err(|error| self.pages.read_error(error))?
                    .map_or_else(|| Ok(Slice::default()), |counters| self.slice_of(counters))
            }
            Span::Days(from, to) => self.slice_of(&self.counters_of_days(&cell, from, to)?),
        }
    }

    /// Unites days and whole months. The account is locked for one of them at a time.
    pub(super) fn senders(&self, cell: &Cell, from: Day, to: Day) -> Result<Senders, StoreError> {
        let source = self.pages.of_account(cell.number);
        let mut senders = Senders::default();
        for piece in Piece::all(from, to) {
            let in_memory = lock(&cell.figures).add_in_memory(piece, &mut senders);
            if !in_memory {
                piece.add_stored(&source, &mut senders).map_err(|error| self.pages.read_error(error))?;
            }
        }
        Ok(senders)
    }

    /// See [`crate::store::Store::new_users`].
    pub fn new_users(&self, account: AccountNumber, from: Day, to: Day) -> Result<NewUsers, StoreError> {
        let cell = self.cell(account)?;
        let source = self.pages.of_account(cell.number);
        let mut figures = lock(&cell.figures);
        let users = figures.new_users(from, to, &source);
        let first_day = figures.first_day(&source);
        drop(figures);
        let (users, first_day) =
            users.and_then(|users| Ok((users, first_day?))).map_err(|error| self.pages.read_error(error))?;
        let since = lock(&cell.coverage).since();
        Ok(NewUsers::new(users, from, first_day, since))
    }

    fn slice_of(&self, counters: &Counters) -> Result<Slice, StoreError> {
        let events = lock(&self.facts).event_names.of_events(counters.events());
        let events = events.map_err(|damage| self.pages.damaged(damage.0))?;
        let figures_of = |kind| KindFigures {
            users: counters.users(kind),
            messages: counters.messages(kind),
            events: if kind == Kind::Event { events.clone() } else { BTreeMap::new() },
        };
        let by_kind = Kind::ALL.into_iter().map(|kind| (kind, figures_of(kind)));
        Ok(Slice {
            by_kind: by_kind.filter(|(_, figures)| figures.messages > 0).collect(),
            users_counted: counters.users_counted(),
            messages_counted: counters.messages_counted(),
            users_of_videos: counters.users_of_videos(),
        })
    }

    /// See [`crate::store::Store::coverage`].
    pub fn coverage<T>(&self, account: AccountNumber, look: impl FnOnce(&Coverage) -> T) -> T {
        match self.cell(account) {
            Ok(cell) => look(&lock(&cell.coverage)),
            Err(error) => unreachable!("{error}"),
        }
    }

    /// See [`crate::store::Store::quarantined_messages`].
    pub fn quarantined_messages(
        &self,
        account: AccountNumber,
        limit: usize,
    ) -> Result<Vec<QuarantinedMessage>, StoreError> {
        let prefix = self.cell(account)?.number.to_be_bytes();
        let mut found = self.pages.quarantined_messages(&prefix, limit)?;
        let pending: Vec<_> = lock(&self.facts)
            .quarantined
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        found.extend(pending);
        found.sort();
        found.dedup();
        found.reverse();
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            serde_json::from_slice(value).map_err(|error| {
                self.pages
                    .damaged(&format!("the quarantined message under {key:02x?} cannot be read: {error}"))
            })
        };
        found.iter().take(limit).map(read).collect()
    }

    /// See [`crate::store::Store::facts`].
    pub fn facts(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        lock(&self.facts).facts(prefix)
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
