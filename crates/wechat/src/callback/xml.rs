//! Callbacks as XML: the direct children of the root, whatever its name. Borrows from the bytes; refuses a document
//! type declaration, never looks into what stands in CDATA, and lets nothing in a field that is not read stop it.

use super::fields::{Fields, Flaw, Value, Wanted};
use scan::{Piece, Scanner};
use text::Text;

mod scan;
mod text;

pub(super) fn fields(body: &[u8], wanted: Wanted) -> Result<Fields<'_>, Flaw> {
    let mut walk = Walk { scanner: Scanner::new(body), wanted, fields: Fields::default() };
    walk.document().map_err(|stop| stop.at(walk.scanner.at()))?;
    Ok(walk.fields)
}

/// Why reading stops early.
enum Stop {
    DocumentType,
    Complaint(&'static str),
}

impl Stop {
    fn at(self, byte: usize) -> Flaw {
        match self {
            Stop::DocumentType => Flaw::DocumentType,
            Stop::Complaint(complaint) => Flaw::Xml { complaint, byte: Some(byte) },
        }
    }
}

const NO_END: Stop = Stop::Complaint("it ends early");
const NO_START: Stop = Stop::Complaint("an end without its start");

struct Walk<'a> {
    scanner: Scanner<'a>,
    wanted: Wanted,
    fields: Fields<'a>,
}

impl<'a> Walk<'a> {
    fn document(&mut self) -> Result<(), Stop> {
        let mut root_seen = false;
        loop {
            match self.scanner.next_piece()? {
                Piece::Skipped => {}
                Piece::Text(text) if text.trim_ascii().is_empty() => {}
                Piece::Start { .. } if root_seen => return Err(Stop::Complaint("a second root element")),
                Piece::Start { name, is_empty } => {
                    root_seen = true;
                    if !is_empty {
                        self.children(name)?;
                    }
                }
                Piece::End { .. } => return Err(NO_START),
                Piece::Odd => return Err(Stop::Complaint("broken markup")),
                Piece::Text(_) | Piece::CData(_) | Piece::Reference(_) => {
                    return Err(Stop::Complaint("text outside the root element"));
                }
                Piece::EndOfBody if root_seen => return Ok(()),
                Piece::EndOfBody => return Err(Stop::Complaint("there is no element")),
            }
        }
    }

    fn children(&mut self, root: &[u8]) -> Result<(), Stop> {
        loop {
            match self.scanner.next_piece()? {
                Piece::Start { name, is_empty } => {
                    let field = self.wanted.field(name);
                    let value = if is_empty { Value::Text("".into()) } else { self.value(name)? };
                    if let Some(field) = field {
                        self.fields.put(field, value);
                    }
                }
                Piece::End { name } if name == root => return Ok(()),
                Piece::End { .. } => return Err(NO_START),
                Piece::EndOfBody => return Err(NO_END),
                // Between the fields, where nothing is read.
                Piece::Skipped | Piece::Odd | Piece::Text(_) | Piece::CData(_) | Piece::Reference(_) => {}
            }
        }
    }

    /// What stands up to the end of this field, which is all that has to fit: whatever else is inside, a field that is
    /// not read ends there.
    fn value(&mut self, field: &[u8]) -> Result<Value<'a>, Stop> {
        let mut text = Text::default();
        let (mut depth, mut is_nested) = (0_usize, false);
        loop {
            match self.scanner.next_piece()? {
                Piece::Start { name, is_empty } => {
                    is_nested = true;
                    depth += usize::from(name == field && !is_empty);
                }
                Piece::End { name } if name == field && depth == 0 => {
                    return Ok(if is_nested { Value::Unusable } else { text.value() });
                }
                Piece::End { name } => {
                    is_nested = true;
                    depth -= usize::from(name == field);
                }
                Piece::Text(piece) => text.push(piece),
                Piece::CData(piece) => text.push_exact(piece),
                Piece::Reference(name) => text.push_reference(name),
                Piece::Odd => text.spoil(),
                Piece::Skipped => {}
                Piece::EndOfBody => return Err(NO_END),
            }
        }
    }
}
