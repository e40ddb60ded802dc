//! What must never happen ends in an error or a panic, never in a figure that is silently wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use counting::{
    Account, Admitted, Cold, ColdError, Content, Counters, Entry, Kind, Message, MessageEntry, PageKey,
    Piece, Senders, UNNAMED, day_of, varint::Reader,
};

#[derive(Default)]
struct Pages(RefCell<HashMap<PageKey, Vec<u8>>>);

impl Cold for Pages {
    fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, ColdError> {
        Ok(self.0.borrow().get(&key).cloned())
    }

    fn sorted_users(&self, _: &[u8]) -> Result<Option<Vec<u8>>, ColdError> {
        Ok(None)
    }
}

const START_S: i64 = 1_417_363_200;

fn message(user: u64, msg_id: u64) -> Message {
    let content = Content::Message { kind: Kind::Text, msg_id };
    Message { user: format!("o{user}").into(), create_time: START_S, content }
}

fn admit(account: &mut Account, pages: &Pages, number: u64) -> Admitted {
    account.admit(&message(number, number), 0, pages).unwrap().unwrap()
}

fn panics(call: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

/// An account with `users` users of one message each, saved.
fn saved(users: u64) -> Pages {
    let (mut account, pages) = (Account::default(), Pages::default());
    for number in 0..users {
        let admitted = admit(&mut account, &pages, number);
        account.apply(&admitted);
    }
    pages.0.borrow_mut().extend(account.snapshot().pages);
    pages
}

#[test]
fn only_what_was_admitted_is_counted_in_its_order() {
    let (mut account, pages) = (Account::default(), Pages::default());
    let first = admit(&mut account, &pages, 1);
    let second = admit(&mut account, &pages, 2);
    assert!(panics(|| account.apply(&second)), "the older one first");
    account.apply(&first);
    assert!(panics(|| account.apply(&first)), "twice");
    account.apply(&second);
    assert!(panics(|| Account::default().apply(&first)), "without its pages");
}

#[test]
fn only_what_was_admitted_last_and_is_not_durable_is_taken_back() {
    let (mut account, pages) = (Account::default(), Pages::default());
    let first = admit(&mut account, &pages, 1);
    let second = admit(&mut account, &pages, 2);
    assert!(panics(|| account.revert(&first)), "the newer one first");
    account.revert(&second);
    account.apply(&first);
    assert!(panics(|| account.revert(&first)), "it is durable");
    assert!(panics(|| Account::default().revert(&first)), "without its page");
}

#[test]
fn a_message_of_a_user_without_a_number_is_damage() {
    let entry = Entry::Message(MessageEntry::new(0, 5, 1, Kind::Text));
    let replayed = Account::default().replay(day_of(START_S), entry, &Pages::default());
    assert!(matches!(replayed, Err(ColdError::Damaged(PageKey::DayMessages(_), _))), "{replayed:?}");
    let pages = saved(3);
    pages.0.borrow_mut().remove(&PageKey::Users(0));
    let admitted = Account::default().admit(&message(9, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::DayMessages(_), _))), "{admitted:?}");
}

#[test]
fn pages_of_users_that_do_not_follow_are_damage() {
    let pages = saved(2);
    let page = pages.page(PageKey::Users(0)).unwrap().unwrap();
    pages.0.borrow_mut().insert(PageKey::Users(1), page.clone());
    let admitted = Account::default().admit(&message(9, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::Users(1), _))), "{admitted:?}");
    // Behind the number of the first one.
    let twice = [&page[..], &page[2..]].concat();
    pages.0.borrow_mut().insert(PageKey::Users(0), twice);
    let admitted = Account::default().admit(&message(9, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::Users(0), _))), "{admitted:?}");
}

#[test]
fn a_moment_outside_the_calendar_is_refused_and_not_taken_for_a_repeat() {
    let (mut account, pages) = (Account::default(), Pages::default());
    for create_time in [i64::MAX, i64::MIN, i64::MAX - 86_400] {
        let admitted = account.admit(&Message { create_time, ..message(1, 1) }, 0, &pages);
        assert_eq!(admitted, Err(ColdError::OutsideCalendar(create_time)));
    }
}

#[test]
fn figures_with_events_of_all_names_are_read_as_they_were_written() {
    let mut senders = Senders::default();
    (0..=UNNAMED).for_each(|name| senders.record(0, Kind::Event, Some(name)));
    let mut bytes = Vec::new();
    senders.counters().encode(&mut bytes);
    let read = Counters::decode(&mut Reader::new(&bytes));
    assert_eq!(read.as_ref(), Ok(&senders.counters()));
}

#[test]
fn pages_that_were_lost_are_damage_and_not_an_empty_day() {
    let day = day_of(START_S);
    let month = day.first_of_month();
    let lost = |key| {
        let pages = saved(3);
        assert!(pages.0.borrow_mut().remove(&key).is_some(), "{key:?} was saved");
        pages
    };
    for (key, piece) in
        [(PageKey::DaySenders(day), Piece::Day(day)), (PageKey::MonthSenders(month), Piece::Month(month))]
    {
        let added = piece.add_cold(&lost(key), &mut Senders::default());
        assert!(matches!(added, Err(ColdError::Damaged(found, _)) if found == key), "{added:?}");
    }
    let new_users = Account::default().new_users(day, day, &lost(PageKey::NewUsers));
    assert!(matches!(new_users, Err(ColdError::Damaged(PageKey::NewUsers, _))), "{new_users:?}");
    for key in [PageKey::FirstDays(0), PageKey::NewUsers] {
        let admitted = Account::default().admit(&message(1, 9), 0, &lost(key));
        assert!(matches!(admitted, Err(ColdError::Damaged(found, _)) if found == key), "{admitted:?}");
    }
}

#[test]
fn a_sorted_page_of_users_that_was_lost_is_damage_and_not_a_new_user() {
    let pages = saved(3);
    let mut merged = vec![3];
    pages.0.borrow_mut().entry(PageKey::MergedUsers).or_default().append(&mut merged);
    let admitted = Account::default().admit(&message(1, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::SortedUsers, _))), "{admitted:?}");
}
