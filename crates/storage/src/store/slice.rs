//! The figures of one stretch of time, by kind of message and by official type.

use std::collections::BTreeMap;

use counting::{COUNTED_TYPES, Kind, rollup::KindFigures};

/// The figures of one stretch of time, for the statistics API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Figures by kind of message. Kinds without messages are absent.
    pub by_kind: BTreeMap<Kind, KindFigures>,
    /// Different users of all counted types together.
    pub users_counted: u64,
    /// Messages of all counted types together.
    pub messages_counted: u64,
    /// Different users of videos and short videos together.
    pub users_of_videos: u64,
}

/// The figures of one type as WeChat counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficialFigures {
    /// Its number in the seven interfaces.
    pub msg_type: u8,
    /// The kind that it is named by. Videos include short videos.
    pub kind: Kind,
    /// Number of different users.
    pub users: u64,
    /// Number of messages.
    pub messages: u64,
}

impl Slice {
    /// The figures by type as the seven interfaces count them, in the order of their numbers. Types without messages
    /// are absent.
    pub fn by_official_type(&self) -> impl Iterator<Item = OfficialFigures> {
        COUNTED_TYPES.into_iter().filter_map(|msg_type| {
            let of_type = self.by_kind.iter().filter(|(kind, _)| kind.counted_type() == Some(msg_type));
            let messages: u64 = of_type.clone().map(|(_, figures)| figures.messages).sum();
            let users = match msg_type {
                4 => self.users_of_videos,
                _ => of_type.map(|(_, figures)| figures.users).sum(),
            };
            let kind = Kind::ALL.into_iter().find(|kind| kind.counted_type() == Some(msg_type))?;
            (messages > 0).then_some(OfficialFigures { msg_type, kind, users, messages })
        })
    }
}
