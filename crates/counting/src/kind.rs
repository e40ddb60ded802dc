//! Kinds of message, and their numbers in WeChat's figures.

/// The kind of a callback, from `MsgType`. The order is that of the statistics API and of the stored format.
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
    /// `file`: not documented by WeChat, but seen in callbacks
    File,
    /// `event`: not a message, it has no MsgId
    Event,
    /// Any other `MsgType`.
    Other,
}

/// The values of `msg_type` that WeChat documents. 5 is not used.
pub const COUNTED_TYPES: [u8; 5] = [1, 2, 3, 4, 6];

/// The values of `count_interval` in rows: 1 to 5 messages for each user, 6 to 10, more. WeChat's value 0 is never
/// sent.
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

    /// The kind with this `MsgType`.
    pub fn of_msg_type(msg_type: &str) -> Kind {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == msg_type && *kind != Kind::Other)
            .unwrap_or(Kind::Other)
    }

    /// The name in callbacks and in the statistics API.
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

    /// `msg_type` in the seven interfaces. None for kinds without a number in WeChat's legend. Source: the legend of
    /// the interface's page; shortvideo as video is an inference, see COMPATIBILITY.md.
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

    /// The index of its type in [`COUNTED_TYPES`]. None for kinds that are not counted.
    pub fn counted_index(self) -> Option<usize> {
        let number = self.counted_type()?;
        COUNTED_TYPES.into_iter().position(|counted| counted == number)
    }

    /// Index in [`Kind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The index as it is stored on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind at this index. None if there is none.
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
