//! What time an account's figures cover, as the running server says.

use jiff::Timestamp;
use serde_json::Value;

use super::{finding::Finding, installation::Installation};
use crate::words;

const ID: &str = "coverage";
/// A gap that ended this lately is worth a look.
const RECENT_S: i64 = 86_400;

/// One account of the server's list.
pub fn check(scene: &Installation, listed: &Value) -> Finding {
    let lang = scene.lang;
    let Some(since) = listed["coverage"]["since"].as_str() else {
        return Finding::note(ID, lang.pick("nothing is covered yet", "尚无覆盖时段"));
    };
    let gaps: Vec<(i64, i64)> =
        listed["coverage"]["gaps"].as_array().into_iter().flatten().filter_map(gap).collect();
    let Some((from_s, to_s)) = gaps.last().copied() else {
        return Finding::ok(
            ID,
            lang.pick(format!("since {since}, no gaps"), format!("自 {since} 起，无缺口")),
        );
    };
    let (number, now_s) = (gaps.len(), scene.clock.now_s());
    let (length, age) = (words::span(lang, to_s - from_s), words::span(lang, now_s - to_s));
    let found = lang.pick(
        format!("since {since}, gaps: {number}; the last took {length} and ended {age} ago"),
        format!("自 {since} 起，缺口 {number} 个；最近一个持续 {length}，结束于 {age}前"),
    );
    if now_s - to_s > RECENT_S {
        return Finding::ok(ID, found);
    }
    let remedy = lang.pick(
        "see the server's log of that time (not running, disk, refused callbacks); an import with ?covers= closes a gap",
        "请查看该时段的服务日志（未运行、磁盘、回调被拒）；带 ?covers= 的导入可以补上缺口",
    );
    Finding::warning(ID, found, remedy)
}

fn gap(gap: &Value) -> Option<(i64, i64)> {
    let moment = |at: usize| gap[at].as_str()?.parse().ok().map(Timestamp::as_second);
    Some((moment(0)?, moment(1)?))
}
