//! The numbers of a chart as a table: for screen readers, for copying, and for the tooltips.

use i18n::{format::grouped, text};
use maud::{Markup, html};

use crate::words::Words;

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableCell {
    /// A number.
    Number(u64),
    /// Not counted.
    NotCounted,
    /// A text.
    Words(String),
}

impl TableCell {
    /// A number of the compared time, or an empty cell.
    pub fn from_known(number: Option<u64>) -> TableCell {
        number.map_or(TableCell::Words(String::new()), TableCell::Number)
    }
}

impl From<Option<u64>> for TableCell {
    fn from(number: Option<u64>) -> TableCell {
        number.map_or(TableCell::NotCounted, TableCell::Number)
    }
}

/// A table with one row a period.
#[derive(Clone, Debug)]
pub struct ChartTable {
    /// What it shows.
    pub caption: String,
    /// The heads of the columns; the first one is that of the rows' names.
    pub head: Vec<String>,
    /// The rows: a name and a cell for each other column.
    pub rows: Vec<(String, Vec<TableCell>)>,
}

impl ChartTable {
    /// The table behind one click.
    pub fn folded(&self, words: Words) -> Markup {
        self.folded_as(&words.say(text!("As a table")), words)
    }

    /// The table behind one click on this text.
    pub fn folded_as(&self, summary: &str, words: Words) -> Markup {
        html! {
            details.folded {
                summary { (summary) }
                div.scroll tabindex="0" role="region" aria-label=(self.caption) { (self.draw(words)) }
            }
        }
    }

    fn draw(&self, words: Words) -> Markup {
        html! {
            table.numbers {
                caption.hidden { (self.caption) }
                thead { tr { @for head in &self.head { th scope="col" { (head) } } } }
                tbody {
                    @for (name, cells) in &self.rows {
                        tr {
                            th scope="row" { (name) }
                            @for cell in cells { (cell.draw(words)) }
                        }
                    }
                }
            }
        }
    }
}

impl TableCell {
    fn draw(&self, words: Words) -> Markup {
        html! {
            @match self {
                TableCell::Number(number) => td { (number_element(*number)) },
                TableCell::NotCounted => td { (words.say(text!("not counted"))) },
                TableCell::Words(text) => td.words { (text) },
            }
        }
    }
}

/// A number as people read it, and as programs read it.
pub fn number_element(number: u64) -> Markup {
    html! { data value=(number) { (grouped(number)) } }
}
