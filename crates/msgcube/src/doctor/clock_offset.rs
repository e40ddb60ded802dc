//! The machine's clock against another server's: WeChat's, or whatever stands in for it.

use i18n::format;
use i18n::text;
use msgcube_client::http::{Address, Trust};
use system::clock::Stopwatch;

use super::{
    finding::Finding,
    installation::{Installation, Place},
};
use crate::probe::{Answer, remarks};

const WARNING_S: i64 = 60;
const PROBLEM_S: i64 = 300;

/// Compares with the `Date` of an answer, whatever the answer is. The time zone does not matter: both are UTC.
pub async fn check(scene: &Installation) -> Vec<Finding> {
    let wechat = Address::parse_base(msgcube_client::WECHAT_BASE).ok();
    let Some(base) = scene.config.upstream.as_ref().map(|upstream| &upstream.base).or(wechat.as_ref()) else {
        return Vec::new();
    };
    let stopwatch = Stopwatch::start();
    let asked = scene.get(Place { base, trust: Trust::Authorities }, "/").await;
    let elapsed_s = i64::try_from(stopwatch.elapsed().as_secs()).unwrap_or(0);
    let lang = scene.lang;
    vec![match asked {
        Ok(answer) => match moment(&answer) {
            // The answer is at most as old as the whole took.
            Some(moment_s) => compared(scene, base, scene.clock.now_s() - moment_s, elapsed_s),
            None => Finding::skipped("clock", text!("{base} answers without a Date", base).in_lang(lang)),
        },
        Err(fault) => {
            let why = remarks::fault(lang, &fault);
            Finding::skipped(
                "clock",
                text!("not compared: {base} cannot be asked ({why})", base, why).in_lang(lang),
            )
        }
    }]
}

fn moment(answer: &Answer) -> Option<i64> {
    let date = answer.said.header("date")?;
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

fn compared(scene: &Installation, base: &Address, ahead_s: i64, elapsed_s: i64) -> Finding {
    let lang = scene.lang;
    let off_s = (ahead_s.abs() - elapsed_s).max(0);
    let off = format::span(ahead_s.abs()).in_lang(lang);
    let found = if ahead_s.abs() <= elapsed_s + 1 {
        text!("as {base} has it, to the second", base).in_lang(lang)
    } else if ahead_s > 0 {
        text!("{off} ahead of {base}", off, base).in_lang(lang)
    } else {
        text!("{off} behind {base}", off, base).in_lang(lang)
    };
    let limit_s = scene.config.callback_max_age_s;
    let remedy = text!("let NTP set it (timedatectl set-ntp true): periods follow it, and plain callbacks are refused beyond callback_max_age_s = {limit_s}", limit_s).in_lang(lang);
    match off_s {
        PROBLEM_S.. => Finding::problem("clock", found, remedy),
        WARNING_S.. => Finding::warning("clock", found, remedy),
        _ => Finding::ok("clock", found),
    }
}
