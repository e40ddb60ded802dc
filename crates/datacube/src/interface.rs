//! The seven message analysis interfaces as a table. All their differences are in this file. Source: WeChat's pages
//! getupstreammsg, …hour, …week, …month, …dist, …distweek, …distmonth.

use crate::Granularity;

/// What the rows of an interface count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figures {
    /// Users and messages for each type of message.
    Totals,
    /// Users grouped by the number of messages they sent.
    Distribution,
}

/// Which of the two documented limits on the length of a range applies. WeChat's pages contradict each other; see
/// COMPATIBILITY.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateProfile {
    /// The longer limits of the older page. They accept every range that the newer text accepts.
    #[default]
    Lenient,
    /// The shorter limits of the newer text.
    Strict,
}

/// One of the seven interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Name on the wire, and the last part of the path.
    pub name: &'static str,
    /// Name in cloud calls, below `officialAccount.datacube`.
    pub cloud_name: &'static str,
    /// Short name on the command line, as in `msgcube query NAME`.
    pub short_name: &'static str,
    /// Length of the periods that a row counts.
    pub granularity: Granularity,
    /// What the rows count.
    pub figures: Figures,
    /// Longest range in days, first and last day included. Source: the older page.
    pub span_days_lenient: i32,
    /// Longest range in days, first and last day included. Source: the newer text.
    pub span_days_strict: i32,
}

/// All seven interfaces, totals first.
pub static INTERFACES: [Interface; 7] = {
    use Figures::{Distribution, Totals};
    use Granularity::{Day, Hour, Month, Week};
    [
        interface("getupstreammsg", "getUpstreamMsg", "day", Day, Totals, 7, 7),
        interface("getupstreammsghour", "getUpstreamMsgHour", "hour", Hour, Totals, 1, 1),
        interface("getupstreammsgweek", "getUpstreamMsgWeek", "week", Week, Totals, 30, 1),
        interface("getupstreammsgmonth", "getUpstreamMsgMonth", "month", Month, Totals, 30, 1),
        interface("getupstreammsgdist", "getUpstreamMsgDist", "dist", Day, Distribution, 15, 15),
        interface("getupstreammsgdistweek", "getUpstreamMsgDistWeek", "distweek", Week, Distribution, 30, 15),
        interface(
            "getupstreammsgdistmonth",
            "getUpstreamMsgDistMonth",
            "distmonth",
            Month,
            Distribution,
            30,
            15,
        ),
    ]
};

const fn interface(
    name: &'static str,
    cloud_name: &'static str,
    short_name: &'static str,
    granularity: Granularity,
    figures: Figures,
    span_days_lenient: i32,
    span_days_strict: i32,
) -> Interface {
    Interface { name, cloud_name, short_name, granularity, figures, span_days_lenient, span_days_strict }
}

impl Interface {
    /// Finds an interface by its name on the wire.
    pub fn by_name(name: &str) -> Option<&'static Interface> {
        INTERFACES.iter().find(|interface| interface.name == name)
    }

    /// Finds an interface by its name in cloud calls, such as `officialAccount.datacube.getUpstreamMsg`.
    pub fn by_cloud_name(name: &str) -> Option<&'static Interface> {
        let name = name.strip_prefix("officialAccount.datacube.")?;
        INTERFACES.iter().find(|interface| interface.cloud_name == name)
    }

    /// Finds an interface by its short name.
    pub fn by_short_name(name: &str) -> Option<&'static Interface> {
        INTERFACES.iter().find(|interface| interface.short_name == name)
    }

    /// The path below the base URL, such as `/datacube/getupstreammsg`.
    pub fn path(&self) -> String {
        format!("/datacube/{}", self.name)
    }

    /// Longest allowed range in days, first and last day included.
    pub fn span_days(&self, profile: DateProfile) -> i32 {
        match profile {
            DateProfile::Lenient => self.span_days_lenient,
            DateProfile::Strict => self.span_days_strict,
        }
    }
}
