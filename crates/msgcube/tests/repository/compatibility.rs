//! The tables in COMPATIBILITY.md match the tables of interfaces and error codes in the code.

use std::path::Path;

use datacube::{ERROR_CODES, INTERFACES};
use wechat::error_guide::MEANINGS;

/// The cells of the table after `<!-- table: NAME -->`, without its two header lines.
fn table(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let page = std::fs::read_to_string(path).expect("COMPATIBILITY.md is in the root of the workspace");
    let mark = format!("<!-- table: {name} -->");
    let (_, after) = page.split_once(&mark).expect("the start of the table is marked");
    let (text, _) = after.split_once("<!-- end -->").expect("the end of the table is marked");
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_page_lists_exactly_the_interfaces_with_their_spans() {
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
fn the_page_lists_exactly_the_error_codes_with_their_texts() {
    let written: Vec<Vec<String>> = table("error codes").iter().map(|row| row[..2].to_vec()).collect();
    let known: Vec<Vec<String>> =
        ERROR_CODES.iter().map(|error| vec![error.code.to_string(), error.text.to_owned()]).collect();
    assert_eq!(written, known);
}

#[test]
fn the_page_explains_each_code_in_the_words_of_the_error_guide() {
    for (row, meaning) in table("error codes").iter().zip(MEANINGS) {
        assert_eq!(row[2].replace('`', ""), meaning.when.english(), "{}", meaning.code);
    }
}

#[test]
fn every_error_code_is_marked_documented_seen_or_assumed() {
    for row in table("error codes") {
        let marks = ["**documented**", "**seen**", "**assumed**"];
        assert!(marks.iter().any(|mark| row[3].contains(mark)), "{} has no mark", row[0]);
    }
}
