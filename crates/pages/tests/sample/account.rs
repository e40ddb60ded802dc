//! The page of an account.

use datacube::{Day, Granularity};
use pages::{
    AccountFiguresView, AccountPage, BeijingTime, ChartPeriod, CompareWith, Compared, CoverageKind,
    CoverageSegment, DistributionFigures, EventFigures, FigureTile, PeriodFigures, RangeCoverage, RangeForm,
    RangeLink, RangePreset, RangeProblem, ShownState, TodayTile, TypeFigures, WeekUsers,
};

use super::{NOW_S, Random, Sample, today};

const DAY_S: i64 = 86_400;

impl Sample {
    /// A range of days that ends with today, so that its last period is open.
    pub fn account(&self, days: usize) -> AccountPage {
        AccountPage {
            account: self.name(0),
            state: ShownState::Receiving,
            since: Some(BeijingTime::from_unix_s(NOW_S - 392 * DAY_S)),
            range: self.range(),
            today: TodayTile { messages: 218, users: 116, source: self.source() },
            figures: Some(self.figures(days)),
            downloads: self.downloads(),
        }
    }

    /// An account whose range is wrong.
    pub fn account_with_error(&self) -> AccountPage {
        let error = RangeProblem {
            text: self.plain("The first day is after the last one."),
            remedy: Some((self.plain("Turn them round"), "?from=2026-10-31&to=2026-11-27".to_owned())),
        };
        let range = RangeForm { from: self.text("2026-11-27"), error: Some(error), ..self.range() };
        AccountPage {
            figures: None,
            state: ShownState::WaitingMessage,
            since: None,
            range,
            ..self.account(28)
        }
    }

    fn range(&self) -> RangeForm {
        let presets = [
            RangePreset::Today,
            RangePreset::Days(7),
            RangePreset::Days(28),
            RangePreset::Days(90),
            RangePreset::Month,
            RangePreset::TwelveMonths,
        ];
        RangeForm {
            presets: presets
                .map(|preset| RangeLink {
                    preset,
                    href: "/ui/accounts/wxde00000000000000?from=2026-10-31&to=2026-11-27".to_owned(),
                    is_current: preset == RangePreset::Days(28),
                })
                .into(),
            from: "2026-10-31".to_owned(),
            to: "2026-11-27".to_owned(),
            by: None,
            compare: CompareWith::Before,
            error: None,
        }
    }

    fn figures(&self, days: usize) -> AccountFiguresView {
        let mut random = Random(11);
        let from = today().plus_days(1 - i32::try_from(days).unwrap());
        let events =
            [("CLICK", 2576), ("VIEW", 981), ("subscribe", 579), ("SCAN", 482), ("unsubscribe", 406)];
        let event = |(name, count): (&str, u64)| EventFigures { name: self.text(name), count };
        let type_figures =
            |users, messages, before| TypeFigures { users, messages, compared: Compared::With(before) };
        AccountFiguresView {
            from,
            to: today(),
            coverage: RangeCoverage::Part,
            first_counted: None,
            segments: self.segments(from),
            users: FigureTile { is_at_least: true, ..self.tile(3662, 3437) },
            messages: FigureTile { is_at_least: true, ..self.tile(13_837, 12_370) },
            new_users: Some(self.tile(990, 989)),
            new_is_early: false,
            periods: (0..days).map(|number| period(from, number, days, &mut random)).collect(),
            period_users_source: self.source(),
            periods_source: self.source(),
            types: [
                type_figures(3325, 10_644, 9632),
                type_figures(1247, 1707, 1460),
                type_figures(787, 980, 845),
                type_figures(310, 353, 291),
                type_figures(149, 153, 145),
            ],
            not_counted: [("location", 644), ("file", 74)].map(event).into(),
            types_source: self.source(),
            distribution: Some(DistributionFigures {
                period: ChartPeriod::containing(today().plus_days(-30), Granularity::Month),
                is_open: false,
                users: [2994, 451, 202],
                compared: [Compared::With(2793), Compared::With(453), Compared::HasGap],
                source: self.source(),
            }),
            events: events.map(event).into(),
            more_events: 3,
            events_source: self.source(),
            hours: Some(std::array::from_fn(|_| {
                std::array::from_fn(|hour| {
                    random.about(if (7..21).contains(&hour) { 120 } else { 2 + 5 * hour as u64 % 40 })
                })
            })),
            hours_source: self.source(),
            weeks: (0..8)
                .map(|week| WeekUsers {
                    monday: today().monday().plus_days((week - 7) * 7),
                    new: random.about(300),
                    returning: random.about(1000),
                    new_is_early: week < 2,
                    is_open: week == 7,
                })
                .collect(),
            weeks_source: self.source(),
            chart_files: ["users", "messages", "hours", "weeks"]
                .map(|name| (name, self.text(&format!("/ui/{name}.svg"))))
                .into(),
        }
    }

    fn segments(&self, from: Day) -> Vec<CoverageSegment> {
        let begin = BeijingTime { day: from, second: 0 }.unix_s();
        let gap_s = NOW_S - 3 * DAY_S;
        let end = BeijingTime { day: today().plus_days(1), second: 0 }.unix_s();
        let parts = [
            (begin, begin + DAY_S, CoverageKind::BeforeCounting),
            (begin + DAY_S, gap_s - 9000, CoverageKind::Covered),
            (gap_s - 9000, gap_s - 8996, CoverageKind::Bridged),
            (gap_s - 8996, gap_s, CoverageKind::Covered),
            (gap_s, gap_s + 25, CoverageKind::CoverageGap { cause: self.plain("the disk was full") }),
            (gap_s + 25, NOW_S, CoverageKind::Covered),
            (NOW_S, end, CoverageKind::Ahead),
        ];
        let segment = |(from, to, kind)| CoverageSegment {
            from: BeijingTime::from_unix_s(from),
            to: BeijingTime::from_unix_s(to),
            kind,
        };
        parts.map(segment).into()
    }
}

fn period(from: Day, number: usize, days: usize, random: &mut Random) -> PeriodFigures {
    let day = from.plus_days(i32::try_from(number).unwrap());
    let is_open = number + 1 == days;
    let is_weekend = day.days_since(day.monday()) > 4;
    let size = if is_open {
        110
    } else if is_weekend {
        190
    } else {
        270
    };
    let is_counted = number > 0 && number % 13 != 9;
    let users = random.about(size);
    PeriodFigures {
        period: ChartPeriod::containing(day, Granularity::Day),
        is_open,
        users: is_counted.then_some(users),
        users_before: (number > 2).then(|| random.about(size)),
        messages: if is_counted {
            [users * 3 / 2, users / 3, users / 6, users / 12, users / 25]
        } else {
            [0; 5]
        },
    }
}
