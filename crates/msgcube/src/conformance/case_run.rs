//! Runs a case step by step. The answers come from a server or from a record; both are judged in the same way.

use datacube::Day;

use super::{
    case::{Case, Certainty},
    complaint::Complaint,
    expected::{self, Expectation, Strictness},
    request::Request,
    rows,
    template::{Placeholders, RidWindow},
};
use crate::probe::exchange::{ExchangeResult, NoAnswer, RawAnswer};

/// Allowed difference in seconds between our clock and the server's, with the time of the request.
const CLOCK_OFF_S: i64 = 300;
/// Codes that are about the account or the state of the server, not about the case: busy, address not allowed, quota used
/// up, wrong kind of account, not granted. Source: WeChat's list of codes.
const PREVENTING: [i64; 11] = [-1, 40164, 45009, 45011, 45035, 48001, 48004, 50002, 61003, 61004, 61007];

/// The request of a step and its results.
#[derive(Clone, Debug)]
pub struct StepResult {
    pub at_s: i64,
    pub request: Request,
    pub outcomes: Vec<ExchangeResult>,
    pub complaints: Vec<Complaint>,
    /// The certainty of the expectation.
    pub sure: Certainty,
}

impl StepResult {
    /// Whether the only complaint is that too few rows came.
    pub fn lacks_rows(&self) -> bool {
        let is_unseen = |complaint: &Complaint| matches!(complaint, Complaint::Unseen(_));
        !self.complaints.is_empty() && self.complaints.iter().all(is_unseen)
    }
}

/// The verdict about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseVerdict {
    Same,
    Differs,
    /// It could not be tested: the account or the server was not ready, or rows were missing.
    Prevented,
    NotAsked(SkipReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It would invalidate tokens.
    Disturbs,
    /// Only a token was given.
    NeedsSecret,
    /// The record does not have it, or has other requests under its name.
    NotRecorded,
    /// The run stopped before it.
    BrokenOff,
}

/// A case with its verdict and the results of its steps.
#[derive(Clone, Debug)]
pub struct CaseResult<'a> {
    pub case: &'a Case,
    pub today: Day,
    pub verdict: CaseVerdict,
    pub steps: Vec<StepResult>,
}

impl<'a> CaseResult<'a> {
    /// Runs a case. `answer` returns the time of a request in Unix seconds and its results; its error ends the run.
    pub async fn run<E>(
        case: &'a Case,
        today: Day,
        mut known: Placeholders,
        mut answer: impl AsyncFnMut(&Request, usize) -> Result<(i64, Vec<ExchangeResult>), E>,
    ) -> Result<CaseResult<'a>, E> {
        let mut steps = Vec::new();
        for step in &case.step {
            let sure = step.sure.or(case.sure).unwrap_or(Certainty::Assumed);
            let (request, complaint) = match Request::of(step, &known) {
                Ok(request) => (request, None),
                Err(error) => (Request::default(), Some(Complaint::Case(error))),
            };
            if complaint.is_some() {
                steps.push(StepResult {
                    at_s: 0,
                    request,
                    outcomes: Vec::new(),
                    complaints: complaint.into_iter().collect(),
                    sure,
                });
                continue;
            }
            let (at_s, outcomes) = answer(&request, step.calls()).await?;
            let moment = RidWindow { earliest_s: at_s - CLOCK_OFF_S, latest_s: at_s + CLOCK_OFF_S };
            let expectation =
                Expectation { step, request: &request, known: &known, moment, rigour: Strictness::Meaning };
            let mut complaints: Vec<Complaint> =
                outcomes.iter().flat_map(|outcome| expected::complaints(&expectation, outcome)).collect();
            if outcomes.len() < step.calls() {
                complaints.push(Complaint::NoAnswer(NoAnswer::Closed));
            }
            if complaints.is_empty()
                && let Some((interface, ..)) = request.question()
            {
                let unseen = |answer: &RawAnswer| rows::unseen(step, interface, &answer.body);
                complaints.extend(outcomes.iter().flatten().find_map(unseen).map(Complaint::Unseen));
            }
            expected::remember(step, outcomes.first(), &mut known);
            steps.push(StepResult { at_s, request, outcomes, complaints, sure });
        }
        Ok(CaseResult { case, today, verdict: verdict(&steps), steps })
    }

    pub fn not_asked(case: &'a Case, today: Day, why: SkipReason) -> CaseResult<'a> {
        CaseResult { case, today, verdict: CaseVerdict::NotAsked(why), steps: Vec::new() }
    }

    /// The highest certainty of a step that differs, or else the certainty of the case.
    pub fn sure(&self) -> Certainty {
        let unmet = self.steps.iter().filter(|asked| !asked.complaints.is_empty()).map(|asked| asked.sure);
        unmet.max().or(self.case.sure).unwrap_or(Certainty::Assumed)
    }
}

fn verdict(asked: &[StepResult]) -> CaseVerdict {
    let mut unmet = asked.iter().filter(|asked| !asked.complaints.is_empty()).peekable();
    if unmet.peek().is_none() {
        return CaseVerdict::Same;
    }
    let is_preventing = |answer: &RawAnswer| errcode(answer).is_some_and(|code| PREVENTING.contains(&code));
    let is_prevented =
        |asked: &StepResult| asked.lacks_rows() || asked.outcomes.iter().flatten().any(is_preventing);
    if unmet.all(is_prevented) { CaseVerdict::Prevented } else { CaseVerdict::Differs }
}

/// The code of an answer that is an error.
pub fn errcode(answer: &RawAnswer) -> Option<i64> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    body["errcode"].as_i64()
}
