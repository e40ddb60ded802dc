//! Parses callbacks in XML: reads the direct children of the root, which may have any name. Borrows from the bytes. Refuses
//! a document type declaration, takes CDATA as plain text, and ignores broken markup in fields that are not read.

use super::fields::{CallbackFields, FieldValue, MalformedBody, WantedFields};
use scan::{XmlScanner, XmlToken};
use text::FieldText;

mod scan;
mod text;

pub(super) fn fields(body: &[u8], wanted: WantedFields) -> Result<CallbackFields<'_>, MalformedBody> {
    let mut reader = XmlReader { scanner: XmlScanner::new(body), wanted, fields: CallbackFields::default() };
    reader.document().map_err(|error| error.at(reader.scanner.at()))?;
    Ok(reader.fields)
}

/// Why parsing stops.
enum XmlError {
    DocumentType,
    Complaint(&'static str),
}

impl XmlError {
    fn at(self, byte: usize) -> MalformedBody {
        match self {
            XmlError::DocumentType => MalformedBody::DocumentType,
            XmlError::Complaint(complaint) => MalformedBody::Xml { complaint, byte: Some(byte) },
        }
    }
}

const NO_END: XmlError = XmlError::Complaint("it ends early");
const NO_START: XmlError = XmlError::Complaint("an end without its start");

struct XmlReader<'a> {
    scanner: XmlScanner<'a>,
    wanted: WantedFields,
    fields: CallbackFields<'a>,
}

impl<'a> XmlReader<'a> {
    fn document(&mut self) -> Result<(), XmlError> {
        let mut root_seen = false;
        loop {
            match self.scanner.next_token()? {
                XmlToken::Skipped => {}
                XmlToken::Text(text) if text.trim_ascii().is_empty() => {}
                XmlToken::Start { .. } if root_seen => {
                    return Err(XmlError::Complaint("a second root element"));
                }
                XmlToken::Start { name, is_empty } => {
                    root_seen = true;
                    if !is_empty {
                        self.children(name)?;
                    }
                }
                XmlToken::End { .. } => return Err(NO_START),
                XmlToken::Odd => return Err(XmlError::Complaint("broken markup")),
                XmlToken::Text(_) | XmlToken::CData(_) | XmlToken::Reference(_) => {
                    return Err(XmlError::Complaint("text outside the root element"));
                }
                XmlToken::EndOfBody if root_seen => return Ok(()),
                XmlToken::EndOfBody => return Err(XmlError::Complaint("there is no element")),
            }
        }
    }

    fn children(&mut self, root: &[u8]) -> Result<(), XmlError> {
        loop {
            match self.scanner.next_token()? {
                XmlToken::Start { name, is_empty } => {
                    let field = self.wanted.field(name);
                    let value = if is_empty { FieldValue::Text("".into()) } else { self.value(name)? };
                    if let Some(field) = field {
                        self.fields.insert(field, value);
                    }
                }
                XmlToken::End { name } if name == root => return Ok(()),
                XmlToken::End { .. } => return Err(NO_START),
                XmlToken::EndOfBody => return Err(NO_END),
                // Between the fields. Nothing is read here.
                XmlToken::Skipped
                | XmlToken::Odd
                | XmlToken::Text(_)
                | XmlToken::CData(_)
                | XmlToken::Reference(_) => {}
            }
        }
    }

    /// Reads a value up to the end tag of its field. Tags inside need not match, so that broken content in a field that is
    /// not read does no harm.
    fn value(&mut self, field: &[u8]) -> Result<FieldValue<'a>, XmlError> {
        let mut text = FieldText::default();
        let (mut depth, mut is_nested) = (0_usize, false);
        loop {
            match self.scanner.next_token()? {
                XmlToken::Start { name, is_empty } => {
                    is_nested = true;
                    depth += usize::from(name == field && !is_empty);
                }
                XmlToken::End { name } if name == field && depth == 0 => {
                    return Ok(if is_nested { FieldValue::Unusable } else { text.value() });
                }
                XmlToken::End { name } => {
                    is_nested = true;
                    depth -= usize::from(name == field);
                }
                XmlToken::Text(piece) => text.push(piece),
                XmlToken::CData(piece) => text.push_exact(piece),
                XmlToken::Reference(name) => text.push_reference(name),
                XmlToken::Odd => text.mark_broken(),
                XmlToken::Skipped => {}
                XmlToken::EndOfBody => return Err(NO_END),
            }
        }
    }
}
