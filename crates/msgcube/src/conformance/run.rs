//! Runs the cases on a server, one after the other, and makes the record.

use i18n::text;
use msgcube_client::{ExposeSecret as _, SecretString, WECHAT_BASE};

use super::{
    case::Case,
    case_run::{CaseResult, SkipReason},
    error::ConformanceError,
    kit::CaseGroup,
    live::LiveServer,
    mask::Mask,
    record::AnswerRecord,
    template::Placeholders,
};
use crate::{
    doctor::RunContext,
    output,
    probe::{ProbeError, exchange::NoAnswer},
    query::{Credentials, progress_bar},
};

/// After this number of cases in a row without an answer in time the run stops.
const SILENT_CASES_MAX: usize = 3;

/// Which cases to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub disturb: bool,
    pub has_secret: bool,
}

impl Plan {
    /// Why a case is skipped. None: it is run.
    pub fn leaves_out(self, case: &Case) -> Option<SkipReason> {
        if case.disturbs && !self.disturb {
            Some(SkipReason::Disturbs)
        } else if case.needs_secret() && !self.has_secret {
            Some(SkipReason::NeedsSecret)
        } else {
            None
        }
    }

    /// Counts cases and calls. The first call gets a token, and so does one call after each case that disturbs.
    fn extent(self, groups: &[CaseGroup]) -> Extent {
        let cases = || groups.iter().flat_map(|group| &group.cases);
        let asked = || cases().filter(|case| self.leaves_out(case).is_none());
        let calls = 1 + asked().map(|case| case.calls() + usize::from(case.disturbs)).sum::<usize>();
        Extent { all: cases().count(), cases: asked().count(), calls }
    }
}

/// The number of all cases, and of the cases and calls that run.
#[derive(Clone, Copy, Debug)]
struct Extent {
    all: usize,
    cases: usize,
    calls: usize,
}

/// Runs the cases. An error beside the record says why the run stopped early.
pub async fn ask(
    live: &mut LiveServer,
    credentials: &Credentials,
    plan: Plan,
    groups: &[CaseGroup],
    context: &RunContext,
) -> Result<(AnswerRecord, Option<ConformanceError>), ConformanceError> {
    let extent = plan.extent(groups);
    announce(live, extent, plan.disturb, context);
    let mut mask = Mask::new(credentials);
    let mut token = live.token(credentials, &mut mask).await?;
    let mut record = AnswerRecord::new(server(live), counting::day_of(context.clock.now_s()));
    let bar = progress_bar(extent.calls, context.lang);
    let cases = groups.iter().flat_map(|group| &group.cases).filter(|case| plan.leaves_out(case).is_none());
    let mut silent = 0;
    let broken_off = async {
        for case in cases {
            let result = run_case(live, case, credentials, &token, context).await;
            let result = result.map_err(|fault| live.unreached(fault))?;
            record.add(&result, token.expose_secret(), &mut mask).await;
            bar.inc(u64::try_from(case.calls()).unwrap_or_default());
            silent = if is_late(&result) { silent + 1 } else { 0 };
            if silent == SILENT_CASES_MAX {
                return Err(live.silent(&case.name));
            }
            if case.disturbs {
                token = live.token(credentials, &mut mask).await?;
            }
        }
        Ok(())
    };
    let broken_off = broken_off.await.err();
    bar.finish_and_clear();
    Ok((record, broken_off))
}

fn is_late(result: &CaseResult<'_>) -> bool {
    result.steps.iter().flat_map(|asked| &asked.outcomes).any(|outcome| *outcome == Err(NoAnswer::Late))
}

/// Runs a case. If the day ends meanwhile, runs it again: its dates were those of the day before.
async fn run_case<'a>(
    live: &mut LiveServer,
    case: &'a Case,
    credentials: &Credentials,
    token: &SecretString,
    context: &RunContext,
) -> Result<CaseResult<'a>, ProbeError> {
    loop {
        let today = counting::day_of(context.clock.now_s());
        let mut known = Placeholders::on(today);
        known.insert("token", token.expose_secret());
        if let Credentials::Account { appid, secret } = credentials {
            known.insert("appid", appid);
            known.insert("secret", secret.expose_secret());
        }
        let answer = async |request: &_, times| live.ask(request, times).await;
        let result = CaseResult::run(case, today, known, answer).await?;
        if counting::day_of(context.clock.now_s()) == today || case.disturbs {
            return Ok(result);
        }
    }
}

/// The server's name for the record. Only WeChat's is recorded.
fn server(live: &LiveServer) -> String {
    let name = live.address().to_string();
    if name == WECHAT_BASE { name } else { "another server".to_owned() }
}

/// Prints on standard error what will be asked, before the first call.
fn announce(live: &LiveServer, extent: Extent, disturb: bool, context: &RunContext) {
    let (lang, target, pause_ms) = (context.lang, live.address(), live.pause().as_millis());
    let Extent { all, cases, calls } = extent;
    let seconds = live.pause().as_secs_f64() * f64::from(u32::try_from(calls).unwrap_or(u32::MAX));
    let pace = match pause_ms {
        0 => String::new(),
        _ => text!(
            ", {pause_ms} ms apart: {seconds} s and more",
            pause_ms,
            seconds = format_args!("{seconds:.0}")
        )
        .in_lang(lang),
    };
    let effect = if disturb {
        text!("Tokens of others become invalid (--disturb).").in_lang(lang)
    } else {
        text!("Nothing else is changed there, and no token becomes invalid.").in_lang(lang)
    };
    let text = text!("{target}: {cases} of {all} cases in {calls} calls (some cases ask several times, and tokens are asked for, too){pace}. They use up the day's quota. {effect}", target, cases, all, calls, pace, effect).in_lang(lang);
    output::print_note(text);
}
