//! Callbacks as XML: the direct children of the root, whatever its name. Borrows from the text; refuses a document
//! type declaration, and never looks into what stands in CDATA.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use super::fields::{Field, Fields, Flaw, Value, Wanted};

/// WeChat's deepest callback has 4 levels.
const DEPTH_MAX: usize = 32;

pub(super) fn fields(text: &str, wanted: Wanted) -> Result<Fields<'_>, Flaw> {
    let mut reader = Reader::from_str(text);
    let mut walk = Walk { wanted, fields: Fields::default(), depth: 0, root_seen: false, open: None };
    loop {
        let event = reader.read_event().map_err(|error| Stop::of(&error));
        match event.and_then(|event| walk.step(event)) {
            Ok(More::Yes) => {}
            Ok(More::No) => return Ok(walk.fields),
            Err(stop) => return Err(stop.at(reader.buffer_position())),
        }
    }
}

enum More {
    Yes,
    No,
}

/// Why reading stops early.
enum Stop {
    DocumentType,
    TooDeep,
    Complaint(&'static str),
}

impl Stop {
    /// A broken declaration is one, too: nothing that starts one is ever called merely malformed.
    fn of(error: &quick_xml::Error) -> Stop {
        use quick_xml::Error::{IllFormed, Syntax};
        match error {
            Syntax(SyntaxError::UnclosedDoctype) | IllFormed(IllFormedError::MissingDoctypeName) => {
                Stop::DocumentType
            }
            IllFormed(_) => Stop::Complaint("a start without its end, an end without its start, or a lone &"),
            _ => Stop::Complaint("broken markup"),
        }
    }

    fn at(self, byte: u64) -> Flaw {
        match self {
            Stop::DocumentType => Flaw::DocumentType,
            Stop::TooDeep => Flaw::TooDeep,
            Stop::Complaint(complaint) => Flaw::Xml { complaint, byte },
        }
    }
}

/// Where in the document reading stands.
struct Walk<'a> {
    wanted: Wanted,
    fields: Fields<'a>,
    depth: usize,
    root_seen: bool,
    /// The wanted field that is open, and what it says so far.
    open: Option<(Field, Value<'a>)>,
}

impl<'a> Walk<'a> {
    fn step(&mut self, event: Event<'a>) -> Result<More, Stop> {
        match event {
            Event::Start(tag) => self.enter(tag.name().as_ref())?,
            Event::Empty(tag) => {
                self.enter(tag.name().as_ref())?;
                self.leave();
            }
            Event::End(_) => self.leave(),
            Event::Text(text) => self.text(text.into_inner())?,
            Event::CData(text) => self.content(text.into_inner())?,
            Event::GeneralRef(reference) => self.reference(&reference)?,
            Event::DocType(_) => return Err(Stop::DocumentType),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return self.end(),
        }
        Ok(More::Yes)
    }

    fn enter(&mut self, name: &str) -> Result<(), Stop> {
        match self.depth {
            0 if self.root_seen => return Err(Stop::Complaint("a second root element")),
            0 => self.root_seen = true,
            1 => self.open = self.wanted.field(name).map(|field| (field, Value::Text(Cow::Borrowed("")))),
            DEPTH_MAX => return Err(Stop::TooDeep),
            _ => self.spoil(),
        }
        self.depth += 1;
        Ok(())
    }

    /// An element within a field: the field is not text.
    fn spoil(&mut self) {
        if let Some((_, value)) = &mut self.open {
            *value = Value::Unusable;
        }
    }

    fn leave(&mut self) {
        // The reader has checked that each end has its start.
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1
            && let Some((field, value)) = self.open.take()
        {
            self.fields.put(field, value);
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<(), Stop> {
        if self.depth == 0 && text.trim_ascii().is_empty() { Ok(()) } else { self.content(text) }
    }

    fn content(&mut self, text: Cow<'a, str>) -> Result<(), Stop> {
        if self.depth == 0 {
            return Err(Stop::Complaint("text outside the root element"));
        }
        if let Some((_, Value::Text(so_far))) = &mut self.open {
            if so_far.is_empty() {
                *so_far = text;
            } else {
                so_far.to_mut().push_str(&text);
            }
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'a>) -> Result<(), Stop> {
        let unknown = || Stop::Complaint("an unknown or impossible reference");
        if let Some(predefined) = resolve_xml_entity(reference) {
            return self.content(Cow::Borrowed(predefined));
        }
        let character = reference.resolve_char_ref().map_err(|_| unknown())?.ok_or_else(unknown)?;
        self.content(Cow::Owned(character.to_string()))
    }

    fn end(&self) -> Result<More, Stop> {
        match (self.root_seen, self.depth) {
            (true, 0) => Ok(More::No),
            (true, _) => Err(Stop::Complaint("it ends early")),
            (false, _) => Err(Stop::Complaint("there is no element")),
        }
    }
}
