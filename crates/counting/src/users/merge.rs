//! Merges recent users into the sorted pages, one range of openids at a time. Each step is saved alone, so that the
//! file needs little room for replaced pages. Until the last step all of these users stay recent users. After a kill
//! they are found there and merged again.

use super::{
    USERS_A_PAGE,
    sorted_page::{self, SortedPage, User},
    user_list::{UserList, both},
};
use crate::{
    Damaged,
    page::{PageError, PageKey, PageSource},
    varint,
};

/// Pages that one step replaces. Few in tests, so that tests have many steps.
const PAGES_A_STEP: usize = if cfg!(test) { 3 } else { 512 };

/// A merge in progress.
#[derive(Debug)]
pub struct Merge {
    /// Number of the first user that was in no sorted page before.
    merged: u32,
    /// The users to merge. The first step sorts them by openid.
    users: UserList,
    /// Number of `users` that are already in sorted pages.
    done: usize,
    /// First openid of the next step. None after the last step.
    next: Option<Box<[u8]>>,
    until: u32,
}

/// The changes of one step. They must be saved in one transaction.
#[derive(Debug, Default)]
pub struct MergeStep {
    /// Sorted pages to remove, by their first openid.
    pub removed: Vec<Box<[u8]>>,
    /// Sorted pages to write after the removal: first openid and value.
    pub sorted: Vec<(Box<[u8]>, Vec<u8>)>,
    /// Other pages to write. Only the last step has any.
    pub pages: Vec<(PageKey, Vec<u8>)>,
    /// Keys of pages of recent users to remove. Only the last step has any.
    pub removed_pages: Vec<PageKey>,
}

impl Merge {
    pub(super) fn new(merged: u32, users: UserList, until: u32) -> Merge {
        Merge { merged, users, done: 0, next: Some(Box::default()), until }
    }

    /// All users below this number are in sorted pages once the last step is durable.
    pub fn until(&self) -> u32 {
        self.until
    }

    /// The next step. None after the last one.
    ///
    /// # Errors
    ///
    /// If a sorted page cannot be read or is damaged.
    pub fn step(&mut self, source: &dyn PageSource) -> Result<Option<MergeStep>, PageError> {
        let Some(first) = self.next.take() else { return Ok(None) };
        if first.is_empty() {
            // Here and not in `new`, because a caller of `new` keeps the account locked.
            self.users.sort();
        }
        let mut step = MergeStep::default();
        let mut former = UserList::default();
        let mut until = Some(first.clone());
        while let Some(at) = until.take_if(|_| step.removed.len() < PAGES_A_STEP) {
            let page = match source.sorted_users(&at)? {
                Some(bytes) => SortedPage::read(bytes),
                None if self.merged == 0 && at.is_empty() => {
                    SortedPage::read(sorted_page::write(&[], None, &[]))
                }
                None => Err(Damaged("no page is about an openid")),
            };
            let page = page.map_err(|damage| PageError::Damaged(PageKey::SortedUsers, damage))?;
            if *page.first() != *at {
                return Err(PageError::Damaged(PageKey::SortedUsers, Damaged("a page of users is missing")));
            }
            page.each(|user| former.push(user));
            step.removed.push(page.first().into());
            until = page.until().map(Into::into);
        }
        let is_before = |user: &User<'_>| until.as_ref().is_none_or(|until| *user.0 < **until);
        let new = self.users.from(self.done).take_while(is_before);
        let users =
            both(former.from(0), new).map_err(|damage| PageError::Damaged(PageKey::SortedUsers, damage))?;
        step.sorted = pages(&first, until.as_deref(), &users);
        self.done += self.users.from(self.done).take_while(is_before).count();
        self.next = until;
        if self.next.is_none() {
            let mut merged = Vec::new();
            varint::put(&mut merged, u64::from(self.until));
            step.pages.push((PageKey::MergedUsers, merged));
            let gone = self.merged / USERS_A_PAGE..self.until / USERS_A_PAGE;
            step.removed_pages.extend(gone.map(PageKey::Users));
        }
        Ok(Some(step))
    }
}

/// Creates pages for these users. They cover the range from `first` up to but not including `until`.
fn pages(first: &[u8], until: Option<&[u8]>, users: &[User<'_>]) -> Vec<(Box<[u8]>, Vec<u8>)> {
    let mut pages = Vec::new();
    let (mut first, mut rest) = (first, users);
    loop {
        let (here, behind) = rest.split_at(sorted_page::fitting(first, rest.iter().copied()));
        let next = behind.first().map(|user| user.0);
        pages.push((first.into(), sorted_page::write(first, next.or(until), here)));
        match next {
            Some(next) => (first, rest) = (next, behind),
            None => return pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap, ops::Bound};

    use super::*;
    use crate::users::Users;

    #[derive(Default)]
    struct Disk {
        pages: RefCell<BTreeMap<PageKey, Vec<u8>>>,
        sorted: RefCell<BTreeMap<Box<[u8]>, Vec<u8>>>,
    }

    impl PageSource for Disk {
        fn page(&self, key: PageKey) -> Result<Option<Vec<u8>>, PageError> {
            Ok(self.pages.borrow().get(&key).cloned())
        }

        fn sorted_users(&self, openid: &[u8]) -> Result<Option<Vec<u8>>, PageError> {
            let below = (Bound::Unbounded, Bound::Included(openid));
            Ok(self.sorted.borrow().range::<[u8], _>(below).next_back().map(|(_, page)| page.clone()))
        }
    }

    impl Disk {
        fn save(&self, users: &Users, from: u32) {
            let pages = from / USERS_A_PAGE..=users.len() / USERS_A_PAGE;
            let pages = pages.map(|page| (PageKey::Users(page), users.encode_page(page, users.len())));
            self.pages.borrow_mut().extend(pages);
        }

        /// At most so many steps; says how many there were.
        fn merge(&self, merge: &mut Merge, steps_max: usize) -> usize {
            let mut steps = 0;
            while steps < steps_max
                && let Some(step) = merge.step(self).unwrap()
            {
                let mut sorted = self.sorted.borrow_mut();
                step.removed.iter().for_each(|first| drop(sorted.remove(first)));
                sorted.extend(step.sorted);
                let mut pages = self.pages.borrow_mut();
                pages.extend(step.pages);
                step.removed_pages.iter().for_each(|key| drop(pages.remove(key)));
                steps += 1;
            }
            steps
        }
    }

    fn openid(number: u32) -> String {
        match number % 40 {
            0 => format!("{number} is no openid"),
            _ => format!("oAbC{:024x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c_c060),
        }
    }

    #[test]
    fn users_keep_their_numbers_through_merges_of_many_steps_and_kills_in_between() {
        let disk = Disk::default();
        let mut users = Users::load(Some(30_000), &disk).unwrap();
        let mut steps = Vec::new();
        for round in 0..6 {
            let from = users.len();
            (from..from + 7_000).for_each(|number| assert_eq!(users.add(&openid(number)), Some(number)));
            disk.save(&users, from);
            let mut merge = users.merge(users.len(), 1).unwrap();
            let killed_after = if round % 2 == 0 { usize::MAX } else { 2 };
            steps.push(disk.merge(&mut merge, killed_after));
            if round % 2 == 0 {
                users.merged(merge.until());
            } else {
                users = Users::load(Some(30_000), &disk).unwrap();
            }
            assert_eq!(users.len(), from + 7_000);
            for number in (0..users.len()).step_by(7) {
                assert_eq!(users.find(&openid(number), number.into(), &disk), Ok(Some(number)));
            }
            assert_eq!(users.find("oAbCnobody", 0, &disk), Ok(None));
        }
        assert!(steps.iter().any(|steps| *steps > 4), "{steps:?}");
        // All of them in memory would be more than twice as much.
        assert!(users.bytes() < 42_000 * 20, "{} bytes", users.bytes());
    }
}
