//! The seven message analysis interfaces as a table: everything that differs between them stands here and
//! nowhere else. Source: WeChat's pages getupstreammsg, …hour, …week, …month, …dist, …distweek, …distmonth.

use crate::Granularity;

/// What the rows of an interface count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figures {
    /// Users and messages by type of message.
    Totals,
    /// Users by how many messages they sent.
    Distribution,
}

/// Which of the two documented date rules is applied. WeChat's page contradicts itself; see COMPATIBILITY.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DateProfile {
    /// The longer spans of the older page, which accept everything the newer text accepts.
    #[default]
    Lenient,
    /// The shorter spans of the newer text.
    Strict,
}

/// One of the seven interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Name on the wire, also the last part of its path.
    pub name: &'static str,
    /// Name in cloud calls, below `officialAccount.datacube`.
    pub cloud_name: &'static str,
    /// Short name for people, as in `msgcube query NAME`.
    pub short_name: &'static str,
    /// Length of the periods.
    pub granularity: Granularity,
    /// What the rows count.
    pub figures: Figures,
    /// Largest range in days, both ends counted, of the older page.
    pub span_days_lenient: i32,
    /// Largest range in days, both ends counted, of the newer text.
    pub span_days_strict: i32,
}

/// All seven, totals first.
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
    /// The interface of this name on the wire.
    pub fn by_name(name: &str) -> Option<&'static Interface> {
        INTERFACES.iter().find(|interface| interface.name == name)
    }

    /// The interface of this name in cloud calls: `officialAccount.datacube.getUpstreamMsg`, and so on.
    pub fn by_cloud_name(name: &str) -> Option<&'static Interface> {
        let name = name.strip_prefix("officialAccount.datacube.")?;
        INTERFACES.iter().find(|interface| interface.cloud_name == name)
    }

    /// The interface of this short name.
    pub fn by_short_name(name: &str) -> Option<&'static Interface> {
        INTERFACES.iter().find(|interface| interface.short_name == name)
    }

    /// Path below the base URL.
    pub fn path(&self) -> String {
        format!("/datacube/{}", self.name)
    }

    /// Largest allowed range in days, both ends counted: end − begin must be smaller.
    pub fn span_days(&self, profile: DateProfile) -> i32 {
        match profile {
            DateProfile::Lenient => self.span_days_lenient,
            DateProfile::Strict => self.span_days_strict,
        }
    }
}
