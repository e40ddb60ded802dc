//! Compares the machine's clock with WeChat's, or with the server of `[upstream]`.

use i18n::{format, text};
use msgcube_client::http::{Address, Trust};
use system::clock::Stopwatch;

use super::{
    finding::Finding,
    installation::{CallbackEndpoint, Installation},
};
use crate::probe::{TimedAnswer, error_text};

const WARNING_S: i64 = 60;
const PROBLEM_S: i64 = 300;

/// Compares with the `Date` header of any answer. The time zone does not matter: both are UTC.
pub async fn check(installation: &Installation) -> Vec<Finding> {
    let wechat = Address::parse_base(msgcube_client::WECHAT_BASE).ok();
    let Some(base) = installation.config.upstream.as_ref().map(|upstream| &upstream.base).or(wechat.as_ref())
    else {
        return Vec::new();
    };
    let stopwatch = Stopwatch::start();
    let asked = installation.get(CallbackEndpoint { base, trust: Trust::Authorities }, "/").await;
    let elapsed_s = i64::try_from(stopwatch.elapsed().as_secs()).unwrap_or(0);
    vec![match asked {
        Ok(answer) => match moment(&answer) {
            // The Date is at most as old as the whole request took.
            Some(moment_s) => compared(installation, base, installation.clock.now_s() - moment_s, elapsed_s),
            None => Finding::skipped("clock", text!("{base} answers without a Date", base)),
        },
        Err(fault) => {
            let why = error_text::probe_error(&fault);
            Finding::skipped("clock", text!("not compared: {base} cannot be asked ({why})", base, why))
        }
    }]
}

fn moment(answer: &TimedAnswer) -> Option<i64> {
    let date = answer.answer.header("date")?;
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(date).ok().map(jiff::Timestamp::as_second)
}

fn compared(installation: &Installation, base: &Address, ahead_s: i64, elapsed_s: i64) -> Finding {
    let off_s = (ahead_s.abs() - elapsed_s).max(0);
    let off = format::span(ahead_s.abs());
    let found = if ahead_s.abs() <= elapsed_s + 1 {
        text!("the same as {base}, to the second", base)
    } else if ahead_s > 0 {
        text!("{off} ahead of {base}", off, base)
    } else {
        text!("{off} behind {base}", off, base)
    };
    let limit_s = installation.config.callback_max_age_s;
    let remedy = text!(
        "set it by NTP (timedatectl set-ntp true): periods depend on it, and plain callbacks are refused beyond callback_max_age_s = {limit_s}",
        limit_s
    );
    match off_s {
        PROBLEM_S.. => Finding::problem("clock", found, remedy),
        WARNING_S.. => Finding::warning("clock", found, remedy),
        _ => Finding::ok("clock", found),
    }
}
