//! Through a case step by step, whether a server answers or a record: both are judged in the same way.

use datacube::Day;

use super::{
    case::{Case, Sure},
    complaint::Complaint,
    expected::{self, Held, Rigour},
    request::Request,
    rows,
    template::{Known, Moment},
};
use crate::probe::exchange::{Answer, NoAnswer, Outcome};

/// A server's clock, and the way to it, may be off by this much.
const CLOCK_OFF_S: i64 = 300;
/// Answers that are about the account or the server's state, and say nothing about the case: busy, not from this address,
/// quota used up, not an account for this, not granted. Source: WeChat's list of codes.
const PREVENTING: [i64; 11] = [-1, 40164, 45009, 45011, 45035, 48001, 48004, 50002, 61003, 61004, 61007];

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at_s: i64,
    pub request: Request,
    pub outcomes: Vec<Outcome>,
    pub complaints: Vec<Complaint>,
    /// How sure the expectation is that was not met.
    pub sure: Sure,
}

impl Asked {
    /// Nothing is wrong with the answer but that it shows too little.
    pub fn lacks_rows(&self) -> bool {
        let is_unseen = |complaint: &Complaint| matches!(complaint, Complaint::Unseen(_));
        !self.complaints.is_empty() && self.complaints.iter().all(is_unseen)
    }
}

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Differs,
    /// It could not be seen: the server answered something else altogether, or without the rows that the case is about.
    Prevented,
    NotAsked(WhyNot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It would end tokens.
    Disturbs,
    /// Only a token was given.
    NeedsSecret,
    /// The record does not have it, or asked something else under its name.
    NotRecorded,
    /// The server had gone.
    BrokenOff,
}

/// A case with all that came of it.
#[derive(Clone, Debug)]
pub struct Walked<'a> {
    pub case: &'a Case,
    pub today: Day,
    pub verdict: Verdict,
    pub asked: Vec<Asked>,
}

impl<'a> Walked<'a> {
    /// `answer` gives when a request was asked, and what came back; its error ends the walk.
    pub async fn through<E>(
        case: &'a Case,
        today: Day,
        mut known: Known,
        mut answer: impl AsyncFnMut(&Request, usize) -> Result<(i64, Vec<Outcome>), E>,
    ) -> Result<Walked<'a>, E> {
        let mut asked = Vec::new();
        for step in &case.step {
            let sure = step.sure.or(case.sure).unwrap_or(Sure::Assumed);
            let (request, complaint) = match Request::of(step, &known) {
                Ok(request) => (request, None),
                Err(error) => (Request::default(), Some(Complaint::Case(error))),
            };
            if complaint.is_some() {
                asked.push(Asked {
                    at_s: 0,
                    request,
                    outcomes: Vec::new(),
                    complaints: complaint.into_iter().collect(),
                    sure,
                });
                continue;
            }
            let (at_s, outcomes) = answer(&request, step.calls()).await?;
            let moment = Moment { earliest_s: at_s - CLOCK_OFF_S, latest_s: at_s + CLOCK_OFF_S };
            let held = Held { step, request: &request, known: &known, moment, rigour: Rigour::Meaning };
            let mut complaints: Vec<Complaint> =
                outcomes.iter().flat_map(|outcome| expected::complaints(&held, outcome)).collect();
            if outcomes.len() < step.calls() {
                complaints.push(Complaint::NoAnswer(NoAnswer::Closed));
            }
            if complaints.is_empty()
                && let Some((interface, ..)) = request.question()
            {
                let unseen = |answer: &Answer| rows::unseen(step, interface, &answer.body);
                complaints.extend(outcomes.iter().flatten().find_map(unseen).map(Complaint::Unseen));
            }
            expected::remember(step, outcomes.first(), &mut known);
            asked.push(Asked { at_s, request, outcomes, complaints, sure });
        }
        Ok(Walked { case, today, verdict: verdict(&asked), asked })
    }

    pub fn not_asked(case: &'a Case, today: Day, why: WhyNot) -> Walked<'a> {
        Walked { case, today, verdict: Verdict::NotAsked(why), asked: Vec::new() }
    }

    /// Of the case, or of what it did not meet.
    pub fn sure(&self) -> Sure {
        let unmet = self.asked.iter().filter(|asked| !asked.complaints.is_empty()).map(|asked| asked.sure);
        unmet.max().or(self.case.sure).unwrap_or(Sure::Assumed)
    }
}

fn verdict(asked: &[Asked]) -> Verdict {
    let mut unmet = asked.iter().filter(|asked| !asked.complaints.is_empty()).peekable();
    if unmet.peek().is_none() {
        return Verdict::Same;
    }
    let is_preventing = |answer: &Answer| errcode(answer).is_some_and(|code| PREVENTING.contains(&code));
    let is_prevented =
        |asked: &Asked| asked.lacks_rows() || asked.outcomes.iter().flatten().any(is_preventing);
    if unmet.all(is_prevented) { Verdict::Prevented } else { Verdict::Differs }
}

/// The code of an answer that is an error.
pub fn errcode(answer: &Answer) -> Option<i64> {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    body["errcode"].as_i64()
}
