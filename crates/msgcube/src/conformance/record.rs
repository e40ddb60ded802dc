//! The requests and answers of a run, as a JSON file without secrets. It can be shared and judged again.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use datacube::Day;
use serde::{Deserialize, Serialize};

use super::{
    case::Case,
    case_run::{CaseResult, CaseVerdict, SkipReason, StepResult},
    error::ConformanceError,
    kit::CaseGroup,
    mask::{APPID, Mask, SECRET, without_addresses, without_figures},
    request::Request,
    template::Placeholders,
};
use crate::probe::exchange::{ExchangeResult, NoAnswer, RawAnswer};

/// Version of the file format.
const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The record of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRecord {
    format: u32,
    /// The version of msgcube that made the record.
    pub kit: String,
    /// WeChat's base URL, or `another server`.
    pub server: String,
    /// The day of the run, in Beijing.
    pub day: Day,
    /// Whether the numbers of users and messages are real.
    pub figures_kept: bool,
    /// Names of the cases that differed during the run.
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
    /// For readers, and to detect that a case has changed since.
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

impl AnswerRecord {
    /// A record without cases.
    pub fn new(server: String, day: Day) -> AnswerRecord {
        AnswerRecord {
            format: FORMAT,
            kit: env!("CARGO_PKG_VERSION").to_owned(),
            server,
            day,
            figures_kept: true,
            differs: Vec::new(),
            cases: Vec::new(),
        }
    }

    /// Adds a case that was run with this token. The mask hides the secrets.
    pub async fn add(&mut self, result: &CaseResult<'_>, token: &str, mask: &mut Mask) {
        let step = |asked: &StepResult| {
            let outcomes: Vec<ExchangeResult> =
                asked.outcomes.iter().map(|outcome| mask.outcome(outcome)).collect();
            (asked.at_s, outcomes)
        };
        let steps: Vec<(i64, Vec<ExchangeResult>)> = result.steps.iter().map(step).collect();
        let token = mask.token(token);
        let masked = replay(result.case, result.today, &token, &steps).await;
        let steps = masked.steps.iter().map(RecordedStep::of).collect();
        let name = result.case.name.clone();
        if masked.verdict == CaseVerdict::Differs {
            self.differs.push(name.clone());
        }
        self.cases.push(RecordedCase { name, today: result.today, token, steps });
    }

    /// Judges all cases of the kit by the answers in the record.
    pub async fn judge<'a>(
        &self,
        groups: &'a [CaseGroup],
        why_missing: impl Fn(&Case) -> SkipReason,
    ) -> Vec<Vec<CaseResult<'a>>> {
        let mut judged = Vec::new();
        for group in groups {
            let mut results = Vec::new();
            for case in &group.cases {
                results.push(match self.cases.iter().find(|recorded| recorded.name == case.name) {
                    Some(recorded) => recorded.judge(case).await,
                    None => CaseResult::not_asked(case, self.day, why_missing(case)),
                });
            }
            judged.push(results);
        }
        judged
    }

    /// Names of recorded cases that the kit does not have; they are from another version.
    pub fn unknown_cases<'a>(&'a self, groups: &'a [CaseGroup]) -> impl Iterator<Item = &'a str> {
        let is_known =
            |name: &str| groups.iter().flat_map(|group| &group.cases).any(|case| case.name == name);
        self.cases.iter().map(|case| case.name.as_str()).filter(move |name| !is_known(name))
    }

    /// Reads a record from a file.
    pub fn read(path: &Path) -> Result<AnswerRecord, ConformanceError> {
        let error = |why: String| ConformanceError::Record { path: path.to_owned(), why };
        let size = std::fs::metadata(path).map_err(|why| error(why.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(error("it is over 64 MiB".to_owned()));
        }
        let text = std::fs::read(path).map_err(|why| error(why.to_string()))?;
        // Checked first: a later format may have unknown fields.
        let format = serde_json::from_slice::<serde_json::Value>(&text).map(|value| value["format"].as_u64());
        match format {
            Ok(Some(format)) if format != u64::from(FORMAT) => {
                Err(error(format!("it has format {format}, and this version reads {FORMAT}")))
            }
            _ => serde_json::from_slice(&text).map_err(|why| error(format!("it is not a record: {why}"))),
        }
    }

    /// The record without addresses and, unless `keeps_figures`, without figures.
    #[must_use]
    pub fn for_sharing(mut self, keeps_figures: bool) -> AnswerRecord {
        self.figures_kept = keeps_figures;
        let steps = self.cases.iter_mut().flat_map(|case| &mut case.steps);
        for answer in steps.flat_map(|step| &mut step.answers) {
            if let RecordedAnswer::Answer { body, .. } = answer {
                *body = without_addresses(body);
                if !keeps_figures {
                    *body = without_figures(body);
                }
            }
        }
        self
    }

    /// Writes the record to a file atomically.
    pub fn write(&self, path: &Path) -> Result<(), ConformanceError> {
        let error = |why: String| ConformanceError::Record { path: path.to_owned(), why };
        let mut text = serde_json::to_string_pretty(self).map_err(|why| error(why.to_string()))?;
        text.push('\n');
        let mut file = temporary_file_for(path)?;
        file.write_all(text.as_bytes()).map_err(|why| error(why.to_string()))?;
        file.persist(path).map_err(|why| error(why.to_string()))?;
        Ok(())
    }
}

/// Creates a temporary file beside `path`. Called before the first request, it shows whether the record can be written.
pub fn temporary_file_for(path: &Path) -> Result<tempfile::NamedTempFile, ConformanceError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The error must not name the temporary file.
    let error =
        |why: std::io::Error| ConformanceError::Record { path: path.to_owned(), why: why.kind().to_string() };
    if path.is_dir() {
        return Err(error(std::io::ErrorKind::IsADirectory.into()));
    }
    tempfile::NamedTempFile::new_in(folder).map_err(error)
}

impl RecordedCase {
    async fn judge<'a>(&self, case: &'a Case) -> CaseResult<'a> {
        let steps: Vec<_> = self.steps.iter().map(RecordedStep::outcomes).collect();
        let result = replay(case, self.today, &self.token, &steps).await;
        let requests = result.steps.iter().map(|asked| RecordedRequest::of(&asked.request));
        let is_same = requests.eq(self.steps.iter().map(|step| step.request.clone()));
        if is_same { result } else { CaseResult::not_asked(case, self.today, SkipReason::NotRecorded) }
    }
}

/// Runs a case with recorded answers.
async fn replay<'a>(
    case: &'a Case,
    today: Day,
    token: &str,
    steps: &[(i64, Vec<ExchangeResult>)],
) -> CaseResult<'a> {
    let mut known = Placeholders::on(today);
    for (name, value) in [("appid", APPID), ("secret", SECRET), ("token", token)] {
        known.insert(name, value);
    }
    let mut steps = steps.iter().cloned();
    let answer = async |_: &_, _| Ok::<_, std::convert::Infallible>(steps.next().unwrap_or_default());
    match CaseResult::run(case, today, known, answer).await {
        Ok(result) => result,
    }
}

fn lossy_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl RecordedRequest {
    fn of(request: &Request) -> RecordedRequest {
        RecordedRequest {
            line: lossy_text(&request.line),
            headers: request.headers.clone(),
            body: request.body.as_deref().map(lossy_text),
        }
    }
}

impl RecordedStep {
    fn of(asked: &StepResult) -> RecordedStep {
        let request = RecordedRequest::of(&asked.request);
        let answer = |outcome: &ExchangeResult| match outcome {
            Ok(answer) => RecordedAnswer::Answer {
                status: answer.status,
                headers: answer.headers.iter().cloned().collect(),
                body: lossy_text(&answer.body),
            },
            Err(why) => RecordedAnswer::None(*why),
        };
        RecordedStep { at_s: asked.at_s, request, answers: asked.outcomes.iter().map(answer).collect() }
    }

    fn outcomes(&self) -> (i64, Vec<ExchangeResult>) {
        let outcome = |answer: &RecordedAnswer| match answer {
            RecordedAnswer::Answer { status, headers, body } => {
                let (headers, body) = (headers.clone().into_iter().collect(), body.clone().into_bytes());
                Ok(RawAnswer { status: *status, headers, body })
            }
            RecordedAnswer::None(why) => Err(*why),
        };
        (self.at_s, self.answers.iter().map(outcome).collect())
    }
}
