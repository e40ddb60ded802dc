//! What time an account's figures cover, as the running server says.

use i18n::text;
use i18n::{Lang, format};
use jiff::Timestamp;
use serde_json::Value;

use super::{finding::Finding, installation::Installation};

const ID: &str = "coverage";
/// A gap that ended this lately is worth a look.
const RECENT_S: i64 = 86_400;

/// One account of the server's list.
pub fn check(scene: &Installation, listed: &Value) -> Finding {
    let lang = scene.lang;
    let Some(since) = listed["coverage"]["since"].as_str() else {
        return Finding::note(ID, text!("nothing is covered yet").in_lang(lang));
    };
    let gaps: Vec<(i64, i64, &str, &Value)> =
        listed["coverage"]["gaps"].as_array().into_iter().flatten().filter_map(gap).collect();
    let bridged = match listed["coverage"]["bridged"].as_array().map_or(0, Vec::len) {
        0 => String::new(),
        number => text!("; short planned stops that WeChat's repeats bridge: {number}", number).in_lang(lang),
    };
    let Some(&(from_s, to_s, why, counts)) = gaps.last() else {
        return Finding::ok(ID, text!("since {since}, no gaps{bridged}", since, bridged).in_lang(lang));
    };
    let (number, now_s) = (gaps.len(), scene.clock.now_s());
    let (length, age) = (format::span(to_s - from_s).in_lang(lang), format::span(now_s - to_s).in_lang(lang));
    let named = format!("{why}{}", counted(counts));
    let found = text!(
        "since {since}, gaps: {number}; the last took {length} and ended {age} ago: {named}{bridged}",
        since,
        number,
        length,
        age,
        named,
        bridged
    )
    .in_lang(lang);
    if now_s - to_s > RECENT_S {
        return Finding::ok(ID, found);
    }
    let (remedy, imports) = (remedy(lang, why), "?covers=");
    let remedy = text!("{remedy}; an import with {imports} closes a gap", remedy, imports).in_lang(lang);
    Finding::warning(ID, found, remedy)
}

/// What keeps such a gap from coming again.
fn remedy(lang: Lang, why: &str) -> String {
    match why {
        "not_running" => text!("see docs/operations.md: a restart with msgcube.socket leaves no gap, a planned stop of at most bridge_s neither").in_lang(lang),
        "not_durable" => text!("check the disk of data_dir: the log of that time says what failed").in_lang(lang),
        "refused" => text!("the log of that time says why callbacks were refused and what to change").in_lang(lang),
        "too_many" | "no_connection_taken" => text!("more callbacks or connections came than there is room for: see the log, and the limits in docs/reference.md").in_lang(lang),
        _ => text!("see the server's log of that time").in_lang(lang),
    }
}

/// From, to, why, and how many callbacks were refused for which reason.
fn gap(gap: &Value) -> Option<(i64, i64, &str, &Value)> {
    let moment = |at: usize| gap[at].as_str()?.parse().ok().map(Timestamp::as_second);
    Some((moment(0)?, moment(1)?, gap[2].as_str().unwrap_or("unknown"), &gap[3]))
}

/// ` (malformed: 2)` of refused callbacks, nothing of other gaps.
fn counted(counts: &Value) -> String {
    let Some(counts) = counts.as_object() else { return String::new() };
    let counts: Vec<String> = counts.iter().map(|(why, count)| format!("{why}: {count}")).collect();
    format!(" ({})", counts.join(", "))
}
