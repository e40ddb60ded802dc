//! Charts as SVG. Shapes fill their box at any width; labels and strokes keep their size.
//!
//! The shapes of a chart are in an inner `svg` that is stretched. Labels are outside of it, at percentages. Colours are
//! classes of the style sheet.

pub mod axis;
pub mod columns;
pub mod heat_map;
pub mod line;
pub mod sparkline;
pub mod strip;
pub mod svg;
pub mod table;
