//! What is wrong with an answer, in both languages.

use i18n::Lang;

use super::template::TemplateError;
use crate::probe::{exchange::NoAnswer, remarks};

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    NoAnswer(NoAnswer),
    /// The connection was to be closed without one.
    Answered,
    Status {
        wanted: u16,
        found: u16,
    },
    Errcode {
        wanted: i64,
        found: Option<i64>,
    },
    /// `errmsg` begins otherwise.
    Errmsg {
        wanted: &'static str,
    },
    /// A body of this form.
    Body {
        wanted: String,
    },
    Lacks(String),
    Has(String),
    Header {
        name: String,
        wanted: String,
        found: Option<String>,
    },
    /// msgcube's own hints.
    Hint {
        wanted: String,
        found: Option<String>,
    },
    HintForm,
    /// What every answer in WeChat's form is like.
    Form(Form),
    Row {
        /// From 1.
        number: usize,
        fault: RowFault,
    },
    NoList,
    /// Right, and too little to show what the case is about.
    Unseen(Unseen),
    /// What was asked says no interface and no days.
    NoQuestion,
    /// The case cannot be run.
    Case(TemplateError),
    UnknownErrcode(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    Rows,
    Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Status,
    OneLine,
    ContentType,
    Object,
    NoCors,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFault {
    NoObject,
    Fields { wanted: String, found: String },
    Value { name: String, found: String },
    NotAsked { date: String },
    NoPeriod { date: String },
    Order,
}

impl Complaint {
    pub fn text(&self, lang: Lang) -> String {
        match self {
            Complaint::NoAnswer(why) => remarks::no_answer(lang, *why).to_owned(),
            Complaint::Answered => {
                lang.pick("it was to be closed without an answer", "连接本应关闭，不作应答").to_owned()
            }
            Complaint::Status { wanted, found } => lang.pick(
                format!("HTTP status {found} instead of {wanted}"),
                format!("HTTP 状态为 {found}，应为 {wanted}"),
            ),
            Complaint::Errcode { wanted, found } => errcode(*wanted, *found, lang),
            Complaint::Errmsg { wanted } => lang.pick(
                format!("errmsg does not begin with {wanted:?}"),
                format!("errmsg 不以 {wanted:?} 开头"),
            ),
            Complaint::Body { wanted } => lang.pick(format!("expected {wanted}"), format!("应为 {wanted}")),
            Complaint::Lacks(part) => lang.pick(format!("lacks {part:?}"), format!("缺少 {part:?}")),
            Complaint::Has(part) => lang.pick(format!("has {part:?}"), format!("含有 {part:?}")),
            Complaint::Header { name, wanted, found } => header(name, wanted, found.as_deref(), lang),
            Complaint::Hint { wanted, found } => format!("hint {found:?} instead of {wanted:?}"),
            Complaint::HintForm => "hints come in two languages, in ASCII, at most 512 bytes each".to_owned(),
            Complaint::Form(form) => form.text(lang).to_owned(),
            Complaint::Row { number, fault } => {
                let fault = fault.text(lang);
                lang.pick(format!("row {number}: {fault}"), format!("第 {number} 行：{fault}"))
            }
            Complaint::NoList => lang
                .pick(
                    r#"expected {"list":[…]} and nothing beside it"#,
                    r#"应为 {"list":[…]}，且没有其他字段"#,
                )
                .to_owned(),
            Complaint::Unseen(Unseen::Rows) => {
                lang.pick("no row came, so none was seen", "没有数据行，无从判断").to_owned()
            }
            Complaint::Unseen(Unseen::Order) => lang
                .pick(
                    "there are no two periods, or none with two rows, so their order was not seen",
                    "数据行不足两个周期，或没有一个周期有两行，看不出顺序",
                )
                .to_owned(),
            Complaint::NoQuestion => "the case asks none of the seven for days".to_owned(),
            Complaint::Case(error) => error.to_string(),
            Complaint::UnknownErrcode(code) => format!("{code} is in no table of errors"),
        }
    }
}

fn errcode(wanted: i64, found: Option<i64>, lang: Lang) -> String {
    match found {
        Some(found) => lang.pick(
            format!("errcode {found} instead of {wanted}"),
            format!("errcode 为 {found}，应为 {wanted}"),
        ),
        None => lang.pick(
            format!("no errcode, as an integer, where {wanted} is expected"),
            format!("没有整数 errcode，应为 {wanted}"),
        ),
    }
}

fn header(name: &str, wanted: &str, found: Option<&str>, lang: Lang) -> String {
    let found = match found {
        Some(found) => format!("{found:?}"),
        None => lang.pick("none", "没有").to_owned(),
    };
    let wanted = match wanted {
        "" => lang.pick("none", "没有").to_owned(),
        "*" => lang.pick("any", "任意值").to_owned(),
        wanted => format!("{wanted:?}"),
    };
    lang.pick(
        format!("header {name}: {found} instead of {wanted}"),
        format!("响应头 {name}：{found}，应为 {wanted}"),
    )
}

impl Form {
    fn text(self, lang: Lang) -> &'static str {
        match self {
            Form::Status => lang.pick("is not status 200", "状态不是 200"),
            Form::OneLine => lang.pick("is not one line", "不是一行"),
            Form::ContentType => lang.pick("is not JSON by its type", "类型不是 JSON"),
            Form::Object => lang.pick("is not a JSON object", "不是 JSON 对象"),
            Form::NoCors => lang.pick("is not without CORS headers", "含有 CORS 响应头"),
        }
    }
}

impl RowFault {
    fn text(&self, lang: Lang) -> String {
        match self {
            RowFault::NoObject => lang.pick("is no object", "不是对象").to_owned(),
            RowFault::Fields { wanted, found } => lang
                .pick(format!("has {found} instead of {wanted}"), format!("字段为 {found}，应为 {wanted}")),
            RowFault::Value { name, found } => {
                lang.pick(format!("{name} is {found}"), format!("{name} 为 {found}"))
            }
            RowFault::NotAsked { date } => {
                lang.pick(format!("{date} was not asked for"), format!("没有查询 {date}"))
            }
            RowFault::NoPeriod { date } => lang.pick(
                format!("{date} is the first day of no such period"),
                format!("{date} 不是周期的第一天"),
            ),
            RowFault::Order => lang.pick("does not come after the one before", "顺序不对").to_owned(),
        }
    }
}
