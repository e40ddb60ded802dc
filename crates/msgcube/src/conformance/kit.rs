//! The cases for any server of the interface. They are built into the program.

use super::{
    case::{Case, Cases, Step, Title},
    error::ConformanceError,
};

/// The files in the order of the report. Cases that invalidate tokens are last in their file.
static FILES: [&str; 5] = [
    include_str!("../../tests/program/wire/cases/anywhere_tokens.toml"),
    include_str!("../../tests/program/wire/cases/anywhere_errors.toml"),
    include_str!("../../tests/program/wire/cases/anywhere_bodies.toml"),
    include_str!("../../tests/program/wire/cases/anywhere_dates.toml"),
    include_str!("../../tests/program/wire/cases/anywhere_rows.toml"),
];

/// Cases with a common subject.
#[derive(Clone, Debug)]
pub struct CaseGroup {
    pub title: Title,
    pub cases: Vec<Case>,
}

/// All groups of cases.
pub fn groups() -> Result<Vec<CaseGroup>, ConformanceError> {
    let group = |text: &&str| {
        let read: Cases = toml::from_str(text).map_err(|error| ConformanceError::Cases(error.to_string()))?;
        let title = read.title.ok_or_else(|| ConformanceError::Cases("a file has no title".to_owned()))?;
        Ok(CaseGroup { title, cases: read.case })
    };
    FILES.iter().map(group).collect()
}

impl Case {
    /// The number of requests.
    pub fn calls(&self) -> usize {
        self.step.iter().map(Step::calls).sum()
    }

    /// Whether it sends the account's appid or secret, so that a token alone is not enough.
    pub fn needs_secret(&self) -> bool {
        let needs = |text: &String| text.contains("{appid}") || text.contains("{secret}");
        self.step.iter().any(|step| step.send.iter().chain(&step.body).chain(&step.headers).any(needs))
    }
}

impl Step {
    /// The number of requests.
    pub fn calls(&self) -> usize {
        if self.twice { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datacube::ErrorCode;

    use super::*;
    use crate::conformance::{
        mask::is_recorded,
        request::Request,
        template::{Escaping, Placeholders, fill},
    };

    fn cases() -> Vec<Case> {
        groups().unwrap().into_iter().flat_map(|group| group.cases).collect()
    }

    /// Whether a step needs neither a msgcube server nor special settings.
    fn is_for_any_server(step: &Step) -> bool {
        let paths = ["/datacube/", "/cgi-bin/"];
        let is_known = |send: &String| paths.iter().any(|path| send.contains(&format!(" {path}")));
        let codes = step.errcode.iter().chain(&step.or_errcodes);
        step.send.as_ref().map_or(step.ask.is_some(), is_known)
            && step.callback.is_none()
            && step.restart.is_none()
            && step.hint.is_none()
            && step.admin_key.is_none()
            && !step.at_admin
            && !step.closed
            && step.answer_headers.keys().all(|name| is_recorded(name))
            && codes.into_iter().all(|code| ErrorCode::by_number(i32::try_from(*code).unwrap()).is_some())
    }

    #[test]
    fn every_case_can_be_asked_of_any_server_and_has_all_that_the_table_needs() {
        let cases = cases();
        assert!(cases.len() > 100, "{}", cases.len());
        for case in &cases {
            let is_plain = case.config.is_empty()
                && case.account.is_empty()
                && case.feed_other.is_empty()
                && case.covers.is_none();
            assert!(is_plain, "{}: it needs a server of ours", case.name);
            assert!(case.zh.is_some() && case.sure.is_some(), "{}: zh, sure", case.name);
            assert!(case.step.iter().all(is_for_any_server), "{}", case.name);
            let has_rows = |step: &Step| step.rows || !(step.needs_rows || step.sorted);
            assert!(case.step.iter().all(has_rows), "{}: needs_rows and sorted are about rows", case.name);
            assert!(case.name.chars().count() <= 90, "{}: too long for a table", case.name);
        }
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "names are unique: records are found by them");
        let all_zh: BTreeSet<&str> = cases.iter().filter_map(|case| case.zh.as_deref()).collect();
        assert_eq!(all_zh.len(), cases.len());
    }

    #[test]
    fn every_case_can_be_filled_in_and_asks_what_its_rows_need() {
        for day in ["2014-12-01", "2016-02-29", "2027-01-01"] {
            for case in cases() {
                let mut known = Placeholders::on(day.parse().unwrap());
                for name in ["appid", "secret", "token"] {
                    known.insert(name, "x");
                }
                for step in &case.step {
                    let request = Request::of(step, &known);
                    let request = request.unwrap_or_else(|error| panic!("{}: {error}", case.name));
                    assert!(!step.rows || request.question().is_some(), "{}", case.name);
                    for text in step.json.iter().chain(&step.answer_has).chain(&step.answer_lacks) {
                        fill(text, &known, Escaping::Json).unwrap();
                    }
                    step.remember.keys().for_each(|name| known.insert(name, "x"));
                }
            }
        }
    }

    #[test]
    fn what_ends_tokens_is_marked() {
        for case in cases() {
            let takes = |step: &Step| {
                let body = step.body.as_deref().unwrap_or_default();
                let send = step.send.as_deref().unwrap_or_default();
                body.contains(r#""force_refresh":true"#)
                    || (send.contains("/cgi-bin/token") && send.contains("{secret}"))
            };
            assert_eq!(case.disturbs, case.step.iter().any(takes), "{}", case.name);
        }
    }

    #[test]
    fn a_token_alone_is_enough_for_most_cases() {
        let (with_secret, without): (Vec<Case>, Vec<Case>) =
            cases().into_iter().partition(Case::needs_secret);
        assert!(without.len() > 2 * with_secret.len(), "{} {}", without.len(), with_secret.len());
        assert!(with_secret.iter().any(|case| case.name.starts_with("stable_token")));
    }
}
