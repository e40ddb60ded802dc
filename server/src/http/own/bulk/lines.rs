//! Cuts a stream of bytes into lines, keeping at most one line.

/// Source: the contract.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The lines of a stream.
#[derive(Default)]
pub struct Lines {
    pub number: usize,
    kept: Vec<u8>,
    /// The rest of the line being read is skipped, or was already given out.
    skipping: bool,
    /// `kept` was given out with the last line.
    given: bool,
}

#[derive(Clone, Copy)]
pub enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

impl Lines {
    /// The next whole line, if `rest` holds its end; else `rest` is kept for later.
    pub fn next<'line, 'data: 'line>(
        &'line mut self,
        rest: &mut &'data [u8],
    ) -> Option<(usize, Line<'line>)> {
        if std::mem::take(&mut self.given) {
            self.kept.clear();
        }
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.keep(rest);
            *rest = &[];
            return None;
        };
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        *rest = after;
        self.number += 1;
        self.given = true;
        if std::mem::take(&mut self.skipping) || self.kept.len() + line.len() > LINE_BYTES_MAX {
            return Some((self.number, Line::TooLong));
        }
        if self.kept.is_empty() {
            return Some((self.number, Line::Whole(line)));
        }
        self.kept.extend_from_slice(line);
        Some((self.number, Line::Whole(&self.kept)))
    }

    fn keep(&mut self, part: &[u8]) {
        if self.skipping || self.kept.len() + part.len() > LINE_BYTES_MAX {
            self.skipping = true;
            self.kept.clear();
        } else {
            self.kept.extend_from_slice(part);
        }
    }

    /// What stands behind the last line break, if anything.
    pub fn last(&mut self) -> Option<(usize, Line<'_>)> {
        if std::mem::take(&mut self.given) {
            self.kept.clear();
        }
        if self.kept.is_empty() && !self.skipping {
            return None;
        }
        self.number += 1;
        Some((self.number, if self.skipping { Line::TooLong } else { Line::Whole(&self.kept) }))
    }
}
