//! What is wrong with an answer, in both languages.

use i18n::Lang;
use i18n::text;

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
            Complaint::NoAnswer(why) => remarks::no_answer(lang, *why).clone(),
            Complaint::Answered => text!("it was to be closed without an answer").in_lang(lang),
            Complaint::Status { wanted, found } => {
                text!("HTTP status {found} instead of {wanted}", found, wanted).in_lang(lang)
            }
            Complaint::Errcode { wanted, found } => errcode(*wanted, *found, lang),
            Complaint::Errmsg { wanted } => {
                text!("errmsg does not begin with {wanted}", wanted = format_args!("{wanted:?}"))
                    .in_lang(lang)
            }
            Complaint::Body { wanted } => text!("expected {wanted}", wanted).in_lang(lang),
            Complaint::Lacks(part) => text!("lacks {part}", part = format_args!("{part:?}")).in_lang(lang),
            Complaint::Has(part) => text!("has {part}", part = format_args!("{part:?}")).in_lang(lang),
            Complaint::Header { name, wanted, found } => header(name, wanted, found.as_deref(), lang),
            Complaint::Hint { wanted, found } => format!("hint {found:?} instead of {wanted:?}"),
            Complaint::HintForm => "hints come in two languages, in ASCII, at most 512 bytes each".to_owned(),
            Complaint::Form(form) => form.text(lang),
            Complaint::Row { number, fault } => {
                let fault = fault.text(lang);
                text!("row {number}: {fault}", number, fault).in_lang(lang)
            }
            Complaint::NoList => text!(r#"expected {{"list":[…]}} and nothing beside it"#).in_lang(lang),
            Complaint::Unseen(Unseen::Rows) => text!("no row came, so none was seen").in_lang(lang),
            Complaint::Unseen(Unseen::Order) => {
                text!("there are no two periods, or none with two rows, so their order was not seen")
                    .in_lang(lang)
            }
            Complaint::NoQuestion => "the case asks none of the seven for days".to_owned(),
            Complaint::Case(error) => error.to_string(),
            Complaint::UnknownErrcode(code) => format!("{code} is in no table of errors"),
        }
    }
}

fn errcode(wanted: i64, found: Option<i64>, lang: Lang) -> String {
    match found {
        Some(found) => text!("errcode {found} instead of {wanted}", found, wanted).in_lang(lang),
        None => text!("no errcode, as an integer, where {wanted} is expected", wanted).in_lang(lang),
    }
}

fn header(name: &str, wanted: &str, found: Option<&str>, lang: Lang) -> String {
    let found = match found {
        Some(found) => format!("{found:?}"),
        None => text!("none").in_lang(lang),
    };
    let wanted = match wanted {
        "" => text!("none").in_lang(lang),
        "*" => text!("any").in_lang(lang),
        wanted => format!("{wanted:?}"),
    };
    text!("header {name}: {found} instead of {wanted}", name, found, wanted).in_lang(lang)
}

impl Form {
    fn text(self, lang: Lang) -> String {
        match self {
            Form::Status => text!("is not status 200").in_lang(lang),
            Form::OneLine => text!("is not one line").in_lang(lang),
            Form::ContentType => text!("is not JSON by its type").in_lang(lang),
            Form::Object => text!("is not a JSON object").in_lang(lang),
            Form::NoCors => text!("is not without CORS headers").in_lang(lang),
        }
    }
}

impl RowFault {
    fn text(&self, lang: Lang) -> String {
        match self {
            RowFault::NoObject => text!("is no object").in_lang(lang),
            RowFault::Fields { wanted, found } => {
                text!("has {found} instead of {wanted}", found, wanted).in_lang(lang)
            }
            RowFault::Value { name, found } => text!("{name} is {found}", name, found).in_lang(lang),
            RowFault::NotAsked { date } => text!("{date} was not asked for", date).in_lang(lang),
            RowFault::NoPeriod { date } => {
                text!("{date} is the first day of no such period", date).in_lang(lang)
            }
            RowFault::Order => text!("does not come after the one before").in_lang(lang),
        }
    }
}
