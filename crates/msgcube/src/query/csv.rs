//! Rows as CSV (RFC 4180): a header, and lines that end with CR LF.

use csv::{Terminator, WriterBuilder};
use datacube::{Figures, Granularity, Interface, Row};

/// The name of a column, and a function that reads it from a row.
type Column = (&'static str, fn(&Row) -> String);

/// The documented fields of the interface's rows in their order, without the undocumented `user_source`.
pub fn csv(rows: &[Row], interface: &Interface) -> String {
    let columns = columns(interface);
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(columns.iter().map(|(name, _)| *name));
    for row in rows {
        let _ = writer.write_record(columns.iter().map(|(_, field)| field(row)));
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn columns(interface: &Interface) -> Vec<Column> {
    let mut columns: Vec<Column> = vec![("ref_date", |row| row.ref_date.to_string())];
    if interface.granularity == Granularity::Hour {
        columns.push(("ref_hour", |row| number_text(row.ref_hour)));
    }
    match interface.figures {
        Figures::Totals => columns.push(("msg_type", |row| number_text(row.msg_type))),
        Figures::Distribution => columns.push(("count_interval", |row| number_text(row.count_interval))),
    }
    columns.push(("msg_user", |row| row.msg_user.to_string()));
    if interface.figures == Figures::Totals {
        columns.push(("msg_count", |row| number_text(row.msg_count)));
    }
    columns
}

fn number_text(number: Option<impl ToString>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(interface: &str, row: &str, expected: &str) {
        let rows: Vec<Row> = serde_json::from_str(&format!("[{row}]")).unwrap();
        assert_eq!(csv(&rows, Interface::by_short_name(interface).unwrap()), expected);
    }

    #[test]
    fn each_kind_of_row_has_its_documented_fields() {
        check(
            "month",
            r#"{"ref_date":"2014-11-01","user_source":0,"msg_type":1,"msg_user":7989,"msg_count":42206}"#,
            "ref_date,msg_type,msg_user,msg_count\r\n2014-11-01,1,7989,42206\r\n",
        );
        check(
            "hour",
            r#"{"ref_date":"2014-12-07","ref_hour":0,"msg_type":1,"msg_user":9,"msg_count":10}"#,
            "ref_date,ref_hour,msg_type,msg_user,msg_count\r\n2014-12-07,0,1,9,10\r\n",
        );
        check(
            "dist",
            r#"{"ref_date":"2014-12-07","count_interval":1,"msg_user":246}"#,
            "ref_date,count_interval,msg_user\r\n2014-12-07,1,246\r\n",
        );
    }
}
