//! Users in one piece of memory.

use super::sorted_page::User;
use crate::Damaged;

/// Openids and numbers, in any order.
#[derive(Debug, Default)]
pub struct UserList {
    text: Vec<u8>,
    /// Where an openid begins and ends in `text`, and its number.
    users: Vec<(u32, u32, u32)>,
}

impl UserList {
    /// Adds a user. Lists are made of pages, or of users that came last: both have less than 4 GiB of openids.
    pub fn push(&mut self, (openid, number): User<'_>) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(openid);
        self.users.push((start, self.text.len() as u32, number));
    }

    /// Sorts by openid.
    pub fn sort(&mut self) {
        let text = &self.text;
        self.users.sort_unstable_by(|one, other| openid(text, one).cmp(openid(text, other)));
    }

    /// The users from this place on.
    pub fn from(&self, place: usize) -> impl Iterator<Item = User<'_>> {
        self.users[place..].iter().map(|user| (openid(&self.text, user), user.2))
    }
}

fn openid<'a>(text: &'a [u8], (start, end, _): &(u32, u32, u32)) -> &'a [u8] {
    &text[*start as usize..*end as usize]
}

/// Two sorted lists as one. A user of both must have one number.
pub fn both<'a>(
    one: impl Iterator<Item = User<'a>>,
    other: impl Iterator<Item = User<'a>>,
) -> Result<Vec<User<'a>>, Damaged> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    let mut all: Vec<User<'a>> = Vec::new();
    loop {
        let next = match (one.peek(), other.peek()) {
            (None, None) => return Ok(all),
            (Some(user), Some(new)) if user.0 <= new.0 => one.next(),
            (Some(_), None) => one.next(),
            (_, Some(_)) => other.next(),
        };
        match all.last().zip(next) {
            // Merged already, before a kill.
            Some((last, user)) if *last == user => {}
            Some((last, user)) if last.0 >= user.0 => return Err(Damaged("a user twice, or out of order")),
            _ => all.extend(next),
        }
    }
}
