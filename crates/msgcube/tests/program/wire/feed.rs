//! Reads messages, one a line: `USER TYPE TIME [ID] [xN[/S]]`. TYPE may be `event:NAME:KEY`. Without an ID, each message
//! gets a new one. `x5` means five messages with increasing IDs, `x5/3600` five messages an hour apart.

use std::collections::BTreeMap;

use msgcube::conformance::case::{Callback, CallbackMode};

use crate::wire::{sealing, settings::moment};

/// A message of a case.
#[derive(Clone, Debug)]
pub struct Message {
    user: String,
    kind: String,
    at_s: i64,
    id: u64,
}

/// The messages in these lines.
pub fn messages(lines: &[String]) -> Vec<Message> {
    let mut next_id = 1_000_000;
    lines.iter().flat_map(|line| parse(line, &mut next_id)).collect()
}

fn parse(line: &str, next_id: &mut u64) -> Vec<Message> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (user, kind, at_s) = (words[0].to_owned(), words[1].to_owned(), moment(words[2]));
    let repeated = words.last().unwrap().strip_prefix('x').unwrap_or("1");
    let (times, apart_s) = repeated.split_once('/').unwrap_or((repeated, "0"));
    let (times, apart_s): (u64, i64) = (times.parse().unwrap(), apart_s.parse().unwrap());
    let id = words.get(3).filter(|word| !word.starts_with('x')).map(|word| word.parse().unwrap());
    let first = id.unwrap_or(*next_id);
    *next_id += times;
    let message = |n: u64| {
        let at_s = at_s + apart_s * i64::try_from(n).unwrap();
        Message { user: user.clone(), kind: kind.clone(), at_s, id: first + n }
    };
    (0..times).map(message).collect()
}

impl Message {
    /// Name and key of an event.
    fn event(&self) -> Option<(&str, &str)> {
        let rest = self.kind.strip_prefix("event:")?;
        Some(rest.split_once(':').unwrap_or((rest, "")))
    }

    /// A line of the bulk interface.
    pub fn line(&self) -> String {
        let Message { user, kind, at_s, id } = self;
        let what = match self.event() {
            Some((name, key)) => format!(r#""MsgType":"event","Event":"{name}","EventKey":"{key}""#),
            None => format!(r#""MsgType":"{kind}","MsgId":{id}"#),
        };
        format!("{{\"FromUserName\":\"{user}\",\"CreateTime\":{at_s},{what}}}\n")
    }

    /// A callback to the first or the other account.
    pub fn callback(&self, other: bool) -> Callback {
        let (kind, id, fields) = match self.event() {
            Some((name, key)) => {
                let fields = [("Event", name), ("EventKey", key)];
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                ("event".to_owned(), None, BTreeMap::from(fields))
            }
            None => (self.kind.clone(), Some(self.id.to_string()), BTreeMap::new()),
        };
        Callback {
            mode: if other { CallbackMode::Plain } else { CallbackMode::Safe },
            other,
            user: self.user.clone(),
            kind,
            at: Some(self.at_s.to_string()),
            id,
            fields,
            ..sealing::usual()
        }
    }
}
