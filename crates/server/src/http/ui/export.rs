//! Tables of pages as files: CSV and XLSX.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use datacube::Day;
use pages::{BeijingTime, ChartPeriod};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};

/// Begins a CSV file, so that spreadsheets read it as UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Most characters of a cell. A spreadsheet takes 32,767.
const CELL_CHARACTERS_MAX: usize = 32_000;
const COLUMN_WIDTH: f64 = 18.0;

/// A table. Its texts are in the viewer's language.
#[derive(Clone, Debug)]
pub struct ExportTable {
    /// The name of its file, without ending.
    pub file: &'static str,
    /// What it shows, in at most 31 characters.
    pub title: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows, each with a cell a column.
    pub rows: Vec<Vec<ExportCell>>,
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub enum ExportCell {
    /// Words. They may be a name that somebody else chose.
    Words(String),
    /// A number.
    Number(u64),
    /// A day in Beijing.
    OnDay(Day),
    /// A second in Beijing.
    At(BeijingTime),
    /// Not known.
    Blank,
}

impl ExportCell {
    /// A number, or nothing.
    pub fn known(number: Option<u64>) -> ExportCell {
        number.map_or(ExportCell::Blank, ExportCell::Number)
    }

    /// The start of a period.
    pub fn period(period: ChartPeriod) -> ExportCell {
        match period.granularity {
            datacube::Granularity::Hour => {
                ExportCell::At(BeijingTime { day: period.day, second: u32::from(period.hour) * 3600 })
            }
            _ => ExportCell::OnDay(period.day),
        }
    }

    fn text(&self) -> String {
        match self {
            ExportCell::Words(words) => harmless(words).into_owned(),
            ExportCell::Number(number) => number.to_string(),
            ExportCell::OnDay(day) => day.to_string(),
            ExportCell::At(time) => {
                let (hour, minute, second) = time.clock();
                format!("{} {hour:02}:{minute:02}:{second:02}", time.day)
            }
            ExportCell::Blank => String::new(),
        }
    }
}

/// A spreadsheet runs a cell of a CSV file that begins with one of these. An apostrophe makes it a text.
fn harmless(words: &str) -> Cow<'_, str> {
    if words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{words}").into()
    } else {
        words.into()
    }
}

/// One table, or all tables one after the other, each below its title.
pub fn csv(tables: &[ExportTable]) -> Vec<u8> {
    let mut file = BYTE_ORDER_MARK.to_owned();
    for (at, table) in tables.iter().enumerate() {
        if tables.len() > 1 {
            file.push_str(if at > 0 { "\r\n" } else { "" });
            file.push_str(&record([harmless(&table.title).into_owned()]));
        }
        file.push_str(&record(table.head.iter().map(|head| harmless(head).into_owned())));
        for row in &table.rows {
            file.push_str(&record(row.iter().map(ExportCell::text)));
        }
    }
    file.into_bytes()
}

fn record(fields: impl IntoIterator<Item = String>) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(fields);
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A sheet a table. `now_s` is written as the time the file was made, in Unix seconds.
///
/// # Errors
///
/// If a table does not fit into a sheet.
pub fn xlsx(tables: &[ExportTable], now_s: i64) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // A spreadsheet knows no time before 1900, which only a clock that was set by hand shows.
    if let Ok(made) = ExcelDateTime::from_timestamp(now_s) {
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&made));
    }
    for table in tables {
        let sheet = workbook.add_worksheet();
        sheet.set_name(&table.title)?;
        write_sheet(sheet, table)?;
    }
    workbook.save_to_buffer()
}

fn write_sheet(sheet: &mut Worksheet, table: &ExportTable) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    for (column, head) in (0_u16..).zip(&table.head) {
        sheet.write_string_with_format(0, column, head, &bold)?;
        sheet.set_column_width(column, COLUMN_WIDTH)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    for (row, cells) in (1_u32..).zip(&table.rows) {
        for (column, cell) in (0_u16..).zip(cells) {
            match (cell, date(cell)) {
                (ExportCell::Blank, _) => {}
                (ExportCell::Number(number), _) => {
                    #[expect(clippy::cast_precision_loss, reason = "numbers of a spreadsheet are f64")]
                    sheet.write_number(row, column, *number as f64)?;
                }
                (ExportCell::At(_), Some(date)) => {
                    sheet.write_datetime_with_format(row, column, date, &time)?;
                }
                (_, Some(date)) => {
                    sheet.write_datetime_with_format(row, column, date, &day)?;
                }
                (ExportCell::Words(words), None) => {
                    let words: String = words.chars().take(CELL_CHARACTERS_MAX).collect();
                    sheet.write_string(row, column, words)?;
                }
                (_, None) => {
                    sheet.write_string(row, column, cell.text())?;
                }
            }
        }
    }
    Ok(())
}

/// The date of a cell. None: it has none, or a spreadsheet has no such date.
fn date(cell: &ExportCell) -> Option<ExcelDateTime> {
    let time = match cell {
        ExportCell::OnDay(day) => BeijingTime { day: *day, second: 0 },
        ExportCell::At(time) => *time,
        _ => return None,
    };
    let (year, month, day) = time.day.ymd();
    let (hour, minute, second) = time.clock();
    let date = ExcelDateTime::from_ymd(
        u16::try_from(year).ok()?,
        u8::try_from(month).ok()?,
        u8::try_from(day).ok()?,
    );
    date.and_then(|date| {
        date.and_hms(
            u16::try_from(hour).unwrap_or_default(),
            u8::try_from(minute).unwrap_or_default(),
            second,
        )
    })
    .ok()
}

/// A file that the browser saves. `name` is cut down to characters that every system takes.
pub fn file(name: &str, content_type: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Tables as a file of this format: `csv` or `xlsx`. None for another one, or if they do not fit.
pub fn tables_file(tables: &[ExportTable], name: &str, format: &str, now_s: i64) -> Option<Response<Body>> {
    let name = format!("{name}.{format}");
    match format {
        "csv" => Some(file(&name, "text/csv; charset=utf-8", csv(tables))),
        "xlsx" => {
            let bytes =
                xlsx(tables, now_s).inspect_err(|error| tracing::error!(%error, "no XLSX file was made"));
            Some(file(
                &name,
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                bytes.ok()?,
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ExportTable {
        let words = |words: &str| vec![ExportCell::Words(words.to_owned()), ExportCell::Number(7)];
        ExportTable {
            file: "events",
            title: "Events".to_owned(),
            head: vec!["Event".to_owned(), "Number".to_owned()],
            rows: ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "a,\"b\"\n=c", "plain"].map(words).into(),
        }
    }

    #[test]
    fn no_cell_of_a_csv_file_is_run_by_a_spreadsheet() {
        let file = String::from_utf8(csv(&[table()])).unwrap();
        let rows = "Event,Number\r\n'=1+1,7\r\n'+1,7\r\n'-1,7\r\n'@a,7\r\n'\ta,7\r\n\"'\ra\",7\r\n\"a,\"\"b\"\"\n=c\",7\r\nplain,7\r\n";
        assert_eq!(file, format!("\u{feff}{rows}"));
        let several = String::from_utf8(csv(&[table(), table()])).unwrap();
        assert_eq!(several, format!("\u{feff}Events\r\n{rows}\r\nEvents\r\n{rows}"));
    }

    #[test]
    fn dates_are_dates_and_those_before_spreadsheets_are_texts() {
        let at = ExportCell::At(BeijingTime { day: "2026-11-28".parse().unwrap(), second: 3661 });
        assert_eq!(at.text(), "2026-11-28 01:01:01");
        let days = date(&at).unwrap().to_excel();
        assert!(days > 46_354.0 && days < 46_355.0, "days since 1899-12-30: {days}");
        assert!(date(&ExportCell::OnDay("1850-01-01".parse().unwrap())).is_none());
        let early = ExportTable {
            rows: vec![vec![ExportCell::OnDay("1850-01-01".parse().unwrap()), ExportCell::Blank]],
            ..table()
        };
        assert!(xlsx(&[early], 1_800_000_000).unwrap().starts_with(b"PK"));
    }
}
