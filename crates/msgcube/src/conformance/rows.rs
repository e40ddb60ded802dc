//! Checks the rows of an answer against the documentation of their interface. Source: WeChat's seven pages.

use std::{collections::BTreeSet, fmt, str::FromStr as _};

use datacube::{Day, Figures, Granularity, Interface};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    case::Step,
    complaint::{Complaint, RowFault, Unseen},
};

/// Complaints about rows that are reported; further ones are mostly alike.
const COMPLAINTS_MAX: usize = 3;
/// A field that real rows have but the pages do not. Always accepted. Source: published answers.
const UNDOCUMENTED: &str = "user_source";
const MSG_TYPES: [u64; 5] = [1, 2, 3, 4, 6];

/// A JSON object that keeps the order of its fields.
struct OrderedFields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for OrderedFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OrderedFields, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = OrderedFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderedFields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(OrderedFields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowList {
    list: Vec<AnyRow>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AnyRow {
    Fields(OrderedFields),
    Other(#[allow(dead_code, reason = "it is only told apart")] Value),
}

/// Date, hour, and type or interval of a row. Rows are sorted by it.
type Key = (Day, u64, u64);

/// What is wrong with the rows of an answer. With `sorted` also their order within a date is checked.
pub fn complaints(
    (interface, begin, end): (&Interface, Day, Day),
    body: &[u8],
    sorted: bool,
) -> Vec<Complaint> {
    let Ok(RowList { list }) = serde_json::from_slice(body) else { return vec![Complaint::NoList] };
    let mut wrong = Vec::new();
    let mut before: Option<Key> = None;
    for (number, row) in (1..).zip(list) {
        let key = match key(interface, row) {
            Ok(key) => key,
            Err(fault) => {
                wrong.push(Complaint::Row { number, fault });
                continue;
            }
        };
        let is_in_order = before.is_none_or(|before| if sorted { before < key } else { before.0 <= key.0 });
        let day = key.0;
        if !(begin..=end).contains(&day) {
            wrong.push(Complaint::Row { number, fault: RowFault::NotAsked { date: day.to_string() } });
        } else if day.start_of(interface.granularity) != day {
            wrong.push(Complaint::Row { number, fault: RowFault::NoPeriod { date: day.to_string() } });
        } else if !is_in_order {
            wrong.push(Complaint::Row { number, fault: RowFault::Order });
        }
        before = Some(key);
    }
    wrong.truncate(COMPLAINTS_MAX);
    wrong
}

/// What a valid answer does not show although the step tests it.
pub fn unseen(step: &Step, interface: &Interface, body: &[u8]) -> Option<Unseen> {
    let RowList { list } = serde_json::from_slice(body).ok()?;
    let number = list.len();
    if number == 0 {
        return (step.needs_rows || step.sorted).then_some(Unseen::Rows);
    }
    let keys = list.into_iter().filter_map(|row| key(interface, row).ok());
    let periods = keys.map(|(day, hour, _)| (day, hour)).collect::<BTreeSet<_>>().len();
    (step.sorted && (periods < 2 || number == periods)).then_some(Unseen::Order)
}

/// The number of rows of an answer. None: the answer is not a list.
pub fn count(body: &[u8]) -> Option<usize> {
    serde_json::from_slice::<RowList>(body).ok().map(|answer| answer.list.len())
}

fn key(interface: &Interface, row: AnyRow) -> Result<Key, RowFault> {
    let AnyRow::Fields(OrderedFields(mut fields)) = row else { return Err(RowFault::NoObject) };
    fields.retain(|(name, _)| name != UNDOCUMENTED);
    let wanted = documented(interface);
    if !fields.iter().map(|(name, _)| name.as_str()).eq(wanted.iter().copied()) {
        let found: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        return Err(RowFault::Fields { wanted: wanted.join(", "), found: found.join(", ") });
    }
    let mut key: Key = (Day::EARLIEST_OFFICIAL, 0, 0);
    for (name, value) in fields {
        let is_right = match (name.as_str(), value.as_u64()) {
            ("ref_date", _) => value.as_str().and_then(|text| Day::from_str(text).ok()).is_some_and(|day| {
                key.0 = day;
                true
            }),
            ("ref_hour", Some(hour)) => {
                key.1 = hour;
                hour <= 2300 && hour % 100 == 0
            }
            ("msg_type", Some(kind)) => {
                key.2 = kind;
                MSG_TYPES.contains(&kind)
            }
            ("count_interval", Some(interval)) => {
                key.2 = interval;
                interval <= 3
            }
            // Periods without messages are left out.
            (_, Some(number)) => number > 0,
            _ => false,
        };
        if !is_right {
            return Err(RowFault::Value { name, found: value.to_string() });
        }
    }
    Ok(key)
}

fn documented(interface: &Interface) -> Vec<&'static str> {
    let mut names = vec!["ref_date"];
    if interface.granularity == Granularity::Hour {
        names.push("ref_hour");
    }
    names.extend(match interface.figures {
        Figures::Totals => ["msg_type", "msg_user", "msg_count"].as_slice(),
        Figures::Distribution => &["count_interval", "msg_user"],
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, body: &str, sorted: bool) -> Vec<String> {
        let interface = Interface::by_short_name(name).unwrap();
        let (begin, end) = ("2014-12-01".parse().unwrap(), "2014-12-10".parse().unwrap());
        let wrong = complaints((interface, begin, end), body.as_bytes(), sorted);
        wrong.iter().map(|complaint| complaint.text().english()).collect()
    }

    #[test]
    fn documented_rows_pass_with_and_without_user_source() {
        let rows = r#"{"list":[{"ref_date":"2014-12-07","ref_hour":0,"msg_type":1,"msg_user":9,"msg_count":10},
            {"ref_date":"2014-12-07","ref_hour":100,"user_source":0,"msg_type":6,"msg_user":9,"msg_count":10}]}"#;
        assert_eq!(said("hour", rows, true), [""; 0]);
        assert_eq!(
            said("distweek", r#"{"list":[{"ref_date":"2014-12-08","count_interval":3,"msg_user":1}]}"#, true),
            [""; 0]
        );
        assert_eq!(said("day", r#"{"list":[]}"#, true), [""; 0]);
    }

    #[test]
    fn whatever_differs_from_the_page_is_named() {
        let row = |row: &str| format!(r#"{{"list":[{row}]}}"#);
        let day = r#"{"ref_date":"2014-12-07","msg_type":2,"msg_user":9,"msg_count":10}"#;
        for (name, body, expected) in [
            ("day", r#"{"errcode":0,"list":[]}"#.to_owned(), "nothing beside it"),
            ("day", "[]".to_owned(), "nothing beside it"),
            ("day", row("1"), "row 1: is not an object"),
            (
                "day",
                row(&day.replace("\"msg_type\":2,", "")),
                "has ref_date, msg_user, msg_count instead of ref_date, msg_type",
            ),
            (
                "day",
                row(r#"{"msg_type":2,"ref_date":"2014-12-07","msg_user":9,"msg_count":10}"#),
                "has msg_type, ref_date",
            ),
            ("day", row(&day.replace('9', "\"9\"")), "msg_user is \"9\""),
            ("day", row(&day.replace('9', "9.0")), "msg_user is 9.0"),
            ("day", row(&day.replace('9', "0")), "msg_user is 0"),
            ("day", row(&day.replace(":2,", ":5,")), "msg_type is 5"),
            ("day", row(&day.replace("12-07", "12-7")), "ref_date is \"2014-12-7\""),
            ("day", row(&day.replace("12-07", "12-11")), "2014-12-11 was not asked for"),
            ("week", row(day), "2014-12-07 is not the first day of such a period"),
            ("month", row(day), "2014-12-07 is not the first day of such a period"),
            ("dist", row(day), "instead of ref_date, count_interval, msg_user"),
            ("day", row(&format!("{day},{}", day.replace("-07", "-06"))), "row 2: does not come after"),
        ] {
            let said = said(name, &body, false);
            assert!(said.len() == 1 && said[0].contains(expected), "{body}: {said:?}");
        }
        let hour = r#"{"ref_date":"2014-12-07","ref_hour":150,"msg_type":2,"msg_user":9,"msg_count":10}"#;
        assert_eq!(said("hour", &row(hour), false), ["row 1: ref_hour is 150"]);
    }

    #[test]
    fn what_no_row_shows_is_not_seen() {
        let day = |day: u32, kind: u32| {
            format!(r#"{{"ref_date":"2014-12-0{day}","msg_type":{kind},"msg_user":9,"msg_count":10}}"#)
        };
        let needs_rows = Step { rows: true, needs_rows: true, ..Step::default() };
        let sorted = Step { rows: true, sorted: true, ..Step::default() };
        for (rows, of_rows, of_order) in [
            (vec![], Some(Unseen::Rows), Some(Unseen::Rows)),
            (vec![day(7, 1)], None, Some(Unseen::Order)),
            (vec![day(7, 1), day(8, 1)], None, Some(Unseen::Order)),
            (vec![day(7, 1), day(7, 2)], None, Some(Unseen::Order)),
            (vec![day(7, 1), day(7, 2), day(8, 1)], None, None),
        ] {
            let body = format!(r#"{{"list":[{}]}}"#, rows.join(","));
            let interface = Interface::by_short_name("day").unwrap();
            let seen = |step: &Step| unseen(step, interface, body.as_bytes());
            assert_eq!((seen(&needs_rows), seen(&sorted)), (of_rows, of_order), "{body}");
            assert_eq!(seen(&Step { rows: true, ..Step::default() }), None, "{body}");
        }
    }

    #[test]
    fn the_order_below_the_date_is_looked_at_only_where_it_is_asked_for() {
        let day = r#"{"ref_date":"2014-12-07","msg_type":2,"msg_user":9,"msg_count":10}"#;
        let body = format!(r#"{{"list":[{day},{}]}}"#, day.replace(":2,", ":1,"));
        assert_eq!(said("day", &body, false), [""; 0]);
        assert_eq!(said("day", &body, true), ["row 2: does not come after the one before"]);
    }
}
