//! Checks of what arrives: can it be stored, was anything refused or lost, and do the bots answer?

use std::{collections::BTreeMap, sync::Arc};

use counting::Reason;
use i18n::{Text, format, text};
use pages::HealthCheck;

use super::{super::words, bad, good, moment, warning};
use crate::{
    accounts::{
        activity::{CallbackCounts, RelayReport},
        registry::ServedAccount,
    },
    figures::health::gaps_since,
    http::state::App,
};

/// Gaps of so many seconds are shown: a week.
const GAPS_S: i64 = 7 * 24 * 3600;
/// A gap that reached until so many seconds ago goes on.
const ONGOING_S: i64 = 2;
/// Reasons that are shown each with its words. The others are named.
const REASONS_SHOWN: usize = 5;

/// The checks of these accounts. Only an admin sees what the disk says.
pub fn checks(app: &App, now_s: i64, accounts: &[Arc<ServedAccount>], is_admin: bool) -> Vec<HealthCheck> {
    let counts = added(accounts.iter().map(|account| account.activity.report(now_s).callbacks));
    let mut checks = vec![durable(app, is_admin), received(&counts)];
    checks.extend(refused(&counts));
    checks.extend(closed(&counts));
    checks.extend(gaps(app, now_s, accounts));
    checks.extend(relay(now_s, accounts));
    checks
}

/// Whether messages can be made durable.
fn durable(app: &App, is_admin: bool) -> HealthCheck {
    let title = text!("Storing");
    let is_shared = app.store.is_shared();
    let Some(fault) = app.ingest.fault() else {
        return good(
            title,
            if is_shared {
                text!("Every message that is acknowledged is in ClickHouse.")
            } else {
                text!("Every message that is acknowledged is on disk.")
            },
        );
    };
    let remedy = if is_shared {
        text!("See what is wrong with ClickHouse or PostgreSQL: run msgcube store check.")
    } else {
        text!("Make room on the disk of data_dir, and see whether it fails: run msgcube doctor.")
    };
    if is_admin {
        let cause = Text::from_english(fault);
        bad(title, text!("Messages cannot be stored: {cause}", cause), remedy)
    } else {
        bad(title, text!("Messages cannot be stored. The log of the server says why."), remedy)
    }
}

fn added(all: impl Iterator<Item = CallbackCounts>) -> CallbackCounts {
    all.fold(CallbackCounts::default(), |mut sum, one| {
        sum.accepted += one.accepted;
        sum.repeat += one.repeat;
        sum.quarantined += one.quarantined;
        one.refused.iter().for_each(|(reason, count)| *sum.refused.entry(reason).or_default() += count);
        one.closed.iter().for_each(|(reason, count)| *sum.closed.entry(reason).or_default() += count);
        sum
    })
}

fn received(counts: &CallbackCounts) -> HealthCheck {
    good(
        text!("Receiving"),
        text!(
            "{accepted} callbacks were counted in the last 24 hours; {repeat} were repeats, and {aside} were set aside.",
            accepted = format::grouped(counts.accepted),
            repeat = format::grouped(counts.repeat),
            aside = format::grouped(counts.quarantined)
        ),
    )
}

/// One check for each of the reasons with the most refused callbacks.
fn refused(counts: &CallbackCounts) -> Vec<HealthCheck> {
    let title = || text!("Refused callbacks");
    let mut by_count: Vec<(&str, u64)> = counts.refused.iter().map(|(name, count)| (*name, *count)).collect();
    if by_count.is_empty() {
        return vec![good(title(), text!("No callback was refused in the last 24 hours."))];
    }
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = by_count.split_off(by_count.len().min(REASONS_SHOWN));
    let mut checks: Vec<HealthCheck> = Vec::new();
    for (name, count) in by_count {
        let (reason, remedy) = words::refusal(name);
        let found = text!(
            "{count} in the last 24 hours ({name}). {reason}",
            count = format::grouped(count),
            name,
            reason
        );
        checks.push(warning(title(), found, remedy));
    }
    if !others.is_empty() {
        let found = text!("{others} in the last 24 hours.", others = named_counts(&others));
        checks.push(warning(title(), found, text!("The log of the server says more.")));
    }
    checks
}

fn closed(counts: &CallbackCounts) -> Option<HealthCheck> {
    let by_reason: Vec<(&str, u64)> = counts.closed.iter().map(|(name, count)| (*name, *count)).collect();
    if by_reason.is_empty() {
        return None;
    }
    let found = text!(
        "Callbacks got no answer in the last 24 hours, so that WeChat sends them again: {reasons}.",
        reasons = named_counts(&by_reason)
    );
    let remedy = text!(
        "late and not_durable: the disk, or a server of [store], is slow or full. relay_late and relay_full: the bot is slow. Run msgcube doctor."
    );
    Some(warning(text!("Unanswered callbacks"), found, remedy))
}

fn named_counts(counts: &[(&str, u64)]) -> String {
    let shown: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} {}", format::grouped(*count))).collect();
    shown.join(", ")
}

/// Gaps with the same cause.
#[derive(Default)]
struct GapSum {
    gaps: usize,
    accounts: usize,
    longest_s: i64,
    newest: (i64, i64),
}

/// One check for each cause of the gaps of the last days.
fn gaps(app: &App, now_s: i64, accounts: &[Arc<ServedAccount>]) -> Vec<HealthCheck> {
    let mut by_cause: BTreeMap<&str, (Reason, GapSum)> = BTreeMap::new();
    for account in accounts {
        let mut seen: Vec<&str> = Vec::new();
        for gap in gaps_since(&app.store, now_s - GAPS_S, now_s, account) {
            let cause = gap.reason.name();
            let (_, sum) = by_cause.entry(cause).or_insert_with(|| (gap.reason.clone(), GapSum::default()));
            sum.gaps += 1;
            sum.accounts += usize::from(!seen.contains(&cause));
            sum.longest_s = sum.longest_s.max(gap.to_s - gap.from_s);
            if gap.to_s > sum.newest.1 {
                sum.newest = (gap.from_s, gap.to_s);
            }
            seen.push(cause);
        }
    }
    if by_cause.is_empty() {
        return vec![good(text!("Gaps"), text!("There is no gap in the last 7 days."))];
    }
    by_cause.into_values().map(|(reason, sum)| gap_check(now_s, &reason, &sum)).collect()
}

fn gap_check(now_s: i64, reason: &Reason, sum: &GapSum) -> HealthCheck {
    let (cause, remedy) = words::gap(reason);
    let (from_s, to_s) = sum.newest;
    let longest = format::span(sum.longest_s);
    let (gaps, accounts, from) = (sum.gaps, sum.accounts, moment(from_s));
    if to_s >= now_s - ONGOING_S {
        let found = text!(
            "A gap goes on since {from}. In the last 7 days: {gaps} gaps of {accounts} accounts, the longest {longest}. {cause}",
            from,
            gaps,
            accounts,
            longest,
            cause
        );
        return bad(text!("Gaps"), found, remedy);
    }
    let found = text!(
        "{gaps} gaps of {accounts} accounts in the last 7 days, the longest {longest}, the newest from {from} to {to}. {cause}",
        gaps,
        accounts,
        longest,
        from,
        to = moment(to_s),
        cause
    );
    warning(text!("Gaps"), found, remedy)
}

/// How the bots behind these accounts answer. None without a bot.
fn relay(now_s: i64, accounts: &[Arc<ServedAccount>]) -> Option<HealthCheck> {
    let ends = accounts.iter().flat_map(|account| account.activity.relayed_totals(now_s));
    let RelayReport { count, late, failed, p50_ms, p99_ms } = RelayReport::of(ends)?;
    let ms = |ms: Option<u32>| ms.map_or(Text::plain("–"), |ms| Text::plain(format!("{ms} ms")));
    let found = text!(
        "{count} callbacks went to bots in the last 24 hours: {late} were answered late, {failed} failed. Half took at most {p50}, 99 % at most {p99}.",
        count = format::grouped(count),
        late = format::grouped(late),
        failed = format::grouped(failed),
        p50 = ms(p50_ms),
        p99 = ms(p99_ms)
    );
    let title = text!("Bots");
    if late + failed == 0 {
        return Some(good(title, found));
    }
    let remedy = text!(
        "WeChat waits 5 s. Let the bot answer at once and send its reply by the customer service interface. GET /v1/accounts/APPID/health shows it for one account."
    );
    Some(warning(title, found, remedy))
}
