//! Made-up view models: for the tests, and for the example that writes all pages to files.
#![allow(dead_code, reason = "each user needs only some of it")]
#![allow(
    clippy::unused_self,
    clippy::cast_possible_wrap,
    clippy::unwrap_used,
    reason = "small made-up values"
)]

mod account;

use datacube::Day;
use i18n::{Lang, Text};
use pages::{
    AccountName, AlertLevel, Attention, BeijingTime, Compared, ConnectForm, ConnectPage, ConnectSecrets,
    Connecting, DailySeries, DailyStack, Download, ErrorPage, FailedAddressCheck, FigureSource, FigureTile,
    Frame, HealthCheck, HealthPage, HealthRow, JustMade, KeyForm, KeyRow, KeysPage, ListState,
    LiveAccountRow, LivePage, LoginPage, MinuteSeries, NavEntry, NewestMessage, OverviewPage, OverviewRow,
    OverviewSort, PageNotice, RefusedMessages, ShareLinkForm, ShareLinkRow, ShownSecret, ShownState,
    SignedIn,
};

/// Text that ends its surroundings if it is not escaped.
pub const HOSTILE: &str = "</title></script>\"'><img src=x onerror=alert(1)>&";

/// 2026-11-28 15:15:03 in Beijing.
pub const NOW_S: i64 = 1_795_850_103;

/// Makes view models.
#[derive(Clone, Copy)]
pub struct Sample {
    /// The language of the frame.
    pub lang: Lang,
    /// Put in front of every text that comes from outside.
    pub prefix: &'static str,
}

impl Sample {
    pub fn text(&self, text: &str) -> String {
        format!("{}{text}", self.prefix)
    }

    pub fn plain(&self, text: &str) -> Text {
        Text::plain(self.text(text))
    }

    pub fn name(&self, number: usize) -> AccountName {
        let names = [
            ("Harbour City Metro", "港城地铁服务号"),
            ("Slow Kitchen Weekly", "慢厨周刊"),
            ("Old Wang's Tea House", "老王茶铺"),
        ];
        let (en, zh) = names[number % 3];
        let name = self.lang.pick(en, zh);
        let name = if number < 3 { name.to_owned() } else { format!("{name} {number}") };
        AccountName { appid: format!("wxde{number:014}"), name: self.text(&name) }
    }

    pub fn source(&self) -> FigureSource {
        FigureSource {
            curl: self.text("curl -H \"Authorization: Bearer $MSGCUBE_KEY\" 'https://msgcube.example.com/v1/accounts/wxde00000000000000/stats?from=2026-10-31&to=2026-11-27&period=day&by=official'"),
            csv: "/ui/accounts/wxde00000000000000/days.csv?from=2026-10-31&to=2026-11-27".to_owned(),
        }
    }

    pub fn tile(&self, value: u64, before: u64) -> FigureTile {
        FigureTile { value, compared: Compared::With(before), is_at_least: false, source: self.source() }
    }

    pub fn downloads(&self) -> Vec<Download> {
        ["CSV", "XLSX", "Parquet", "SVG"]
            .map(|format| Download { format, href: format!("/ui/export?format={format}") })
            .into()
    }

    pub fn frame(&self, path: &str, current: Option<NavEntry>) -> Frame {
        Frame {
            lang: self.lang,
            now: now(),
            path: path.to_owned(),
            query: "from=2026-10-31&to=2026-11-27".to_owned(),
            entries: NavEntry::ALL.into(),
            current,
            signed_in: Some(SignedIn { key_name: self.text("operations"), csrf: "csrf-token".to_owned() }),
            live: Some("/ui/live/events".to_owned()),
            notices: Vec::new(),
        }
    }

    /// The frame of a page that nobody is signed in for.
    pub fn bare_frame(&self, path: &str) -> Frame {
        Frame { entries: Vec::new(), signed_in: None, live: None, ..self.frame(path, None) }
    }

    pub fn overview(&self, accounts: usize, shown: usize, days: usize) -> OverviewPage {
        let mut random = Random(7);
        let sizes = [480, 220, 60, 40, 30, 90];
        let mut series = |number: usize| DailySeries {
            name: if number == 5 {
                self.plain(self.lang.pick("all others", "其他"))
            } else {
                Text::plain(self.name(number).name)
            },
            messages: (0..days)
                .map(|day| random.about(sizes[number] * if day + 1 == days { 5 } else { 10 } / 10))
                .collect(),
        };
        OverviewPage {
            accounts,
            today: self.tile(381, 395),
            today_whole_hours: 368,
            today_until: BeijingTime { second: 15 * 3600, ..now() },
            month: self.tile(21_240, 19_560),
            month_whole_days: 20_859,
            last_month: self.tile(21_872, 20_136),
            attention: Attention { count: 1, worst: Some((self.name(2), ShownState::Refusing)) },
            days: DailyStack {
                first_day: now().day.plus_days(1 - i32::try_from(days).unwrap()),
                series: (0..accounts.min(6)).map(&mut series).collect(),
                source: self.source(),
            },
            list: ListState {
                search: self.text(""),
                sort: OverviewSort::Attention,
                state: None,
                found: accounts,
                page: 1,
                pages: accounts.div_ceil(50).max(1),
            },
            rows: (0..shown).map(|number| self.row(number, &mut random)).collect(),
            downloads: self.downloads(),
            source: self.source(),
        }
    }

    fn row(&self, number: usize, random: &mut Random) -> OverviewRow {
        let size = 500 / (number as u64 + 1) + 3;
        let month = random.about(size * 27);
        let last_month = random.about(size * 31);
        OverviewRow {
            account: self.name(number),
            state: [
                ShownState::Receiving,
                ShownState::Receiving,
                ShownState::Refusing,
                ShownState::Quiet,
                ShownState::Gap,
                ShownState::WaitingCheck,
            ][number % 6],
            last_message: (number % 6 != 5)
                .then(|| BeijingTime::from_unix_s(NOW_S - 18 - number as i64 * 400)),
            today: random.about(size),
            same_hours: (
                random.about(size),
                if number % 6 == 4 { Compared::HasGap } else { Compared::With(random.about(size)) },
            ),
            month,
            same_days: (
                month - month / 30,
                if number % 6 == 5 {
                    Compared::NotCountedBefore(now().day.plus_days(-20))
                } else {
                    Compared::With(last_month - last_month / 10)
                },
            ),
            last_month,
            sparkline: (0..28)
                .map(|day| (day != 20 || number % 6 != 4).then(|| random.about(size)))
                .collect(),
        }
    }

    pub fn live(&self) -> LivePage {
        let mut random = Random(3);
        let sizes = [9, 4, 2, 1, 1, 2];
        LivePage {
            selected: None,
            unknown: None,
            minute_now: BeijingTime { second: 15 * 3600 + 15 * 60, ..now() },
            minutes: (0..6)
                .map(|number| MinuteSeries {
                    name: if number == 5 {
                        self.plain(self.lang.pick("all others", "其他"))
                    } else {
                        Text::plain(self.name(number).name)
                    },
                    messages: std::array::from_fn(|_| u32::try_from(random.about(sizes[number])).unwrap()),
                })
                .collect(),
            source: self.source(),
            today: std::array::from_fn(|hour| {
                (hour <= 15).then(|| random.about(10 + 8 * hour as u64) / if hour == 15 { 4 } else { 1 })
            }),
            last_week: std::array::from_fn(|hour| {
                Some(random.about(10 + 7 * (hour as u64).min(30 - hour as u64)))
            }),
            accounts: (0..8)
                .map(|number| LiveAccountRow {
                    account: self.name(number),
                    last_minutes: 40 / (number as u64 + 1),
                    today: 900 / (number as u64 + 1),
                    last_message: Some(BeijingTime::from_unix_s(NOW_S - number as i64 * 7)),
                })
                .collect(),
        }
    }

    pub fn health(&self, is_well: bool) -> HealthPage {
        let check = |level, title: &str, finding: &str, remedy: Option<&str>| HealthCheck {
            level,
            title: self.plain(title),
            finding: self.plain(finding),
            remedy: remedy.map(|remedy| self.plain(remedy)),
        };
        let mut checks = vec![
            check(
                AlertLevel::Good,
                "Receiving",
                "12,431 callbacks in the last 24 h, the last one 18 s ago.",
                None,
            ),
            check(
                AlertLevel::Good,
                "Durable",
                "Every acknowledged message is on disk; a commit takes 12 ms (p99).",
                None,
            ),
        ];
        let mut accounts = Vec::new();
        if !is_well {
            checks.push(check(AlertLevel::Warning, "Relay", "p50 8 ms, p99 4.1 s, late 14 of 12,431.", Some("The bot behind wxde00000000000002 is slow. WeChat gives up after 5 s: make it answer earlier, or set on_late = \"success\".")));
            checks.push(check(
                AlertLevel::Bad,
                "Disk",
                "0.4 GB are left in data_dir.",
                Some("Make room: below 0.2 GB callbacks are closed without an answer."),
            ));
            accounts.push(HealthRow { account: self.name(2), state: ShownState::Refusing, finding: self.plain("37 plain callbacks were refused in the last 24 h. Set the safe mode in WeChat's console.") });
        }
        HealthPage {
            since: BeijingTime::from_unix_s(NOW_S - 500_000),
            checks,
            accounts,
            more_accounts: usize::from(!is_well) * 3,
        }
    }

    pub fn connect(&self, step: usize) -> ConnectPage {
        let form = ConnectForm {
            appid: self.text("wx 12"),
            name: self.text("Harbour"),
            relay_url: self.text("http://127.0.0.1:9000/"),
            appid_error: Some(self.plain("An AppID has no blanks. Copy it from WeChat's console.")),
            name_error: None,
            relay_error: Some(self.plain("Nothing answers at this address.")),
        };
        let connecting = Connecting {
            account: self.name(0),
            callback_url: self.text("https://msgcube.example.com/callback/wxde00000000000000"),
            address_problem: (step < 4)
                .then(|| self.plain("public_url is not set: WeChat reaches public addresses only.")),
            is_encrypted: step < 5,
            is_configured: step == 4,
            secrets: (step == 2).then(|| ConnectSecrets {
                token: ShownSecret(self.text("f81d4fae7dec11d0a76500a0c91e6bf6")),
                encoding_aes_key: ShownSecret(self.text("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")),
                secret: ShownSecret(self.text("00112233445566778899aabbccddeeff")),
            }),
            waiting_since: BeijingTime::from_unix_s(NOW_S - 42),
            checked: (step >= 4).then(|| BeijingTime::from_unix_s(NOW_S - 10)),
            failed_checks: vec![FailedAddressCheck {
                time: BeijingTime::from_unix_s(NOW_S - 180),
                reason: self.plain("A check with a wrong signature."),
                remedy: self.plain("The Token differs: copy it again."),
            }],
            refused: (step == 4)
                .then(|| RefusedMessages {
                    count: 2,
                    reason: self.plain("It was plain."),
                    remedy: self.plain("Choose safe mode."),
                })
                .into_iter()
                .collect(),
            newest_message: (step >= 5).then(|| NewestMessage { time: now(), kinds: self.plain("text") }),
        };
        ConnectPage { form, connecting: (step > 1).then_some(connecting) }
    }

    pub fn keys(&self) -> KeysPage {
        let day = |days: i64| BeijingTime::from_unix_s(NOW_S + days * 86_400);
        let key = |number: i64| KeyRow {
            id: format!("k{number}"),
            name: self.text("reports"),
            scopes: vec!["read".to_owned(), self.text("write:wxde00000000000000")],
            made: day(-40 - number),
            ends: (number != 1).then(|| day(20 - number * 20)),
            is_over: number == 2,
        };
        KeysPage {
            keys: (0..3).map(key).collect(),
            links: vec![ShareLinkRow {
                id: "s1".to_owned(),
                account: self.name(0),
                made: day(-3),
                ends: day(27),
                is_over: false,
            }],
            made: Some(JustMade::Link(ShownSecret(self.text("https://msgcube.example.com/ui/share/2f1c…")))),
            key_form: KeyForm {
                name: self.text(""),
                scopes: self.text(""),
                days: self.text(""),
                error: Some(self.plain("Days are a whole number.")),
            },
            link_form: ShareLinkForm { appid: self.text(""), days: self.text(""), error: None },
        }
    }

    pub fn login(&self) -> LoginPage {
        LoginPage {
            next: self.text("/ui/"),
            error: Some(self.plain("This key is not known.")),
            reloads: false,
            oidc: Some("/ui/oidc".to_owned()),
        }
    }

    pub fn error(&self) -> ErrorPage {
        ErrorPage {
            status: 404,
            title: self.plain(self.lang.pick("There is no such page", "没有这个页面")),
            text: self.plain(self.lang.pick(
                "The account does not exist, or your key may not read it.",
                "公众号不存在，或您的密钥无权查看。",
            )),
            remedy: Some((self.plain(self.lang.pick("Overview", "总览")), "/ui/".to_owned())),
        }
    }

    pub fn notice(&self) -> PageNotice {
        PageNotice {
            level: AlertLevel::Bad,
            text: self.plain("The disk is full: messages are not accepted."),
        }
    }
}

pub fn now() -> BeijingTime {
    BeijingTime::from_unix_s(NOW_S)
}

pub fn today() -> Day {
    now().day
}

/// Numbers that look like traffic and are equal at each run.
pub struct Random(pub u64);

impl Random {
    /// A number between 7/10 and 13/10 of this one.
    pub fn about(&mut self, number: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        number * (700 + (self.0 >> 33) % 600) / 1000
    }
}
