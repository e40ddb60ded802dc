//! The figures of an account's page as tables for files.

use datacube::Granularity;
use i18n::{Lang, text};
use pages::{
    AccountFiguresView, AccountPage, ChartPeriod, Compared, CoverageKind, CoverageSegment, EventFigures,
    Words,
};

use super::super::export::{ExportCell, ExportTable};

/// All tables of a page. Those without rows are left out.
pub fn tables(page: &AccountPage, figures: &AccountFiguresView, lang: Lang) -> Vec<ExportTable> {
    let words = Words(lang);
    let all = [
        summary(page, figures, words),
        periods(figures, words),
        types(figures, words),
        distribution(figures, words),
        events("events", words.say(text!("Events")), &figures.events, words),
        events("not-counted", words.say(text!("Not counted by WeChat")), &figures.not_counted, words),
        hours(figures, words),
        weeks(figures, words),
        coverage(&figures.segments, words),
    ];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn number(number: u64) -> ExportCell {
    ExportCell::Number(number)
}

fn compared(compared: Compared, words: Words) -> ExportCell {
    match compared {
        Compared::No => ExportCell::Blank,
        Compared::With(before) => number(before),
        Compared::NotCountedBefore(day) => {
            ExportCell::Words(words.say(text!("not counted before {date}", date = words.date(day))))
        }
        Compared::HasGap => ExportCell::Words(words.say(text!("gap in the time before"))),
    }
}

fn summary(page: &AccountPage, figures: &AccountFiguresView, words: Words) -> ExportTable {
    let named = |name: String, cell| vec![ExportCell::Words(name), cell, ExportCell::Blank];
    let (users, messages) = (&figures.users, &figures.messages);
    let mut rows = vec![
        named(words.say(text!("Account")), ExportCell::Words(page.account.shown().to_owned())),
        named("AppID".to_owned(), ExportCell::Words(page.account.appid.clone())),
        named(words.say(text!("From")), ExportCell::OnDay(figures.from)),
        named(words.say(text!("to")), ExportCell::OnDay(figures.to)),
        vec![
            ExportCell::Words(words.say(text!("Distinct users"))),
            number(users.value),
            compared(users.compared, words),
        ],
        vec![
            ExportCell::Words(words.say(text!("Messages sent"))),
            number(messages.value),
            compared(messages.compared, words),
        ],
    ];
    rows.extend(
        figures.new_users.iter().map(|tile| named(words.say(text!("New users")), number(tile.value))),
    );
    ExportTable {
        file: "summary",
        title: words.say(text!("Figures")),
        head: vec![String::new(), words.range(figures.from, figures.to), words.say(text!("compared time"))],
        rows,
    }
}

fn periods(figures: &AccountFiguresView, words: Words) -> ExportTable {
    let head = [text!("period"), text!("users"), text!("compared time")].map(|head| words.say(head));
    let types = words.types().map(|name| words.say(text!("{kind} messages", kind = name)));
    let row = |period: &pages::PeriodFigures| {
        let first = [
            ExportCell::period(period.period),
            ExportCell::known(period.users),
            ExportCell::known(period.users_before),
        ];
        let all = period.messages.iter().sum();
        first.into_iter().chain(period.messages.map(number)).chain([number(all)]).collect()
    };
    ExportTable {
        file: "periods",
        title: match figures.periods.first().map(|period| period.period.granularity) {
            Some(Granularity::Hour) => words.say(text!("By hour")),
            Some(Granularity::Week) => words.say(text!("By week")),
            Some(Granularity::Month) => words.say(text!("By month")),
            Some(Granularity::Day) | None => words.say(text!("By day")),
        },
        head: head.into_iter().chain(types).chain([words.say(text!("all messages"))]).collect(),
        rows: figures.periods.iter().map(row).collect(),
    }
}

fn types(figures: &AccountFiguresView, words: Words) -> ExportTable {
    let row = |(name, of_type): (String, &pages::TypeFigures)| {
        vec![
            ExportCell::Words(name),
            number(of_type.users),
            number(of_type.messages),
            compared(of_type.compared, words),
        ]
    };
    let heads = [text!("Type"), text!("users"), text!("messages"), text!("compared time")];
    ExportTable {
        file: "types",
        title: words.say(text!("By type")),
        head: heads.map(|head| words.say(head)).into(),
        rows: words.types().into_iter().zip(&figures.types).map(row).collect(),
    }
}

fn distribution(figures: &AccountFiguresView, words: Words) -> ExportTable {
    let rows = figures.distribution.iter().flat_map(|found| {
        let rows = words.intervals().into_iter().zip(found.users).zip(found.compared);
        rows.map(|((name, users), before)| {
            let period = ExportCell::Words(words.period(found.period));
            vec![period, ExportCell::Words(name), number(users), compared(before, words)]
        })
    });
    let heads = [text!("period"), text!("messages"), text!("users"), text!("compared time")];
    ExportTable {
        file: "distribution",
        title: words.say(text!("Users by number of messages")),
        head: heads.map(|head| words.say(head)).into(),
        rows: rows.collect(),
    }
}

fn events(file: &'static str, title: String, named: &[EventFigures], words: Words) -> ExportTable {
    let row = |event: &EventFigures| vec![ExportCell::Words(event.name.clone()), number(event.count)];
    ExportTable {
        file,
        title,
        head: vec![words.say(text!("Name")), words.say(text!("Number"))],
        rows: named.iter().map(row).collect(),
    }
}

fn hours(figures: &AccountFiguresView, words: Words) -> ExportTable {
    let rows = figures.hours.iter().flatten().enumerate().map(|(day, hours)| {
        std::iter::once(ExportCell::Words(words.weekday(day))).chain(hours.map(number)).collect()
    });
    ExportTable {
        file: "hours",
        title: words.say(text!("Weekday and hour")),
        head: [words.say(text!("weekday"))]
            .into_iter()
            .chain((0..24).map(|hour| format!("{hour:02}")))
            .collect(),
        rows: rows.collect(),
    }
}

fn weeks(figures: &AccountFiguresView, words: Words) -> ExportTable {
    let row = |week: &pages::WeekUsers| {
        vec![
            ExportCell::period(ChartPeriod::containing(week.monday, Granularity::Week)),
            number(week.returning),
            number(week.new),
        ]
    };
    ExportTable {
        file: "weeks",
        title: words.say(text!("New and returning users a week")),
        head: [text!("week"), text!("returning"), text!("new")].map(|head| words.say(head)).into(),
        rows: figures.weeks.iter().map(row).collect(),
    }
}

/// What of the range was counted.
fn coverage(segments: &[CoverageSegment], words: Words) -> ExportTable {
    let row = |segment: &CoverageSegment| {
        let (kind, cause) = match &segment.kind {
            CoverageKind::Covered => (text!("covered"), None),
            CoverageKind::CoverageGap { cause } => (text!("gap"), Some(cause)),
            CoverageKind::Bridged => (text!("planned stop; WeChat sent its messages again"), None),
            CoverageKind::BeforeCounting => (text!("not counted"), None),
            CoverageKind::Ahead => (text!("not over"), None),
        };
        let cause = cause.map_or(ExportCell::Blank, |cause| ExportCell::Words(words.say(cause)));
        vec![
            ExportCell::At(segment.from),
            ExportCell::At(segment.to),
            ExportCell::Words(words.say(kind)),
            cause,
        ]
    };
    let heads = [text!("From"), text!("to"), text!("State"), text!("cause")];
    ExportTable {
        file: "coverage",
        title: words.say(text!("Coverage")),
        head: heads.map(|head| words.say(head)).into(),
        rows: segments.iter().map(row).collect(),
    }
}
