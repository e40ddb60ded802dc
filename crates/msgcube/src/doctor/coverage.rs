//! What time an account's figures cover, as the running server says.

use i18n::{Lang, words};
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
        return Finding::note(ID, lang.pick("nothing is covered yet", "尚无覆盖时段"));
    };
    let gaps: Vec<(i64, i64, &str, &Value)> =
        listed["coverage"]["gaps"].as_array().into_iter().flatten().filter_map(gap).collect();
    let bridged = match listed["coverage"]["bridged"].as_array().map_or(0, Vec::len) {
        0 => String::new(),
        number => lang.pick(
            format!("; short planned stops that WeChat's repeats bridge: {number}"),
            format!("；由微信重发弥补的短暂计划停机 {number} 次"),
        ),
    };
    let Some(&(from_s, to_s, why, counts)) = gaps.last() else {
        return Finding::ok(
            ID,
            lang.pick(format!("since {since}, no gaps{bridged}"), format!("自 {since} 起，无缺口{bridged}")),
        );
    };
    let (number, now_s) = (gaps.len(), scene.clock.now_s());
    let (length, age) = (words::span(lang, to_s - from_s), words::span(lang, now_s - to_s));
    let named = format!("{why}{}", counted(counts));
    let found = lang.pick(
        format!(
            "since {since}, gaps: {number}; the last took {length} and ended {age} ago: {named}{bridged}"
        ),
        format!("自 {since} 起，缺口 {number} 个；最近一个持续 {length}，结束于 {age}前：{named}{bridged}"),
    );
    if now_s - to_s > RECENT_S {
        return Finding::ok(ID, found);
    }
    let (remedy, imports) = (remedy(lang, why), "?covers=");
    let remedy = lang.pick(
        format!("{remedy}; an import with {imports} closes a gap"),
        format!("{remedy}；带 {imports} 的导入可以补上缺口"),
    );
    Finding::warning(ID, found, remedy)
}

/// What keeps such a gap from coming again.
fn remedy(lang: Lang, why: &str) -> &'static str {
    match why {
        "not_running" => lang.pick(
            "see docs/operations.md: a restart with msgcube.socket leaves no gap, a planned stop of at most bridge_s neither",
            "见 docs/operations.zh.md：启用 msgcube.socket 后重启不留缺口，不超过 bridge_s 的计划停机也不留",
        ),
        "not_durable" => lang.pick(
            "check the disk of data_dir: the log of that time says what failed",
            "请检查 data_dir 所在磁盘；该时段的日志写明了失败原因",
        ),
        "refused" => lang.pick(
            "the log of that time says why callbacks were refused and what to change",
            "该时段的日志写明了回调被拒的原因与改法",
        ),
        "too_many" | "no_connection_taken" => lang.pick(
            "more callbacks or connections came than there is room for: see the log, and the limits in docs/reference.md",
            "回调或连接数超过上限：见日志与 docs/reference.zh.md 中的限制",
        ),
        _ => lang.pick("see the server's log of that time", "请查看该时段的服务日志"),
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
