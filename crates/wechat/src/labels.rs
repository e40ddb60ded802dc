//! What numbers of message types and intervals are called on screen.

use i18n::Lang;

/// What a number of `msg_type` stands for.
pub fn type_name(msg_type: u8, lang: Lang) -> String {
    let name = match msg_type {
        1 => lang.pick("text", "文字"),
        2 => lang.pick("image", "图片"),
        3 => lang.pick("voice", "语音"),
        4 => lang.pick("video", "视频"),
        6 => lang.pick("link", "链接"),
        other => return format!("{} {other}", lang.pick("type", "类型")),
    };
    name.to_owned()
}

/// What a number of `count_interval` stands for, in two lines.
pub fn interval_name(interval: u8, lang: Lang) -> String {
    let name = match interval {
        0 => "0",
        1 => "1–5",
        2 => "6–10",
        3 => ">10",
        other => return format!("{} {other}", lang.pick("interval", "区间")),
    };
    format!("{name}\n{}", lang.pick("messages", "条"))
}
