//! Asks a server all that is to be asked of it, one case after the other, and keeps the record.

use i18n::text;
use msgcube_client::{Secret, WECHAT_BASE};

use super::{
    case::Case,
    error::ConformanceError,
    kit::Group,
    live::Live,
    mask::Mask,
    record::Record,
    template::Known,
    walk::{Walked, WhyNot},
};
use crate::{
    doctor::Around,
    output,
    probe::{Fault, exchange::NoAnswer},
    query::{Credentials, progress_bar},
};

/// So many cases in a row without an answer in time, and nobody is asked further.
const SILENT_CASES_MAX: usize = 3;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub disturb: bool,
    pub has_secret: bool,
}

impl Plan {
    /// Why a case is left out, if it is.
    pub fn leaves_out(self, case: &Case) -> Option<WhyNot> {
        if case.disturbs && !self.disturb {
            Some(WhyNot::Disturbs)
        } else if case.needs_secret() && !self.has_secret {
            Some(WhyNot::NeedsSecret)
        } else {
            None
        }
    }

    /// What is to come; the first call and one after each disturbance are for a token.
    fn extent(self, groups: &[Group]) -> Extent {
        let cases = || groups.iter().flat_map(|group| &group.cases);
        let asked = || cases().filter(|case| self.leaves_out(case).is_none());
        let calls = 1 + asked().map(|case| case.calls() + usize::from(case.disturbs)).sum::<usize>();
        Extent { all: cases().count(), cases: asked().count(), calls }
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug)]
struct Extent {
    all: usize,
    cases: usize,
    calls: usize,
}

/// Asks; the error beside a record says where it broke off.
pub async fn ask(
    live: &mut Live,
    credentials: &Credentials,
    plan: Plan,
    groups: &[Group],
    around: &Around,
) -> Result<(Record, Option<ConformanceError>), ConformanceError> {
    let extent = plan.extent(groups);
    announce(live, extent, plan.disturb, around);
    let mut mask = Mask::new(credentials);
    let mut token = live.token(credentials, &mut mask).await?;
    let mut record = Record::new(server(live), around.clock.today());
    let bar = progress_bar(extent.calls);
    let cases = groups.iter().flat_map(|group| &group.cases).filter(|case| plan.leaves_out(case).is_none());
    let mut silent = 0;
    let broken_off = async {
        for case in cases {
            let walked = through(live, case, credentials, &token, around).await;
            let walked = walked.map_err(|fault| live.unreached(fault))?;
            record.add(&walked, token.expose(), &mut mask).await;
            bar.inc(u64::try_from(case.calls()).unwrap_or_default());
            silent = if is_late(&walked) { silent + 1 } else { 0 };
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

fn is_late(walked: &Walked<'_>) -> bool {
    walked.asked.iter().flat_map(|asked| &asked.outcomes).any(|outcome| *outcome == Err(NoAnswer::Late))
}

/// A case whose day ends while it is asked is asked again: its dates were of the day before.
async fn through<'a>(
    live: &mut Live,
    case: &'a Case,
    credentials: &Credentials,
    token: &Secret,
    around: &Around,
) -> Result<Walked<'a>, Fault> {
    loop {
        let today = around.clock.today();
        let mut known = Known::on(today);
        known.insert("token", token.expose());
        if let Credentials::Account { appid, secret } = credentials {
            known.insert("appid", appid);
            known.insert("secret", secret.expose());
        }
        let answer = async |request: &_, times| live.ask(request, times).await;
        let walked = Walked::through(case, today, known, answer).await?;
        if around.clock.today() == today || case.disturbs {
            return Ok(walked);
        }
    }
}

/// Other names are nobody's business.
fn server(live: &Live) -> String {
    let name = live.address().to_string();
    if name == WECHAT_BASE { name } else { "another server".to_owned() }
}

/// On stderr, before the first call.
fn announce(live: &Live, extent: Extent, disturb: bool, around: &Around) {
    let (lang, target, pause_ms) = (around.lang, live.address(), live.pause().as_millis());
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
        text!("Tokens of others end (--disturb).").in_lang(lang)
    } else {
        text!("Nothing else is changed there, and no token ends.").in_lang(lang)
    };
    let text = text!("{target}: {cases} of {all} cases in {calls} calls (some cases ask several times, and tokens are asked for, too){pace}. They use up the day's quota. {effect}", target, cases, all, calls, pace, effect).in_lang(lang);
    output::note(text);
}
