//! The program's texts in English and Chinese, and how sizes and times are written.
//!
//! English stands in the code, in [`text!`]; Chinese stands in the catalogue, `zh/*.po`, under the English template.
//! A test fails for a text without Chinese, for Chinese with other placeholders, and for an entry that no code uses.
//! The program's log and its output for machines are English only.

pub mod catalog;
pub mod format;
mod lang;
mod template;
mod text;

pub use catalog::translated;
pub use lang::Lang;
pub use text::{Text, ToText};

#[doc(hidden)]
pub use template::has_placeholder;
