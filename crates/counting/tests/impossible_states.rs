//! Impossible states end in an error or a panic. They never give a wrong figure.

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

/// The saved pages of an account with `users` users and one message of each.
fn saved_pages(users: u64) -> Pages {
    let (mut account, pages) = (Account::default(), Pages::default());
    for number in 0..users {
        let admitted = admit(&mut account, &pages, number);
        account.apply(&admitted);
    }
    pages.0.borrow_mut().extend(account.snapshot().pages);
    pages
}

#[test]
fn only_admitted_messages_are_applied_and_in_their_order() {
    let (mut account, pages) = (Account::default(), Pages::default());
    let first = admit(&mut account, &pages, 1);
    let second = admit(&mut account, &pages, 2);
    assert!(panics(|| account.apply(&second)), "the older one must be applied first");
    account.apply(&first);
    assert!(panics(|| account.apply(&first)), "applied twice");
    account.apply(&second);
    assert!(panics(|| Account::default().apply(&first)), "another account that does not have the pages");
}

#[test]
fn only_the_last_admitted_message_that_is_not_yet_applied_can_be_reverted() {
    let (mut account, pages) = (Account::default(), Pages::default());
    let first = admit(&mut account, &pages, 1);
    let second = admit(&mut account, &pages, 2);
    assert!(panics(|| account.revert(&first)), "the newer one must be reverted first");
    account.revert(&second);
    account.apply(&first);
    assert!(panics(|| account.revert(&first)), "it was already applied");
    assert!(panics(|| Account::default().revert(&first)), "another account that does not have the page");
}

#[test]
fn a_message_of_an_unknown_user_number_is_damage() {
    let entry = Entry::Message(MessageEntry::new(0, 5, 1, Kind::Text));
    let replayed = Account::default().replay(day_of(START_S), entry, &Pages::default());
    assert!(matches!(replayed, Err(ColdError::Damaged(PageKey::DayMessages(_), _))), "{replayed:?}");
    let pages = saved_pages(3);
    pages.0.borrow_mut().remove(&PageKey::Users(0));
    let admitted = Account::default().admit(&message(9, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::DayMessages(_), _))), "{admitted:?}");
}

#[test]
fn user_pages_out_of_sequence_are_damage() {
    let pages = saved_pages(2);
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
fn a_time_outside_the_calendar_is_an_error_and_not_a_repeat() {
    let (mut account, pages) = (Account::default(), Pages::default());
    for create_time in [i64::MAX, i64::MIN, i64::MAX - 86_400] {
        let admitted = account.admit(&Message { create_time, ..message(1, 1) }, 0, &pages);
        assert_eq!(admitted, Err(ColdError::OutsideCalendar(create_time)));
    }
}

#[test]
fn counters_with_the_maximum_of_event_names_decode_to_the_same() {
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
        let pages = saved_pages(3);
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
    let pages = saved_pages(3);
    let mut merged = vec![3];
    pages.0.borrow_mut().entry(PageKey::MergedUsers).or_default().append(&mut merged);
    let admitted = Account::default().admit(&message(1, 9), 0, &pages);
    assert!(matches!(admitted, Err(ColdError::Damaged(PageKey::SortedUsers, _))), "{admitted:?}");
}
