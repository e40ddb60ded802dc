//! The output of `msgcube demo`: last month's figures of each account, then commands that ask for them.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use datacube::{Day, Interface, Row};
use i18n::{Lang, text};
use server::intake::path;

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
#[derive(Clone, Copy, Debug)]
pub struct AnnouncementContext<'a> {
    /// Language of the text.
    pub lang: Lang,
    /// The name the program was started with (`argv[0]`), for the printed commands.
    pub program: &'a str,
    /// The base URL of the server, without a slash at the end.
    pub base_url: &'a str,
    /// The 1st of the last complete month.
    pub last_month: Day,
}

/// The whole text of a demo that serves.
pub fn announcement(context: AnnouncementContext<'_>, reports: &[AccountReport<'_>]) -> String {
    let mut text = all_figures(context, reports);
    if let Some(first) = reports.first() {
        text += &how_to_ask(context, first);
        text += &what_next(context, first.account);
    }
    text
}

/// Only the accounts' figures.
pub fn all_figures(context: AnnouncementContext<'_>, reports: &[AccountReport<'_>]) -> String {
    reports.iter().map(|report| figures(context, report)).collect()
}

fn figures(context: AnnouncementContext<'_>, report: &AccountReport<'_>) -> String {
    let AnnouncementContext { lang, last_month, .. } = context;
    let name = lang.pick(report.account.name_en, report.account.name_zh);
    let month = &last_month.to_string()[..7];
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

fn how_to_ask(context: AnnouncementContext<'_>, report: &AccountReport<'_>) -> String {
    let AnnouncementContext { lang, base_url, .. } = context;
    let DemoAccount { appid, secret, token, .. } = report.account;
    let names = [text!("base URL"), text!("callback"), text!("debugging page")];
    let [url, callback, page] = names.map(|name| name.in_lang(lang));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{url}: {base_url}");
    let _ = writeln!(text, "{callback}: {base_url}{}  (Token: {token})", path::of_account(appid));
    let _ = writeln!(text, "{page}: {base_url}/debug");
    let _ = writeln!(text, "appid: {appid}  secret: {secret}");
    let _ = writeln!(text, "access_token: {}", report.access_token);
    let asked = text!("Last month, through WeChat's own interface:").in_lang(lang);
    let _ = writeln!(text, "\n{asked}\n{}", curl(context, report.access_token));
    text
}

fn curl(context: AnnouncementContext<'_>, access_token: &str) -> String {
    let AnnouncementContext { base_url, last_month, .. } = context;
    let path = Interface::by_short_name("month").map(Interface::path).unwrap_or_default();
    let body = format!(r#"{{"begin_date":"{last_month}","end_date":"{last_month}"}}"#);
    format!("curl '{base_url}{path}?access_token={access_token}' -d '{body}'")
}

fn what_next(context: AnnouncementContext<'_>, account: &DemoAccount) -> String {
    let AnnouncementContext { lang, program, base_url, last_month } = context;
    let DemoAccount { appid, secret, token, encoding_aes_key, .. } = account;
    let to = &last_month.to_string()[..7];
    // 330 days before a 1st is a day in the month eleven months before.
    let from = &last_month.plus_days(-330).to_string()[..7];
    let next = text!("Next, in another terminal:").in_lang(lang);
    let stop = text!("Ctrl-C stops the demo.").in_lang(lang);
    let query = format!(
        "{program} query month --from {from} --to {to} --server {base_url} --appid {appid} --secret {secret}"
    );
    let send = format!(
        "{program} send --text hi --safe --server {base_url} --appid {appid} --token {token} \
         --encoding-aes-key {encoding_aes_key}"
    );
    format!("\n{next}\n{query}\n{send}\n\n{stop}\n")
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
        let base_url = "http://127.0.0.1:8060";
        announcement(
            AnnouncementContext { lang, program: "msgcube", base_url, last_month: year.last_month() },
            &[report],
        )
    }

    #[test]
    fn the_curl_line_asks_for_the_first_of_last_month() {
        let line = "curl 'http://127.0.0.1:8060/datacube/getupstreammsgmonth?access_token=TOKEN' \
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
        assert!(text_in(Lang::Zh).contains("调试页面: http://127.0.0.1:8060/debug\n"));
        assert!(
            text.contains("msgcube query month --from 2025-11 --to 2026-10 --server http://127.0.0.1:8060"),
            "{text}"
        );
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
