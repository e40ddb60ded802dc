//! Kinds of message, and which number WeChat's figures give them.

/// What `MsgType` says a callback is. The order is that of the own statistics and of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `text`
    Text,
    /// `image`
    Image,
    /// `voice`
    Voice,
    /// `video`
    Video,
    /// `shortvideo`
    ShortVideo,
    /// `link`
    Link,
    /// `location`
    Location,
    /// `file`, undocumented but real
    File,
    /// `event`: not a message, has no MsgId
    Event,
    /// Every kind not in this list.
    Other,
}

/// The numbers of `msg_type` that WeChat documents; 5 appears nowhere.
pub const COUNTED_TYPES: [u8; 5] = [1, 2, 3, 4, 6];

/// The numbers of `count_interval` that rows have: 1 to 5 messages a user, 6 to 10, more. WeChat's 0 is never sent.
pub const COUNT_INTERVALS: [u8; 3] = [1, 2, 3];

impl Kind {
    /// All kinds in order.
    pub const ALL: [Kind; 10] = [
        Kind::Text,
        Kind::Image,
        Kind::Voice,
        Kind::Video,
        Kind::ShortVideo,
        Kind::Link,
        Kind::Location,
        Kind::File,
        Kind::Event,
        Kind::Other,
    ];

    /// The kind a callback's `MsgType` names.
    pub fn of_msg_type(msg_type: &str) -> Kind {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == msg_type && *kind != Kind::Other)
            .unwrap_or(Kind::Other)
    }

    /// The name in callbacks and in the own statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Image => "image",
            Kind::Voice => "voice",
            Kind::Video => "video",
            Kind::ShortVideo => "shortvideo",
            Kind::Link => "link",
            Kind::Location => "location",
            Kind::File => "file",
            Kind::Event => "event",
            Kind::Other => "other",
        }
    }

    /// `msg_type` of the seven interfaces, none for kinds that WeChat's legend has no number for.
    /// Source: the legend of the interface's page; shortvideo as video is an inference, see COMPATIBILITY.md.
    pub const fn counted_type(self) -> Option<u8> {
        match self {
            Kind::Text => Some(1),
            Kind::Image => Some(2),
            Kind::Voice => Some(3),
            Kind::Video | Kind::ShortVideo => Some(4),
            Kind::Link => Some(6),
            Kind::Location | Kind::File | Kind::Event | Kind::Other => None,
        }
    }

    /// Position in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The same as it is stored.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind at this position, if there is one.
    pub fn from_index(index: usize) -> Option<Kind> {
        Kind::ALL.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_positions_round_trip() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((kind.index(), Kind::from_index(index)), (index, Some(kind)));
            assert_eq!(Kind::of_msg_type(kind.name()), kind);
        }
        assert_eq!(Kind::of_msg_type("miniprogrampage"), Kind::Other);
        assert_eq!(Kind::of_msg_type("TEXT"), Kind::Other, "MsgType is compared as WeChat writes it");
    }
}
