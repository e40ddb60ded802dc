//! The time that an account's figures cover, as the running server reports it.

use i18n::{Text, format, text};
use jiff::Timestamp;
use serde_json::Value;

use super::{finding::Finding, installation::Installation};

const ID: &str = "coverage";
/// A gap that ended within this time is a warning.
const RECENT_S: i64 = 86_400;

/// Checks one account of the server's list.
pub fn check(installation: &Installation, listed: &Value) -> Finding {
    let Some(since) = listed["coverage"]["since"].as_str() else {
        return Finding::note(ID, text!("nothing is covered yet"));
    };
    let gaps: Vec<(i64, i64, &str, &Value)> =
        listed["coverage"]["gaps"].as_array().into_iter().flatten().filter_map(parse_gap).collect();
    let bridged = match listed["coverage"]["bridged"].as_array().map_or(0, Vec::len) {
        0 => Text::plain(""),
        number => text!("; short planned stops that WeChat's repeats bridge: {number}", number),
    };
    let Some(&(from_s, to_s, why, counts)) = gaps.last() else {
        return Finding::ok(ID, text!("since {since}, no gaps{bridged}", since, bridged));
    };
    let (number, now_s) = (gaps.len(), installation.clock.now_s());
    let (length, age) = (format::span(to_s - from_s), format::span(now_s - to_s));
    let named = format!("{why}{}", counts_text(counts));
    let found = text!(
        "since {since}, gaps: {number}; the last took {length} and ended {age} ago: {named}{bridged}",
        since,
        number,
        length,
        age,
        named,
        bridged
    );
    if now_s - to_s > RECENT_S {
        return Finding::ok(ID, found);
    }
    let (remedy, imports) = (remedy(why, installation.config.store.is_some()), "?covers=");
    let remedy = text!("{remedy}; an import with {imports} closes a gap", remedy, imports);
    Finding::warning(ID, found, remedy)
}

/// How to prevent such a gap in the future.
fn remedy(why: &str, is_shared: bool) -> Text {
    match why {
        "not_durable" if is_shared => {
            text!("run msgcube store check: the log of that time says which server failed")
        }
        "not_running" => text!(
            "see docs/operations.md: neither a restart with msgcube.socket nor a planned stop of at most bridge_s leaves a gap"
        ),
        "not_durable" => text!("check the disk of data_dir: the log of that time says what failed"),
        "refused" => text!("the log of that time says why callbacks were refused and what to change"),
        "too_many" | "no_connection_taken" => text!(
            "more callbacks or connections came than there is room for: see the log, and the limits in docs/reference.md"
        ),
        _ => text!("see the server's log of that time"),
    }
}

/// Start and end in Unix seconds, reason, and the number of refused callbacks by reason.
fn parse_gap(gap: &Value) -> Option<(i64, i64, &str, &Value)> {
    let moment = |at: usize| gap[at].as_str()?.parse().ok().map(Timestamp::as_second);
    Some((moment(0)?, moment(1)?, gap[2].as_str().unwrap_or("unknown"), &gap[3]))
}

/// ` (malformed: 2)` if callbacks were refused; empty for other gaps.
fn counts_text(counts: &Value) -> String {
    let Some(counts) = counts.as_object() else { return String::new() };
    let counts: Vec<String> = counts.iter().map(|(why, count)| format!("{why}: {count}")).collect();
    format!(" ({})", counts.join(", "))
}
