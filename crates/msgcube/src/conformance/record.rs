//! What was asked and answered, as a file that can be sent in and judged again: JSON, without secrets.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use datacube::Day;
use serde::{Deserialize, Serialize};

use super::{
    case::Case,
    error::ConformanceError,
    kit::Group,
    mask::{APPID, Mask, SECRET, blanked, without_addresses},
    request::Request,
    template::Known,
    walk::{Asked, Verdict, Walked, WhyNot},
};
use crate::probe::exchange::{Answer, NoAnswer, Outcome};

/// A later one says what it added.
const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// The version of the program that asked.
    pub kit: String,
    /// WeChat's host, or that it was another.
    pub server: String,
    /// In Beijing.
    pub day: Day,
    /// Whether numbers of users and messages are the real ones.
    pub figures_kept: bool,
    /// Names of the cases that differed when they were asked.
    pub differs: Vec<String>,
    cases: Vec<RecordedCase>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordedCase {
    name: String,
    today: Day,
    token: String,
    steps: Vec<RecordedStep>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordedStep {
    at_s: i64,
    /// For readers, and to see whether the case still asks the same.
    request: RecordedRequest,
    answers: Vec<RecordedAnswer>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordedRequest {
    line: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RecordedAnswer {
    Answer { status: u16, headers: BTreeMap<String, String>, body: String },
    None(NoAnswer),
}

impl Record {
    /// One without cases.
    pub fn new(server: String, day: Day) -> Record {
        Record {
            format: FORMAT,
            kit: env!("CARGO_PKG_VERSION").to_owned(),
            server,
            day,
            figures_kept: true,
            differs: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// Adds a case that was asked with this token, hidden by the mask.
    pub async fn add(&mut self, walked: &Walked<'_>, token: &str, mask: &mut Mask) {
        let step = |asked: &Asked| {
            let outcomes: Vec<Outcome> = asked.outcomes.iter().map(|outcome| mask.outcome(outcome)).collect();
            (asked.at_s, outcomes)
        };
        let steps: Vec<(i64, Vec<Outcome>)> = walked.asked.iter().map(step).collect();
        let token = mask.token(token);
        let shown = again(walked.case, walked.today, &token, &steps).await;
        let steps = shown.asked.iter().map(RecordedStep::of).collect();
        let name = walked.case.name.clone();
        if shown.verdict == Verdict::Differs {
            self.differs.push(name.clone());
        }
        self.cases.push(RecordedCase { name, today: walked.today, token, steps });
    }

    /// The cases of the kit with what the record has of them, judged anew.
    pub async fn judged<'a>(
        &self,
        groups: &'a [Group],
        why_missing: impl Fn(&Case) -> WhyNot,
    ) -> Vec<Vec<Walked<'a>>> {
        let mut judged = Vec::new();
        for group in groups {
            let mut walks = Vec::new();
            for case in &group.cases {
                walks.push(match self.cases.iter().find(|recorded| recorded.name == case.name) {
                    Some(recorded) => recorded.judged(case).await,
                    None => Walked::not_asked(case, self.day, why_missing(case)),
                });
            }
            judged.push(walks);
        }
        judged
    }

    /// Names that no case of the kit has: those of a later or an earlier version.
    pub fn unknown<'a>(&'a self, groups: &'a [Group]) -> impl Iterator<Item = &'a str> {
        let is_known =
            |name: &str| groups.iter().flat_map(|group| &group.cases).any(|case| case.name == name);
        self.cases.iter().map(|case| case.name.as_str()).filter(move |name| !is_known(name))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Record, ConformanceError> {
        let error = |why: String| ConformanceError::Record { path: path.to_owned(), why };
        let size = std::fs::metadata(path).map_err(|why| error(why.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(error("it is over 64 MiB".to_owned()));
        }
        let text = std::fs::read(path).map_err(|why| error(why.to_string()))?;
        // Said before a later format's fields are met.
        let format = serde_json::from_slice::<serde_json::Value>(&text).map(|value| value["format"].as_u64());
        match format {
            Ok(Some(format)) if format != u64::from(FORMAT) => {
                Err(error(format!("it has format {format}, and this version reads {FORMAT}")))
            }
            _ => serde_json::from_slice(&text).map_err(|why| error(format!("it is no record: {why}"))),
        }
    }

    /// As others may see it.
    #[must_use]
    pub fn for_others(mut self, keeps_figures: bool) -> Record {
        self.figures_kept = keeps_figures;
        let steps = self.cases.iter_mut().flat_map(|case| &mut case.steps);
        for answer in steps.flat_map(|step| &mut step.answers) {
            if let RecordedAnswer::Answer { body, .. } = answer {
                *body = without_addresses(body);
                if !keeps_figures {
                    *body = blanked(body);
                }
            }
        }
        self
    }

    /// Writes a file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ConformanceError> {
        let error = |why: String| ConformanceError::Record { path: path.to_owned(), why };
        let mut text = serde_json::to_string_pretty(self).map_err(|why| error(why.to_string()))?;
        text.push('\n');
        let mut file = beside(path)?;
        file.write_all(text.as_bytes()).map_err(|why| error(why.to_string()))?;
        file.persist(path).map_err(|why| error(why.to_string()))?;
        Ok(())
    }
}

/// A new file in the folder of another: whether it can be written shows before anything is asked.
pub fn beside(path: &Path) -> Result<tempfile::NamedTempFile, ConformanceError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Without the name of the new file.
    let error =
        |why: std::io::Error| ConformanceError::Record { path: path.to_owned(), why: why.kind().to_string() };
    if path.is_dir() {
        return Err(error(std::io::ErrorKind::IsADirectory.into()));
    }
    tempfile::NamedTempFile::new_in(folder).map_err(error)
}

impl RecordedCase {
    async fn judged<'a>(&self, case: &'a Case) -> Walked<'a> {
        let steps: Vec<_> = self.steps.iter().map(RecordedStep::outcomes).collect();
        let walked = again(case, self.today, &self.token, &steps).await;
        let requests = walked.asked.iter().map(|asked| RecordedRequest::of(&asked.request));
        let is_same = requests.eq(self.steps.iter().map(|step| step.request.clone()));
        if is_same { walked } else { Walked::not_asked(case, self.today, WhyNot::NotRecorded) }
    }
}

/// Through a case with the answers that it had.
async fn again<'a>(case: &'a Case, today: Day, token: &str, steps: &[(i64, Vec<Outcome>)]) -> Walked<'a> {
    let mut known = Known::on(today);
    for (name, value) in [("appid", APPID), ("secret", SECRET), ("token", token)] {
        known.insert(name, value);
    }
    let mut steps = steps.iter().cloned();
    let answer = async |_: &_, _| Ok::<_, std::convert::Infallible>(steps.next().unwrap_or_default());
    match Walked::through(case, today, known, answer).await {
        Ok(walked) => walked,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl RecordedRequest {
    fn of(request: &Request) -> RecordedRequest {
        RecordedRequest {
            line: text(&request.line),
            headers: request.headers.clone(),
            body: request.body.as_deref().map(text),
        }
    }
}

impl RecordedStep {
    fn of(asked: &Asked) -> RecordedStep {
        let request = RecordedRequest::of(&asked.request);
        let answer = |outcome: &Outcome| match outcome {
            Ok(answer) => RecordedAnswer::Answer {
                status: answer.status,
                headers: answer.headers.iter().cloned().collect(),
                body: text(&answer.body),
            },
            Err(why) => RecordedAnswer::None(*why),
        };
        RecordedStep { at_s: asked.at_s, request, answers: asked.outcomes.iter().map(answer).collect() }
    }

    fn outcomes(&self) -> (i64, Vec<Outcome>) {
        let outcome = |answer: &RecordedAnswer| match answer {
            RecordedAnswer::Answer { status, headers, body } => {
                let (headers, body) = (headers.clone().into_iter().collect(), body.clone().into_bytes());
                Ok(Answer { status: *status, headers, body })
            }
            RecordedAnswer::None(why) => Err(*why),
        };
        (self.at_s, self.answers.iter().map(outcome).collect())
    }
}
