//! The output of `msgcube demo`: last month's figures of each account, then commands that ask for them.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use comfy_table::{CellAlignment, Table, presets};
use datacube::{Day, Interface, Row};
use i18n::{Lang, text};

use super::DemoAccount;
use crate::table::{grouped, sparkline};

/// One account's figures, as the server answers them, and an access token.
#[derive(Clone, Copy, Debug)]
pub struct AccountReport<'a> {
    /// The account.
    pub account: &'a DemoAccount,
    /// Last month's rows of getupstreammsgmonth.
    pub rows: &'a [Row],
    /// Distinct users of last month over all types, if known. The sum of the rows' users is larger.
    pub users: Option<u64>,
    /// Messages of the twelve months up to last month, oldest first.
    pub months: &'a [u64],
    /// An access token of this account.
    pub access_token: &'a str,
}

/// What the text needs besides the figures.
#[derive(Clone, Copy)]
pub struct AnnouncementContext<'a> {
    /// Language of the text.
    pub lang: Lang,
    /// The name the program was started with (`argv[0]`), for the printed commands.
    pub program: &'a str,
    /// The base URL of the server, without a slash at the end.
    pub base_url: &'a str,
    /// The configuration that names the server to other commands.
    pub config_path: &'a Path,
    /// Opens `/v1`, and the dashboard from other machines.
    pub admin_key: &'a str,
    /// A browser at `base_url` needs no key.
    pub is_signed_in: bool,
    /// The data is removed at the end.
    pub is_temporary: bool,
    /// The 1st of the last complete month.
    pub last_month: Day,
}

/// Without the admin key.
impl fmt::Debug for AnnouncementContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnouncementContext").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The whole text of a demo that serves.
pub fn announcement(context: AnnouncementContext<'_>, reports: &[AccountReport<'_>]) -> String {
    let mut text = all_figures(context.lang, context.last_month, reports);
    text += &dashboard(context);
    if let Some(first) = reports.first() {
        text += &what_to_try(context, first);
    }
    text + &what_next(context)
}

/// Only the accounts' figures of the month that begins on `month`.
pub fn all_figures(lang: Lang, month: Day, reports: &[AccountReport<'_>]) -> String {
    reports.iter().map(|report| figures(lang, month, report)).collect()
}

fn figures(lang: Lang, month: Day, report: &AccountReport<'_>) -> String {
    let name = lang.pick(report.account.name_en, report.account.name_zh);
    let month = &month.to_string()[..7];
    let label = text!("twelve months").in_lang(lang);
    let (low, high) = (report.months.iter().min(), report.months.iter().max());
    let ends = format!("{} … {}", grouped(low.copied().unwrap_or(0)), grouped(high.copied().unwrap_or(0)));
    format!(
        "{name}  {}  {month}\n{}\n{label}  {}  {ends}\n\n",
        report.account.appid,
        table(lang, report),
        sparkline(report.months)
    )
}

fn table(lang: Lang, report: &AccountReport<'_>) -> Table {
    let total: u64 = report.rows.iter().filter_map(|row| row.msg_count).sum();
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(
        [text!("type"), text!("users"), text!("messages"), text!("share")].map(|text| text.in_lang(lang)),
    );
    for row in report.rows {
        let messages = row.msg_count.unwrap_or(0);
        let name = type_name(lang, row.msg_type);
        table.add_row([name, grouped(row.msg_user), grouped(messages), share(messages, total)]);
    }
    let users = report.users.map_or_else(|| "–".to_owned(), grouped);
    table.add_row([text!("all").in_lang(lang), users, grouped(total), share(total, total)]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn dashboard(context: AnnouncementContext<'_>) -> String {
    let AnnouncementContext { lang, base_url, admin_key, is_signed_in, .. } = context;
    let address = text!("Dashboard: {address}", address = format!("{base_url}/ui/")).in_lang(lang);
    let signing_in = if is_signed_in {
        text!("On this machine you are signed in there.")
    } else {
        text!("Sign in there with the admin key {key}", key = admin_key)
    };
    let live = text!("A message arrives every few seconds, as a signed callback.").in_lang(lang);
    format!("{address}\n{}\n{live}\n", signing_in.in_lang(lang))
}

/// Commands that can be pasted. Each line that does not begin one is a sentence.
fn what_to_try(context: AnnouncementContext<'_>, report: &AccountReport<'_>) -> String {
    let AnnouncementContext { lang, program, base_url, config_path, admin_key, .. } = context;
    let (appid, config) = (&report.account.appid, shell_word(&config_path.display().to_string()));
    let commands = [
        (
            text!("Send a message as WeChat does, and see today's number grow:"),
            format!("{program} send --safe --appid {appid} \\\n  --config {config}"),
        ),
        (text!("The last 28 days of all accounts:"), format!("{program} stats --config {config}")),
        (
            text!("All accounts now, over HTTP with the admin key:"),
            format!("curl --oauth2-bearer {admin_key} {base_url}/v1/summary"),
        ),
        (text!("Last month, through WeChat's own interface:"), curl(context, report.access_token)),
    ];
    let mut text = format!("\n{}\n", text!("Try in another terminal:").in_lang(lang));
    for (what, command) in commands {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n{command}\n", what.in_lang(lang));
    }
    text
}

/// A text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn curl(context: AnnouncementContext<'_>, access_token: &str) -> String {
    let AnnouncementContext { base_url, last_month, .. } = context;
    let path = Interface::by_short_name("month").map(Interface::path).unwrap_or_default();
    let body = format!(r#"{{"begin_date":"{last_month}","end_date":"{last_month}"}}"#);
    format!("curl '{base_url}{path}?access_token={access_token}' -d '{body}'")
}

fn what_next(context: AnnouncementContext<'_>) -> String {
    let AnnouncementContext { lang, program, config_path, is_temporary, .. } = context;
    let settings =
        text!("AppSecret, Token and EncodingAESKey: {file}", file = config_path.display()).in_lang(lang);
    let page =
        text!("Debugging page: {address}", address = format!("{}/debug", context.base_url)).in_lang(lang);
    let stop = if is_temporary {
        text!("Ctrl-C stops the demo and removes its data.")
    } else {
        text!("Ctrl-C stops the demo.")
    };
    let next = text!("Your own account: {command}", command = format!("{program} init run")).in_lang(lang);
    format!("\n{settings}\n{page}\n\n{next}\n{}\n", stop.in_lang(lang))
}

fn type_name(lang: Lang, msg_type: Option<u8>) -> String {
    match msg_type {
        Some(1) => text!("text").in_lang(lang),
        Some(2) => text!("image").in_lang(lang),
        Some(3) => text!("voice").in_lang(lang),
        Some(4) => text!("video").in_lang(lang),
        Some(6) => text!("link").in_lang(lang),
        _ => text!("other").in_lang(lang),
    }
}

/// A share in per cent with one decimal, rounded half up. `–` if the total is 0.
fn share(part: u64, total: u64) -> String {
    match (part * 1000 + total / 2).checked_div(total) {
        Some(per_mille) => format!("{}.{} %", per_mille / 10, per_mille % 10),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::year;

    fn row(msg_type: u8, msg_user: u64, msg_count: u64) -> Row {
        Row {
            ref_date: Day::EARLIEST_OFFICIAL,
            ref_hour: None,
            user_source: None,
            msg_type: Some(msg_type),
            count_interval: None,
            msg_user,
            msg_count: Some(msg_count),
        }
    }

    fn text_in(lang: Lang) -> String {
        let year = year(1, 0.001, 1, 1_795_329_000);
        let rows = [row(1, 2_000, 15_000), row(6, 40, 5_000)];
        let report = AccountReport {
            account: &year.accounts()[0],
            rows: &rows,
            users: Some(2_010),
            months: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12_000],
            access_token: "TOKEN",
        };
        announcement(context(lang, year.last_month()), &[report])
    }

    fn context(lang: Lang, last_month: Day) -> AnnouncementContext<'static> {
        AnnouncementContext {
            lang,
            program: "target/release/msgcube",
            base_url: "http://127.0.0.1:45678",
            config_path: Path::new("/tmp/.tmpAbCdEf/demo.toml"),
            admin_key: "0123456789abcdefghijklmn",
            is_signed_in: true,
            is_temporary: true,
            last_month,
        }
    }

    #[test]
    fn the_curl_line_asks_for_the_first_of_last_month() {
        let line = "curl 'http://127.0.0.1:45678/datacube/getupstreammsgmonth?access_token=TOKEN' \
                    -d '{\"begin_date\":\"2026-10-01\",\"end_date\":\"2026-10-01\"}'";
        assert!(text_in(Lang::En).lines().any(|printed| printed == line));
        assert!(text_in(Lang::Zh).lines().any(|printed| printed == line));
    }

    #[test]
    fn the_table_has_users_messages_and_shares() {
        let text = text_in(Lang::En);
        for part in ["Harbour City Metro", "2026-10", "15,000", "75.0 %", "2,010", "20,000", "100.0 %"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text_in(Lang::Zh).contains("港城地铁服务号"));
    }

    #[test]
    fn the_dashboard_stands_before_everything_else_that_one_can_do() {
        for (lang, dashboard) in [(Lang::En, "Dashboard: "), (Lang::Zh, "仪表盘：")] {
            let text = text_in(lang);
            let next = text.split("12,000\n\n").nth(1).unwrap();
            assert!(next.starts_with(&format!("{dashboard}http://127.0.0.1:45678/ui/\n")), "{next}");
            assert_eq!(text.matches("/ui/").count(), 1);
        }
    }

    #[test]
    fn whoever_is_not_signed_in_gets_the_key_and_data_that_stays_is_not_called_removed() {
        let elsewhere = AnnouncementContext {
            is_signed_in: false,
            is_temporary: false,
            ..context(Lang::En, Day::EARLIEST_OFFICIAL)
        };
        let text = announcement(elsewhere, &[]);
        assert!(text.contains("Sign in there with the admin key 0123456789abcdefghijklmn\n"), "{text}");
        assert!(text.ends_with("Ctrl-C stops the demo.\n"), "{text}");
    }

    #[test]
    fn a_path_with_blanks_is_one_word_of_the_command() {
        let elsewhere = Path::new("/tmp/it's mine/demo.toml");
        let spaced =
            AnnouncementContext { config_path: elsewhere, ..context(Lang::En, Day::EARLIEST_OFFICIAL) };
        let year = year(1, 0.001, 1, 1_795_329_000);
        let account = &year.accounts()[0];
        let report = AccountReport { account, rows: &[], users: None, months: &[], access_token: "TOKEN" };
        let text = announcement(spaced, &[report]);
        assert!(text.contains(r"stats --config '/tmp/it'\''s mine/demo.toml'"), "{text}");
    }

    #[test]
    fn all_lines_but_the_one_with_an_access_token_fit_a_terminal() {
        use unicode_width::UnicodeWidthStr as _;
        for lang in [Lang::En, Lang::Zh] {
            let text = text_in(lang);
            let mut lines = text.lines().filter(|line| !line.contains("access_token="));
            assert!(lines.all(|line| line.width() <= crate::table::COLUMNS), "{text}");
        }
    }

    #[test]
    fn the_table_fits_a_terminal() {
        use unicode_width::UnicodeWidthStr as _;
        let year = year(1, 0.001, 1, 1_795_329_000);
        let rows = [1, 2, 3, 4, 6, 7].map(|kind| row(kind, 1_000_000_000_000_000, 1_000_000_000_000_000));
        let (account, months) = (&year.accounts()[0], &[1, 2]);
        let report = AccountReport { account, rows: &rows, users: None, months, access_token: "TOKEN" };
        for lang in [Lang::En, Lang::Zh] {
            let text = table(lang, &report).to_string();
            assert!(text.lines().all(|line| line.width() <= crate::table::COLUMNS), "{text}");
        }
    }

    #[test]
    fn numbers_and_shares_are_readable() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!((share(1, 3), share(0, 0)), ("33.3 %".to_owned(), "–".to_owned()));
    }
}
