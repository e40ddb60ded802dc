//! The users who write to one account: followers, who come back, and strangers, who write once.

use counting::{Content, Kind, Message};

use super::{account::Audience, openid::Openids, random::Random};

/// Positions of [`Audience::kinds`].
const KINDS: [Kind; 9] = [
    Kind::Text,
    Kind::Image,
    Kind::Voice,
    Kind::Video,
    Kind::ShortVideo,
    Kind::Link,
    Kind::Location,
    Kind::File,
    Kind::Event,
];

/// Events and their keys. `subscribe` is missing, because `join` makes it.
const EVENTS: [(&str, &str); 6] = [
    ("CLICK", "menu_today"),
    ("CLICK", "menu_contact"),
    ("CLICK", "menu_orders"),
    ("VIEW", "https://example.com/menu"),
    ("SCAN", "poster"),
    ("unsubscribe", ""),
];
const EVENT_WEIGHTS: [u64; 6] = [300, 160, 120, 220, 110, 90];

/// Per mille of conversations from strangers and from new followers, on an ordinary and on a viral day.
const STRANGERS: [u64; 2] = [60, 480];
const NEWCOMERS: [u64; 2] = [70, 210];
/// Chance of one more message in the same conversation, in per mille.
const GOES_ON: u64 = 560;
const MESSAGES_MAX: usize = 40;

/// The users of one account.
#[derive(Clone, Debug)]
pub struct Crowd {
    openids: Openids,
    /// Number of followers so far. A follower has an even user number, a stranger an odd one.
    followers: u64,
    strangers: u64,
}

impl Crowd {
    pub fn new(seed: u64, followers: u64) -> Crowd {
        Crowd { openids: Openids::new(seed), followers: followers.max(1), strangers: 0 }
    }

    /// Adds what one user sends within a few minutes from `start_s`, in Unix seconds.
    pub fn conversation(
        &mut self,
        random: &mut Random,
        audience: &Audience,
        start_s: i64,
        is_viral: bool,
        messages: &mut Vec<Message>,
    ) {
        let day = usize::from(is_viral);
        let chance = random.below(1000);
        let (number, joins) = if chance < STRANGERS[day] {
            (self.stranger(), is_viral)
        } else if chance < STRANGERS[day] + NEWCOMERS[day] {
            (self.newcomer(), true)
        } else {
            (self.follower(random), false)
        };
        let user = self.openids.of(number);
        let mut moment_s = start_s;
        if joins {
            messages.push(join(random, &user, moment_s));
            moment_s += between(random, 3, 40);
        }
        for _ in 0..MESSAGES_MAX {
            messages.push(message_or_event(random, audience, &user, moment_s));
            if !random.per_mille(GOES_ON) {
                break;
            }
            moment_s += between(random, 4, 120);
        }
    }

    fn stranger(&mut self) -> u64 {
        self.strangers += 1;
        self.strangers * 2 - 1
    }

    fn newcomer(&mut self) -> u64 {
        self.followers += 1;
        (self.followers - 1) * 2
    }

    /// Chooses a follower. The earliest followers write most: three nested draws give a few heavy users and a long tail.
    fn follower(&self, random: &mut Random) -> u64 {
        let outer = random.below(self.followers) + 1;
        let middle = random.below(outer) + 1;
        random.below(middle) * 2
    }
}

fn between(random: &mut Random, from: u64, to: u64) -> i64 {
    i64::try_from(from + random.below(to - from + 1)).unwrap_or(0)
}

fn join(random: &mut Random, user: &str, moment_s: i64) -> Message {
    let key = if random.per_mille(300) { "qrscene_poster" } else { "" };
    event(user, moment_s, "subscribe", key)
}

fn message_or_event(random: &mut Random, audience: &Audience, user: &str, moment_s: i64) -> Message {
    match KINDS[random.weighted(&audience.kinds)] {
        Kind::Event => {
            let (name, key) = EVENTS[random.weighted(&EVENT_WEIGHTS)];
            event(user, moment_s, name, key)
        }
        kind => {
            let content = Content::Message { kind, msg_id: msg_id(random, moment_s) };
            Message { user: user.into(), create_time: moment_s, content }
        }
    }
}

fn event(user: &str, moment_s: i64, name: &str, key: &str) -> Message {
    let content = Content::Event { name: name.into(), key: key.into(), msg_id: None };
    Message { user: user.into(), create_time: moment_s, content }
}

/// A MsgId whose upper half is the CreateTime. Source: the sample of Tencent's encryption kit (CreateTime 1409735668,
/// MsgId 6054768590064713728).
fn msg_id(random: &mut Random, moment_s: i64) -> u64 {
    (u64::try_from(moment_s).unwrap_or(0) << 32) | (random.next() >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::account::AUDIENCES;

    #[test]
    fn the_upper_half_of_a_msg_id_is_its_second() {
        let id = msg_id(&mut Random::new(1), 1_409_735_668);
        assert_eq!(id >> 32, 6_054_768_590_064_713_728 >> 32);
    }

    #[test]
    fn some_write_often_and_many_once() {
        let (mut crowd, mut random) = (Crowd::new(1, 100), Random::new(1));
        let mut conversations = std::collections::HashMap::<Box<str>, u32>::new();
        for _ in 0..5_000 {
            let mut messages = Vec::new();
            crowd.conversation(&mut random, &AUDIENCES[0], 1_700_000_000, false, &mut messages);
            *conversations.entry(messages[0].user.clone()).or_default() += 1;
        }
        assert!(conversations.values().any(|count| *count > 50));
        assert!(conversations.values().filter(|count| **count == 1).count() > 200);
    }
}
