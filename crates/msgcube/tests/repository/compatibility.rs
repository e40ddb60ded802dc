//! COMPATIBILITY.md says exactly what the tables of interfaces and of error codes say.

use std::path::Path;

use datacube::{ERROR_CODES, INTERFACES};
use wechat::error_guide::MEANINGS;

/// The cells of the table that follows `<!-- table: NAME -->`, without its two heading lines.
fn table(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let page = std::fs::read_to_string(path).expect("COMPATIBILITY.md stands beside the workspace");
    let mark = format!("<!-- table: {name} -->");
    let (_, after) = page.split_once(&mark).expect("the table is marked");
    let (text, _) = after.split_once("<!-- end -->").expect("the table's end is marked");
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_interfaces_stand_there_with_their_spans_and_no_others() {
    let written: Vec<Vec<String>> = table("interfaces").iter().map(|row| row[..4].to_vec()).collect();
    let known: Vec<Vec<String>> = INTERFACES
        .iter()
        .map(|interface| {
            let spans = [interface.span_days_lenient, interface.span_days_strict];
            let names = [interface.name, interface.cloud_name];
            names.map(str::to_owned).into_iter().chain(spans.map(|days| days.to_string())).collect()
        })
        .collect();
    assert_eq!(written, known);
}

#[test]
fn the_error_codes_stand_there_with_their_texts_and_no_others() {
    let written: Vec<Vec<String>> = table("error codes").iter().map(|row| row[..2].to_vec()).collect();
    let known: Vec<Vec<String>> =
        ERROR_CODES.iter().map(|error| vec![error.code.to_string(), error.text.to_owned()]).collect();
    assert_eq!(written, known);
}

#[test]
fn when_each_code_is_answered_stands_there_as_people_read_it_elsewhere() {
    for (row, meaning) in table("error codes").iter().zip(MEANINGS) {
        assert_eq!(row[2].replace('`', ""), meaning.when.english(), "{}", meaning.code);
    }
}

#[test]
fn every_error_code_is_marked() {
    for row in table("error codes") {
        let marks = ["**documented**", "**seen**", "**assumed**"];
        assert!(marks.iter().any(|mark| row[3].contains(mark)), "{} is not marked", row[0]);
    }
}
