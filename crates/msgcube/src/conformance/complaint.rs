//! Differences between an answer and the expectation, and their texts.

use i18n::{Text, text};

use super::template::TemplateError;
use crate::probe::{error_text, exchange::NoAnswer};

/// One difference from the expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    NoAnswer(NoAnswer),
    /// An answer came, but the connection should have closed without one.
    Answered,
    Status {
        wanted: u16,
        found: u16,
    },
    Errcode {
        wanted: i64,
        found: Option<i64>,
    },
    /// `errmsg` begins with another text.
    Errmsg {
        wanted: &'static str,
    },
    /// The body does not have this form.
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
    /// A rule for every answer in WeChat's form is broken.
    Form(Form),
    Row {
        /// The number of the row, from 1.
        number: usize,
        fault: RowFault,
    },
    NoList,
    /// The answer is valid but has too few rows to test the step.
    Unseen(Unseen),
    /// The request names no interface or no days.
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
    pub fn text(&self) -> Text {
        match self {
            Complaint::NoAnswer(why) => error_text::no_answer(*why),
            Complaint::Answered => text!("the connection should have been closed without an answer"),
            Complaint::Status { wanted, found } => {
                text!("HTTP status {found} instead of {wanted}", found, wanted)
            }
            Complaint::Errcode { wanted, found } => errcode(*wanted, *found),
            Complaint::Errmsg { wanted } => {
                text!("errmsg does not begin with {wanted}", wanted = format_args!("{wanted:?}"))
            }
            Complaint::Body { wanted } => text!("expected {wanted}", wanted),
            Complaint::Lacks(part) => text!("lacks {part}", part = format_args!("{part:?}")),
            Complaint::Has(part) => text!("has {part}", part = format_args!("{part:?}")),
            Complaint::Header { name, wanted, found } => header(name, wanted, found.as_deref()),
            Complaint::Hint { wanted, found } => Text::plain(format!("hint {found:?} instead of {wanted:?}")),
            Complaint::HintForm => {
                Text::plain("hints come in two languages, in ASCII, at most 512 bytes each")
            }
            Complaint::Form(form) => form.text(),
            Complaint::Row { number, fault } => {
                let fault = fault.text();
                text!("row {number}: {fault}", number, fault)
            }
            Complaint::NoList => text!(r#"expected {{"list":[…]}} and nothing beside it"#),
            Complaint::Unseen(Unseen::Rows) => text!("no rows came, so they could not be checked"),
            Complaint::Unseen(Unseen::Order) => {
                text!(
                    "there are not two periods, or no period has two rows, so the order could not be checked"
                )
            }
            Complaint::NoQuestion => Text::plain("the case asks none of the seven for days"),
            Complaint::Case(error) => Text::plain(error.to_string()),
            Complaint::UnknownErrcode(code) => Text::plain(format!("{code} is in no table of errors")),
        }
    }
}

fn errcode(wanted: i64, found: Option<i64>) -> Text {
    if let Some(found) = found {
        text!("errcode {found} instead of {wanted}", found, wanted)
    } else {
        text!("no errcode, as an integer, where {wanted} is expected", wanted)
    }
}

fn header(name: &str, wanted: &str, found: Option<&str>) -> Text {
    let found = found.map_or_else(|| text!("none"), |found| Text::plain(format!("{found:?}")));
    let wanted = match wanted {
        "" => text!("none"),
        "*" => text!("any"),
        wanted => Text::plain(format!("{wanted:?}")),
    };
    text!("header {name}: {found} instead of {wanted}", name, found, wanted)
}

impl Form {
    fn text(self) -> Text {
        match self {
            Form::Status => text!("is not status 200"),
            Form::OneLine => text!("is not one line"),
            Form::ContentType => text!("does not have the content type of JSON"),
            Form::Object => text!("is not a JSON object"),
            Form::NoCors => text!("has CORS headers"),
        }
    }
}

impl RowFault {
    fn text(&self) -> Text {
        match self {
            RowFault::NoObject => text!("is not an object"),
            RowFault::Fields { wanted, found } => {
                text!("has {found} instead of {wanted}", found, wanted)
            }
            RowFault::Value { name, found } => text!("{name} is {found}", name, found),
            RowFault::NotAsked { date } => text!("{date} was not asked for", date),
            RowFault::NoPeriod { date } => {
                text!("{date} is not the first day of such a period", date)
            }
            RowFault::Order => text!("does not come after the one before"),
        }
    }
}
